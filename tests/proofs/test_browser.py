"""The page in a browser: it draws every chart, asks nobody for anything, and is there for everybody."""

import os
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, func, select

import minidw
from minidw import DailyRevenue
from tests.support.twin import warehouse_on

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHARTS = 11
# Read before the tests take minidw's own variables away.
PICTURES = os.environ.get("MINIDW_TEST_PICTURES")


@pytest.fixture(scope="module")
def report(server: URL, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decimal]:
    """The report of three years of generated orders, and the revenue that the mart holds."""
    directory = tmp_path_factory.mktemp("report")
    with warehouse_on(server) as engine:
        for seed in (1, 2):
            orders = directory / f"{seed}.csv"
            minidw.generate_orders(orders, rows=20_000, day=date(2025, 1, seed), seed=seed, dirty=0.05)
            minidw.run(orders, engine)
        path = minidw.write_report(directory / "report.html", engine)
        with engine.connect() as conn:
            return path, conn.execute(select(func.sum(DailyRevenue.revenue))).scalar_one()


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")], ids=str)
def page(
    request: pytest.FixtureRequest, browser: "Browser", report: tuple[Path, Decimal]
) -> "Iterator[Page]":
    """The report on a phone and on a desk, in light and in dark; no request leaves, nothing complains."""
    width, scheme = request.param
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url != page.url else None)
    page.goto(report[0].as_uri())
    page.wait_for_function(f"document.querySelectorAll('.chart svg').length == {CHARTS}")
    yield page
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/report-{width}-{scheme}.png", full_page=True)
    context.close()
    assert [text for text in complaints if text != report[0].as_uri()] == []


def test_every_chart_has_marks_and_fits(page: "Page") -> None:
    for number in range(CHARTS):
        marks = page.locator(f"#chart-{number} svg .mark-rect path, #chart-{number} svg .mark-line path")
        assert marks.count() > 0, number
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_numbers_behind_the_charts_are_those_of_the_mart(
    page: "Page", report: tuple[Path, Decimal]
) -> None:
    table = page.get_by_role("region", name="Table: Revenue per day", include_hidden=True)
    cells = table.locator("tbody tr td:nth-child(2)").all_text_contents()
    assert sum(Decimal(cell.replace(",", "")) for cell in cells) == report[1]


def test_a_tooltip_says_the_numbers_of_the_day(page: "Page") -> None:
    chart = page.locator("#chart-0 svg")
    box = chart.bounding_box()
    assert box is not None
    chart.hover(position={"x": box["width"] * 0.6, "y": box["height"] * 0.5})
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "mean of 7 days" in tooltip.inner_text()


def test_the_keyboard_opens_a_table(page: "Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.get_by_role("region", name="Table: Revenue per day").is_visible()


def test_axe_finds_nothing(page: "Page") -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach((table) => { table.open = true })")
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    )
    assert found.violations_count == 0, found.generate_report()
