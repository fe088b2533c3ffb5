"""Marts for a program: as objects and as Arrow they hold what the table holds, to the last digit."""

import importlib
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Engine,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import Session

import minidw
from minidw import CustomerLtv, DailyRevenue, Run
from minidw.extract import arrow_reader

ORDERS = """
order_id | order_timestamp  | customer_id | price
1        | 2024-05-01 10:00 | ada         | 0.10
2        | 2024-05-02 11:00 | bob         | 12345678.9012
3        | 2024-05-03 12:00 | zoë, "q"    | 5
"""


@pytest.fixture
def loaded(conn: Connection, feed: Callable[..., Path]) -> Connection:
    minidw.run(feed(ORDERS), conn)
    return conn


def test_rows_are_objects_of_the_class_in_the_order_of_the_key(loaded: Connection) -> None:
    rows = list(minidw.read(DailyRevenue, loaded))
    assert [(row.order_date.day, row.revenue) for row in rows] == [
        (1, Decimal("0.1")),
        (2, Decimal("12345678.9012")),
        (3, Decimal(5)),
    ]
    assert all(inspect(row).detached for row in rows)


@pytest.mark.parametrize("mart", [CustomerLtv, "customer_ltv", "mart.customer_ltv"])
def test_a_condition_chooses(loaded: Connection, mart: Any) -> None:
    where = CustomerLtv.customer_id.in_(["ada", 'zoë, "q"', "it's 100 %s"])
    (ada, zoe) = minidw.read(mart, loaded, where=where)
    assert minidw.to_arrow(mart, loaded, where=where).read_all().to_pylist() == [
        {column.name: getattr(row, column.name) for column in CustomerLtv.__table__.c} for row in (ada, zoe)
    ]


def test_what_the_caller_does_between_two_rows_stays(loaded: Connection) -> None:
    # Given a reader that is halfway
    rows = minidw.read(DailyRevenue, loaded)
    next(rows)
    # When the caller writes and takes back a part
    loaded.execute(
        insert(Run).values(command="mine", started_at=func.now(), finished_at=func.now(), seconds={})
    )
    with loaded.begin_nested() as savepoint:
        loaded.execute(text("DELETE FROM mart.daily_revenue"))
        savepoint.rollback()
    # Then the rest of the rows is there, and what was written stays
    assert len(list(rows)) == 2
    assert loaded.scalar(select(Run.command).where(Run.command == "mine")) == "mine"


def test_of_an_engine_one_state_is_read_and_the_connection_given_back(
    warehouse: Engine, feed: Callable[..., Path]
) -> None:
    minidw.run(feed(ORDERS), warehouse)
    rows = minidw.read(DailyRevenue, warehouse)
    first, reader = next(rows), minidw.to_arrow(DailyRevenue, warehouse)
    minidw.run(feed("order_id | order_timestamp\n9 | 2024-05-09"), warehouse)
    assert [row.order_date.day for row in (first, *rows)] == [1, 2, 3]
    assert reader.read_all().num_rows == 3
    assert warehouse.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_of_a_session_what_it_did_is_seen(session: Session, feed: Callable[..., Path]) -> None:
    minidw.run(feed(ORDERS), session)
    session.add(DailyRevenue(order_date=date(2024, 6, 1), revenue=1, order_lines=1))
    assert len(list(minidw.read(DailyRevenue, session))) == 4
    assert minidw.to_arrow(DailyRevenue, session).read_all().num_rows == 4


def test_every_library_gets_the_same_numbers(loaded: Connection) -> None:
    pandas, polars, duckdb = map(importlib.import_module, ("pandas", "polars", "duckdb"))

    def reader() -> Any:
        return minidw.to_arrow(DailyRevenue, loaded)

    amounts = [Decimal("0.1000"), Decimal("12345678.9012"), Decimal("5.0000")]
    assert list(reader().read_pandas()["revenue"]) == amounts
    assert polars.DataFrame(reader())["revenue"].to_list() == amounts
    assert [row[0] for row in duckdb.from_arrow(reader()).project("revenue").fetchall()] == amounts
    exact = reader().read_all().to_pandas(types_mapper=pandas.ArrowDtype)
    assert exact["revenue"].sum() == sum(amounts)


def test_an_empty_mart_has_its_types(conn: Connection) -> None:
    table = minidw.to_arrow(CustomerLtv, conn).read_all()
    assert (table.num_rows, str(table.schema.field("lifetime_value").type)) == (0, "decimal128(38, 4)")


@pytest.mark.parametrize("call", [minidw.read, minidw.to_arrow])
def test_a_mart_that_is_not_there_is_named(conn: Connection, call: Any) -> None:
    with pytest.raises(minidw.SettingsError, match="there is no mart 'sales'; there are daily_revenue, "):
        call("sales", conn)


KINDS = Table(
    "kinds",
    MetaData(),
    Column("small", SmallInteger),
    Column("money", Numeric(38, 4)),
    Column("wide", Numeric(60, 10)),
    Column("any", Numeric),
    Column("double", Double),
    Column("text", Text),
    Column("flag", Boolean),
    Column("local", DateTime),
    Column("instant", DateTime(timezone=True)),
    prefixes=["TEMPORARY"],
)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30))
VALUES = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "money": st.decimals(-(10**34) + 1, 10**34 - 1, places=4),
    "wide": st.decimals(-(10**50) + 1, 10**50 - 1, places=10),
    "any": st.decimals(-(10**30), 10**30, places=7),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "text": st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    "flag": st.booleans(),
    "local": TIMES,
    "instant": TIMES,
}

ROWS = st.fixed_dictionaries({name: st.none() | value for name, value in VALUES.items()})


@pytest.fixture
def kinds(conn: Connection) -> Connection:
    """A connection in UTC, with a table of every kind of column."""
    conn.execute(text("SET LOCAL TimeZone = 'UTC'"))
    KINDS.create(conn)
    return conn


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=5))
def test_any_value_comes_through_exactly(kinds: Connection, rows: list[dict[str, Any]]) -> None:
    kinds.execute(KINDS.delete())
    if rows:
        kinds.execute(insert(KINDS), rows)
    found = arrow_reader(kinds, select(KINDS)).read_all().to_pylist()
    for row in found:
        for name in ("any", "wide"):  # more than Arrow's decimals hold, or of any length: as text
            row[name] = row[name] and Decimal(row[name])
        row["instant"] = row["instant"] and row["instant"].replace(tzinfo=None)
    assert found == rows
