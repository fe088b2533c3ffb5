"""Why a row of a mart is what it is, for people: the sum with a tick, what is left out, twenty lines."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

import minidw
from tests.support.terminal import Cli

WriteFeed = Callable[..., Path]

ORDERS = """
    order_id | customer_id | price | status    | order_timestamp
    1        | ada         | 10    | delivered | 2024-05-01
    2        | ada         | 25.5  | shipped   | 2024-05-02 10:00:00
    3        | ada         | 7     | cancelled | 2024-05-03
    4        | ada         | 1     | CANCELLED | 2024-05-03
    5        | bob         | 4     | Pending   | 2024-05-03
"""


def test_the_lines_and_what_they_come_to(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed(ORDERS), conn)

    lines = minidw.why("customer_ltv", "ada", conn)

    assert [line["order_id"] for line in lines] == ["1", "2"]
    assert lines.row is not None
    assert lines.sums is not None
    assert lines.row["lifetime_value"] == lines.sums["lifetime_value"] == Decimal("35.5")
    assert lines.agrees
    assert lines.left_out == [{"status": "cancelled", "order_lines": 2, "total_amount": Decimal(8)}]


def test_the_sum_is_of_all_lines_also_of_those_beyond_the_limit(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed(ORDERS), conn)
    lines = minidw.why("customer_ltv", "ada", conn, limit=1)
    assert (len(lines), lines.order_lines) == (1, 2)
    assert lines.sums
    assert lines.sums["order_lines"] == 2


def test_a_mart_that_was_changed_by_hand(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed(ORDERS), conn)
    conn.execute(text("UPDATE mart.customer_ltv SET lifetime_value = 1 WHERE customer_id = 'ada'"))
    for mart in ("customer_ltv", "customer_segments"):
        lines = minidw.why(mart, "ada", conn)
        assert (lines.agrees, lines.changes_waiting) == (False, False)
    assert minidw.why("customer_segments", "bob", conn).agrees


def test_changes_that_wait_explain_a_difference(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed(ORDERS), conn)
    minidw.load_raw(feed("order_id | customer_id | price\n9 | ada | 1\n10 | new | 1"), conn)
    minidw.build_staging(conn)
    lines = minidw.why("customer_ltv", "ada", conn)
    assert (lines.agrees, lines.changes_waiting) == (False, True)
    new = minidw.why("customer_ltv", "new", conn)
    assert (new.row, new.order_lines, new.agrees) == (None, 1, False)


@pytest.mark.parametrize("mart", ["daily_revenue", "customer_ltv", "product_revenue", "customer_segments"])
def test_every_row_of_every_mart_agrees(conn: Connection, tmp_path: Path, mart: str) -> None:
    minidw.run(minidw.generate_orders(tmp_path / "o.csv", rows=200, seed=2, dirty=0.2), conn)
    names = {"product_revenue": "product_id, category", "daily_revenue": "order_date"}
    key = names.get(mart, "customer_id")
    for row in conn.execute(text(f"SELECT {key} FROM mart.{mart} ORDER BY {key} LIMIT 10")).all():
        assert minidw.why(mart, row, conn).agrees


def test_what_the_command_shows(cli: Cli, feed: WriteFeed, warehouse: Engine) -> None:
    cli("run", str(feed(ORDERS, name="shop.csv")))

    shown = cli("why", "customer_ltv", "ada").out
    assert "✓ 2 order lines add up to it" in shown
    assert "left out, as they do not count towards this mart: 2 order lines cancelled (8.00)" in shown
    assert "delivered as" not in shown
    assert "status 'Pending'" in cli("why", "customer_ltv", "bob").out
    assert "1 order line adds up to it" in cli("why", "customer_ltv", "bob").out
    assert "2 order lines, the first 1" in cli("why", "customer_ltv", "ada", "--limit", "1").out
    nobody = cli("why", "customer_ltv", "nobody")
    assert (nobody.code, nobody.out) == (1, "mart.customer_ltv nobody: no such row\n")

    document = json.loads(cli("why", "customer_ltv", "ada", "--json").out)
    assert (document["agrees"], document["order_lines"], document["error"]) == (True, 2, None)
    assert [line["order_id"] for line in document["lines"]] == ["1", "2"]

    with warehouse.begin() as conn:
        conn.execute(text("UPDATE mart.customer_ltv SET lifetime_value = 1 WHERE customer_id = 'ada'"))
    assert (
        "✗ the order lines add up to lifetime_value 35.50, order_lines 2"
        in cli("why", "customer_ltv", "ada").out
    )


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_every_line_fits_the_terminal(
    cli: Cli, feed: WriteFeed, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    cli("run", str(feed(ORDERS, name="a_long_name_of_an_export_of_a_shop_2024-05-01.csv")))
    cli("run", str(feed("order_id | price\n1 | x", name="refused.csv")))
    shown = [cli("why", "customer_ltv", "ada").out, cli("status").out, cli("report").out]
    assert max(len(line) for out in shown for line in out.splitlines()) <= columns
    assert "refused.csv" in shown[1]


def test_status_says_what_failed_who_works_and_what_waits(
    cli: Cli, feed: WriteFeed, warehouse: Engine
) -> None:
    cli("load", str(feed("order_id | price\n1 | x", name="bad.csv")))
    cli("stage")
    with warehouse.connect() as conn, conn.begin():
        minidw.load_raw(feed("order_id\n1"), conn)
        shown = cli("status").out
    assert "in use by process" in shown
    assert "0 runners waiting" in shown
    assert "1 batch to stage: minidw stage" in shown
    assert "bad.csv: TOO_MANY_REJECTS" in shown
    document = json.loads(cli("status", "--json").out)
    assert document["in use"] == []
    assert document["failed runs"][0]["command"] == "stage"
