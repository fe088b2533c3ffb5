"""The served pages: for who knows the token, with what the marts hold, and no way to change anything."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from minidw.settings import Settings
from minidw.web.app import HOSTS, ROWS, make_app
from tests.support import terminal

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKEN = "canary5f3a9c"
HOSTILE = "<script>alert('1')</script> & \"2\""


@pytest.fixture
def web(warehouse: Engine) -> "TestClient":
    """A browser that has not been let in yet."""
    from starlette.testclient import TestClient

    app = make_app(warehouse, Settings(), TOKEN)
    return TestClient(
        app, base_url=f"http://{HOSTS[0]}", follow_redirects=False, raise_server_exceptions=False
    )


@pytest.fixture
def browser(web: "TestClient") -> "TestClient":
    """A browser that has."""
    assert web.get("/rejects", params={"token": TOKEN}).status_code == 303
    return web


def cells(page: str) -> list[list[str]]:
    """The rows of the tables of a page."""
    return [
        [unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall("<td[^>]*>(.*?)</td>", row)]
        for row in re.findall("<tr>(.*?)</tr>", page)
        if "<td" in row
    ]


def test_who_does_not_know_the_token_sees_nothing(web: "TestClient") -> None:
    for path in ("/", "/marts/customer_ltv", "/rejects", "/nowhere", "/?token=", "/?token=canary"):
        answer = web.get(path)
        assert (answer.status_code, answer.text.count("\n")) == (403, 1)
    assert web.get("/rejects", headers={"Cookie": "minidw=other"}).status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(web: "TestClient") -> None:
    answer = web.get("/rejects", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/rejects")
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().split("; "))
    assert web.get("/rejects").status_code == 200


def test_another_name_of_this_machine_is_refused(browser: "TestClient") -> None:
    assert browser.get("/rejects", headers={"Host": "attacker.example"}).status_code == 400


def test_a_page_may_load_nothing_and_be_kept_by_nobody(browser: "TestClient") -> None:
    headers = browser.get("/rejects").headers
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_sent(browser: "TestClient", method: str) -> None:
    assert browser.request(method, "/marts/customer_ltv").status_code == 405


def test_a_mart_is_turned_over_page_by_page(browser: "TestClient", warehouse: Engine) -> None:
    with warehouse.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO mart.daily_revenue (order_date, revenue, order_lines)"
                f" SELECT DATE '2024-01-01' + n, n, 1 FROM generate_series(1, {2 * ROWS + 1}) AS n"
            )
        )
    address, seen = "/marts/daily_revenue", []
    while address:
        page = browser.get(address).text
        seen += [Decimal(row[2]) for row in cells(page)]
        (address,) = re.findall(r'<a href="([^"]+)">next', page) or [""]
    assert seen == list(range(1, 2 * ROWS + 2))
    assert '<a href="/marts/daily_revenue?page=1">before' in browser.get("/marts/daily_revenue?page=2").text
    for odd in ("0", "-1", "x", "9" * 30):
        assert cells(browser.get(f"/marts/daily_revenue?page={odd}").text)[0][1] == "2024-01-02"


def test_a_row_leads_to_what_is_behind_it(
    browser: "TestClient", warehouse: Engine, feed: Callable[..., Path]
) -> None:
    # Given two lines of a customer with a hostile name, one of which does not count
    minidw.run(
        feed(
            f"order_id | customer_id | price | status\n1 | {HOSTILE} | 9.50 | shipped"
            f"\n2 | {HOSTILE} | 5 | cancelled"
        ),
        warehouse,
    )
    # When a click follows the link of the row
    page = browser.get("/marts/customer_ltv").text
    (link,) = re.findall(r'<a href="(/marts/customer_ltv/why\?[^"]+)"', page)
    behind = browser.get(unescape(link)).text
    # Then it says that it adds up, what is left out, and where it comes from; and nothing of it is code
    assert "✓ The order lines add up to the row." in behind
    rows = cells(behind)
    assert rows[0][:2] == [HOSTILE, "9.50"]
    assert ["cancelled", "1", "5.00"] in rows
    assert "feed_001.csv" in rows[-1]
    assert "<script>" not in page + behind


def test_what_was_set_aside_is_shown_with_what_is_wrong(
    browser: "TestClient", warehouse: Engine, feed: Callable[..., Path]
) -> None:
    settings = Settings(max_reject_ratio=Decimal(1))
    minidw.run(feed(f"order_id | price | category\n1 | 9,50 | {HOSTILE}"), warehouse, settings=settings)
    page = browser.get("/rejects").text
    (row,) = cells(page)
    assert row[:4] == ["1", "feed_001.csv", "1", "BAD_NUMBER"]
    assert "price 9,50: " in row[4]
    assert HOSTILE in row[5]
    assert "<script>" not in page


@pytest.mark.slow
def test_the_report_is_that_of_now(
    browser: "TestClient", warehouse: Engine, feed: Callable[..., Path]
) -> None:
    assert "The warehouse is empty" in browser.get("/").text
    minidw.run(feed("order_id | price\n1 | 12345.67"), warehouse)
    page = browser.get("/").text
    assert "12,345.67" in page
    for place in ("/", "/marts/customer_segments", "/rejects"):
        assert f'<a href="{place}">' in page


@pytest.mark.parametrize("path", ["/marts/sales", "/marts/customer_ltv/why"])
def test_what_is_not_there_is_said_in_one_line(browser: "TestClient", path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert re.search(r"<main><p>[^\n]+</p></main>", answer.text)


def test_a_key_that_is_not_there_is_said(browser: "TestClient") -> None:
    assert "There is no such row." in browser.get(f"/marts/customer_ltv/why?key={quote('nobody')}").text


def test_the_tables_are_read_in_transactions_that_cannot_write(
    browser: "TestClient", warehouse: Engine
) -> None:
    # Given a mart whose reading would write
    with warehouse.begin() as conn:
        for statement in (
            "CREATE TABLE public.seen (at timestamptz)",
            "CREATE FUNCTION public.see() RETURNS text LANGUAGE sql"
            " AS 'INSERT INTO public.seen VALUES (now()) RETURNING at::text'",
            "ALTER TABLE mart.daily_revenue RENAME TO held",
            "CREATE VIEW mart.daily_revenue AS SELECT order_date, revenue, order_lines FROM mart.held"
            " UNION ALL SELECT '2024-01-01', length(public.see()), 1",
        ):
            conn.execute(text(statement))
    answer = browser.get("/marts/daily_revenue")
    assert answer.status_code == 503
    assert "read-only transaction" in answer.text


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(
    database: URL, warehouse: Engine, feed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    minidw.run(feed("order_id | customer_id\n1 | ada"), warehouse)
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    serving = subprocess.Popen(
        [sys.executable, "-m", "minidw", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert serving.stdout
    said = json.loads(serving.stdout.readline())
    # What is printed opens the page, and connects
    browser = build_opener(HTTPCookieProcessor())
    browser.open(said["page"], timeout=60).close()
    with browser.open(said["page"].partition("?")[0] + "marts/customer_ltv", timeout=60) as page:
        assert "ada" in page.read().decode()
    assert said["sqlalchemy"].partition("://")[2] == said["postgresql"].partition("://")[2]
    # A second one on the same port says so,
    port = said["page"].split(":")[2].partition("/")[0]
    taken = terminal.call(["serve", "--port", port])
    assert (taken.code, taken.err.count("\n")) == (2, 1)
    assert f"cannot listen on port {port}: Address already in use; --port 0 takes any" in taken.err
    # and Ctrl-C ends it.
    serving.send_signal(signal.SIGINT)
    out, err = serving.communicate(timeout=30)
    assert (serving.returncode, out, err) == (0, "", "")
