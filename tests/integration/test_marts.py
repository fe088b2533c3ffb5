"""Any mart class → query, full build, incremental build, difference: as SQL text and on data."""

import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from minidw.schema import (
    CustomerLtv,
    CustomerSegments,
    DailyRevenue,
    Mart,
    OrderChange,
    OrderLine,
    ProductRevenue,
    all_marts,
)
from minidw.settings import Settings
from minidw.transforms.incremental import incremental_build
from minidw.transforms.marts import difference, fingerprint, full_build, query

RULES = Settings().rules


def text(statement: Any) -> str:
    """The SQL on one line."""
    return " ".join(str(statement.compile(dialect=PGDialect_psycopg2())).split())  # type: ignore[no-untyped-call]


def line(order: str, **columns: Any) -> dict[str, Any]:
    """A staged order line: one book for 10 on 2024-05-01, unless said otherwise."""
    values: dict[str, Any] = {
        "order_id": order,
        "line_number": 1,
        "order_timestamp": datetime(2024, 5, 1, 10),
        "customer_id": "c1",
        "product_id": "p1",
        "category": "books",
        "price": Decimal(10),
        "quantity": 1,
        "status": "delivered",
        "batch_id": 1,
        "source_row": 1,
    } | columns
    return values | {"total_amount": values["price"] * values["quantity"]}


def stage(conn: Connection, *lines: dict[str, Any]) -> None:
    """Lines that staging holds and the marts contain."""
    conn.execute(insert(OrderLine), lines)
    for mart in all_marts():
        for statement in full_build(mart):
            conn.execute(statement, RULES)


def change(conn: Connection, *, gone: list[dict[str, Any]] = [], new: list[dict[str, Any]] = []) -> None:  # noqa: B006
    """Lines that cease and appear, brought into every mart incrementally."""
    for row in gone:
        conn.execute(delete(OrderLine).where(OrderLine.order_id == row["order_id"]))
    if new:
        conn.execute(insert(OrderLine), new)
    signed = [(row, -1) for row in gone] + [(row, 1) for row in new]
    changes = [
        row | {"stage": 1, "change": sign, "total_amount": row["price"] * row["quantity"]}
        for row, sign in signed
    ]
    conn.execute(insert(OrderChange), changes)
    for mart in all_marts():
        for statement in incremental_build(mart):
            conn.execute(statement, RULES)


def rows(conn: Connection, mart: type[Mart]) -> list[tuple[Any, ...]]:
    """The rows of a mart, in order."""
    return [
        tuple(row) for row in conn.execute(select(*mart.__table__.c).order_by(*mart.__table__.primary_key))
    ]


def test_a_query_groups_by_what_it_selects() -> None:
    day = (
        "CAST(CASE WHEN %(time_zone)s = 'UTC' THEN CAST(staging.orders_stg.order_timestamp AS DATE) ELSE"
        " CAST(staging.orders_stg.order_timestamp AT TIME ZONE 'UTC' AT TIME ZONE %(time_zone)s AS DATE) END"
        " AS DATE)"
    )
    assert text(query(DailyRevenue)) == (
        f"SELECT {day} AS order_date,"
        " sum(staging.orders_stg.total_amount) AS revenue, count(*) AS order_lines"
        " FROM staging.orders_stg WHERE staging.orders_stg.status IN (__[POSTCOMPILE_revenue_statuses])"
        f" GROUP BY {day}"
    )


def test_a_full_build_deletes_and_inserts_by_name() -> None:
    computing, emptying, filling, cleaning = map(text, full_build(DailyRevenue))
    assert computing == f"CREATE TEMPORARY TABLE fresh_daily_revenue AS {text(query(DailyRevenue))}"
    assert emptying == "DELETE FROM mart.daily_revenue"
    assert filling.startswith("INSERT INTO mart.daily_revenue (order_date, revenue, order_lines) SELECT ")
    assert cleaning == "DROP TABLE fresh_daily_revenue"


def test_an_incremental_build_reads_changes_not_history() -> None:
    (merge,) = map(text, incremental_build(DailyRevenue))
    assert merge.startswith("MERGE INTO mart.daily_revenue USING (SELECT CAST(CASE WHEN ")
    assert "orders_stg" not in merge


def test_only_marts_with_extremes_read_staging_again() -> None:
    _, again = map(text, incremental_build(CustomerLtv))
    assert again.startswith("UPDATE mart.customer_ltv SET first_order_at=again.first_order_at")


def test_the_marts_of_a_small_shop(conn: Connection) -> None:
    stage(
        conn,
        line("1", price=Decimal("9.50"), quantity=2),
        line("2", customer_id="c2", price=Decimal(600), order_timestamp=datetime(2024, 5, 2, 23, 59, 59)),
        line("3", customer_id="c2", product_id="p2", category="toys", price=Decimal("0.0001")),
        line("4", status="cancelled", price=Decimal(5000)),
    )

    assert rows(conn, DailyRevenue) == [
        (date(2024, 5, 1), Decimal("19.0001"), 2),
        (date(2024, 5, 2), Decimal(600), 1),
    ]
    assert rows(conn, CustomerLtv) == [
        ("c1", Decimal(19), 1, datetime(2024, 5, 1, 10), datetime(2024, 5, 1, 10)),
        ("c2", Decimal("600.0001"), 2, datetime(2024, 5, 1, 10), datetime(2024, 5, 2, 23, 59, 59)),
    ]
    assert rows(conn, ProductRevenue) == [
        ("p1", "books", Decimal(619), 3, 2, Decimal("309.5")),
        ("p2", "toys", Decimal("0.0001"), 1, 1, Decimal("0.0001")),
    ]
    assert rows(conn, CustomerSegments) == [("c1", Decimal(19), "Low"), ("c2", Decimal("600.0001"), "Medium")]


@pytest.mark.parametrize(
    ("value", "segment"),
    [("10000", "VIP"), ("9999.9999", "High"), ("3000", "High"), ("2999.9999", "Medium"), ("500", "Medium"),
     ("499.9999", "Low")],
)  # fmt: skip
def test_the_thresholds_of_the_segments(conn: Connection, value: str, segment: str) -> None:
    stage(conn, line("1", price=Decimal(value)))
    assert rows(conn, CustomerSegments) == [("c1", Decimal(value), segment)]


LATER = datetime(2024, 6, 1)
CASES = {
    "a new order": {"new": [line("9", customer_id="c9")]},
    "a late order": {"new": [line("9", order_timestamp=datetime(2023, 1, 1))]},
    "another price": {"gone": [line("1")], "new": [line("1", price=Decimal(7))]},
    "another customer": {"gone": [line("1")], "new": [line("1", customer_id="c2")]},
    "a cancellation": {"gone": [line("1")], "new": [line("1", status="cancelled")]},
    "the last line of a customer": {"gone": [line("2", customer_id="c2", order_timestamp=LATER)]},
    "the first order of a customer": {"gone": [line("1")]},
    "a later time": {"gone": [line("1")], "new": [line("1", order_timestamp=LATER)]},
    "a cancelled line": {"gone": [line("4", status="cancelled")]},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_incremental_builds_equal_the_query(conn: Connection, case: dict[str, Any]) -> None:
    stage(
        conn,
        line("1"),
        line("2", customer_id="c2", order_timestamp=LATER),
        line("3", order_timestamp=LATER, price=Decimal(900)),
        line("4", status="cancelled"),
    )
    change(conn, **case)
    assert [conn.execute(difference(mart), RULES).all() for mart in all_marts()] == [[]] * 4


def test_difference_shows_both_sides(conn: Connection) -> None:
    stage(conn, line("1"))
    conn.execute(update(DailyRevenue).values(revenue=11))
    assert [row.side for row in conn.execute(difference(DailyRevenue), RULES)] == ["due", "held"]


UNCOUNTED = """
from sqlalchemy.orm import Mapped
from minidw.schema.base import Code
from minidw import Mart, key

class Uncounted(Mart):
    __tablename__ = "uncounted"
    customer_id: Mapped[Code] = key(lambda line: line.customer_id)
"""


def test_a_mart_without_a_count_is_refused_where_it_is_declared() -> None:
    # In a process of its own: a class cannot be taken back.
    done = subprocess.run([sys.executable, "-c", UNCOUNTED], capture_output=True, text=True, check=False)
    assert "DeclarationError: Uncounted: it needs one count()" in done.stderr


def test_a_fingerprint_follows_the_rules_that_the_mart_uses() -> None:
    other = Settings(segment_vip=Decimal(20000)).rules
    assert fingerprint(CustomerSegments, RULES) != fingerprint(CustomerSegments, other)
    assert fingerprint(CustomerLtv, RULES) == fingerprint(CustomerLtv, other)


def test_a_fingerprint_follows_the_source() -> None:
    other = Settings(revenue_statuses=("delivered",)).rules
    assert fingerprint(CustomerSegments, RULES) != fingerprint(CustomerSegments, other)
