"""The served pages in a browser: they ask nobody else, fit a phone, are for everybody, and lead to rows."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, select

import minidw
from minidw import CustomerLtv
from minidw.settings import Settings
from minidw.web.app import make_app
from tests.support.twin import warehouse_on

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("MINIDW_TEST_PICTURES")
TOKEN = "canary5f3a9c"


@pytest.fixture(scope="module")
def served(server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a warehouse of generated orders, and what its first customer is worth."""
    import uvicorn

    orders = tmp_path_factory.mktemp("served") / "orders.csv"
    with warehouse_on(server) as engine:
        minidw.generate_orders(orders, rows=3000, day=date(2025, 1, 1), seed=1, dirty=0.05)
        minidw.run(orders, engine)
        with engine.connect() as conn:
            worth = conn.scalar(select(CustomerLtv.lifetime_value).order_by(CustomerLtv.customer_id).limit(1))
        listening = socket.create_server(("127.0.0.1", 0))
        serving = uvicorn.Server(
            uvicorn.Config(make_app(engine, Settings(), TOKEN), log_level="warning", lifespan="off")
        )
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        while not serving.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", f"{worth:,.2f}"
        serving.should_exit = True
        thread.join()


@pytest.fixture(params=[(390, "light"), (1280, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: "Browser", served: tuple[str, str]) -> "Iterator[Page]":
    """A browser that was let in, on a phone or on a desk."""
    width, scheme = request.param
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()

    def complain(what: str) -> None:
        complaints.append(what)

    page.on("console", lambda message: complain(message.text))
    page.on("pageerror", lambda error: complain(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(served[0]) else complain(asked.url))
    page.goto(f"{served[0]}/?token={TOKEN}")
    yield page
    context.close()
    assert complaints == []


def looked_at(page: "Page", name: str) -> None:
    """Keep a picture, and hold the page against what everybody needs."""
    from axe_playwright_python.sync_playwright import Axe

    width = page.viewport_size["width"] if page.viewport_size else 0
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"served-{name}-{width}.png"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    )
    assert found.violations_count == 0, found.generate_report()


def test_from_the_report_to_the_lines_behind_a_row(page: "Page", served: tuple[str, str]) -> None:
    page.wait_for_function("document.querySelectorAll('.chart svg').length > 5")
    assert TOKEN not in page.url
    # A click on the mart, on the next page and back, and on the first row
    page.get_by_role("link", name="customer_ltv", exact=True).click()
    looked_at(page, "mart")
    page.get_by_role("link", name="next", exact=True).click()
    page.get_by_role("link", name="before", exact=True).click()
    assert page.locator("tbody tr").first.locator("td").nth(2).inner_text() == served[1]
    page.locator("tbody tr").first.get_by_role("link").click()
    assert "✓ The order lines add up to the row." in page.locator("main").inner_text()
    looked_at(page, "why")


def test_the_rejected_rows(page: "Page") -> None:
    page.get_by_role("link", name="rejects", exact=True).click()
    assert page.locator("tbody tr").count() > 10
    looked_at(page, "rejects")
