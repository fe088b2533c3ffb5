"""Marts of one's own on data: what a column is of one line does not depend on which lines came together."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from sqlalchemy import Connection, Numeric, case, cast, func, select
from sqlalchemy.orm import Mapped, mapped_column

import minidw
from minidw import Mart, count, key, ratio, smallest, total, value
from tests.support import own_marts

WriteFeed = Callable[..., Path]


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with own_marts.for_a_while():
        yield


def rows(conn: Connection, mart: type[Mart]) -> list[tuple[Any, ...]]:
    """The rows of a mart, in order."""
    table: Any = mart.__table__
    return [tuple(row) for row in conn.execute(select(*table.c).order_by(*table.primary_key))]


def run(conn: Connection, path: Path) -> None:
    """Run a file; the marts must follow it by its changes, and agree with their queries."""
    built = minidw.run(path, conn).built
    assert {one.method for one in built} <= {"incremental", "full"}
    assert minidw.verify(conn).differences == []


@pytest.mark.slow
def test_sixty_batches_add_up_to_what_one_batch_gives(conn: Connection, feed: WriteFeed) -> None:
    class Net(Mart):
        __tablename__ = "net"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        net: Mapped[Decimal] = total(lambda line: line.total_amount / Decimal("1.19"))
        thirds: Mapped[int] = total(lambda line: line.price / 3)
        lines: Mapped[int] = count()

    # Given 60 batches of one line of 9.99, each 8.39495… without tax
    own_marts.create_tables(conn)
    for number in range(60):
        minidw.run(feed(f"order_id | price\n{number} | 9.99"), conn)
    # Then every line counts with four decimals, however they came,
    assert rows(conn, Net) == [("c1", 60 * Decimal("8.3950"), 60 * 3, 60)]
    assert minidw.verify(conn).differences == []
    # and the full build says the same.
    minidw.build_marts(conn, full=True)
    assert rows(conn, Net) == [("c1", 60 * Decimal("8.3950"), 60 * 3, 60)]


def test_what_may_be_null_comes_and_goes(conn: Connection, feed: WriteFeed) -> None:
    class Shipped(Mart):
        __tablename__ = "shipped"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        shipped: Mapped[Decimal | None] = total(
            lambda line: case((line.status == "shipped", line.total_amount))
        )
        zero: Mapped[Decimal] = total(lambda line: case((line.status == "shipped", line.total_amount)))
        first: Mapped[datetime | None] = smallest(
            lambda line: case((line.status == "shipped", line.order_timestamp))
        )
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id | status\n1 | delivered\n2 | pending"))
    assert rows(conn, Shipped) == [("c1", None, Decimal(0), None, 2)]
    # A first value
    run(conn, feed("order_id | status | price\n2 | shipped | 7"))
    assert rows(conn, Shipped) == [("c1", Decimal(7), Decimal(7), datetime(2024, 5, 1, 10), 2)]
    # The last one gone
    run(conn, feed("order_id | status\n2 | delivered"))
    assert rows(conn, Shipped) == [("c1", None, Decimal(0), None, 2)]


def test_a_line_that_is_no_number_spoils_its_key_only_while_it_is_there(
    conn: Connection, feed: WriteFeed
) -> None:
    class Read(Mart):
        __tablename__ = "read"
        product: Mapped[str] = key(lambda line: line.product_id)
        read: Mapped[Decimal] = total(lambda line: cast(line.customer_id, Numeric))
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id | customer_id\n1 | 7\n2 | 1.5"))
    run(conn, feed("order_id | customer_id\n2 | NaN"))
    assert rows(conn, Read)[0][1].is_nan()
    run(conn, feed("order_id | customer_id\n2 | 3"))
    assert rows(conn, Read) == [("p1", Decimal(10), 2)]


def test_keys_fall_together_by_their_type(conn: Connection, feed: WriteFeed) -> None:
    class ByPrice(Mart):
        __tablename__ = "by_price"
        whole: Mapped[int] = key(lambda line: line.price)
        tenths: Mapped[Annotated[Decimal, mapped_column(Numeric(10, 1))]] = key(lambda line: line.price / 3)
        day: Mapped[date] = key(lambda line: line.order_timestamp)
        many: Mapped[bool] = key(lambda line: line.quantity > 1)
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id | price\n1 | 10.2\n2 | 10.1\n3 | 10.6"))
    run(conn, feed("order_id | price\n3 | 10.3"))
    key_of_all = (10, Decimal("3.4"), date(2024, 5, 1), False)
    assert rows(conn, ByPrice) == [(*key_of_all, 3)]
    assert len(minidw.why(ByPrice, key_of_all, conn)) == 3


def test_a_mart_of_one_row(conn: Connection, feed: WriteFeed) -> None:
    class Everything(Mart):
        __tablename__ = "everything"
        condition = None
        what: Mapped[str] = key(lambda _: "all")
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id\n1\n2"))
    run(conn, feed("order_id\n3"))
    assert rows(conn, Everything) == [("all", 3)]


def test_a_ratio_over_nothing_is_null(conn: Connection, feed: WriteFeed) -> None:
    class Share(Mart):
        __tablename__ = "share"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        dear: Mapped[int] = total(lambda line: case((line.price > 100, line.quantity), else_=0))
        lines: Mapped[int] = count()
        lines_per_dear: Mapped[Decimal | None] = ratio("lines", "dear")

    own_marts.create_tables(conn)
    run(conn, feed("order_id | price | quantity\n1 | 10 | 1"))
    assert rows(conn, Share) == [("c1", 0, 1, None)]
    run(conn, feed("order_id | price | quantity\n2 | 200 | 4"))
    assert rows(conn, Share) == [("c1", 4, 2, Decimal("0.5"))]


def test_marts_that_derive_from_one_another(conn: Connection, feed: WriteFeed) -> None:
    class Rich(Mart):
        """Only keys, and a condition."""

        __tablename__ = "rich"
        source = minidw.CustomerLtv
        condition = lambda customer: customer.lifetime_value > 100  # noqa: E731
        customer: Mapped[str] = key(lambda customer: customer.customer_id)

    class Greeting(Mart):
        """Of a derived mart, and only text."""

        __tablename__ = "greeting"
        source = Rich
        name: Mapped[str] = key(lambda rich: rich.customer)
        text: Mapped[str] = value(lambda rich: "Dear " + func.initcap(rich.customer))

    own_marts.create_tables(conn)
    run(conn, feed("order_id | customer_id | price\n1 | ada | 200\n2 | bob | 2"))
    assert rows(conn, Greeting) == [("ada", "Dear Ada")]
    richer = feed("order_id | customer_id | price\n3 | bob | 999\n1 | ada | 1")
    previews = {one.mart: (one.gained, one.lost, one.changed) for one in minidw.preview(richer, conn).marts}
    run(conn, richer)
    assert (previews["rich"], previews["greeting"]) == ((1, 1, 0), (1, 1, 0))
    assert (rows(conn, Rich), rows(conn, Greeting)) == ([("bob",)], [("bob", "Dear Bob")])
    assert [line["order_id"] for line in minidw.why(Greeting, "bob", conn)] == ["2", "3"]
    assert minidw.why(Greeting, "ada", conn) == []


def test_a_preview_of_a_mart_whose_first_column_is_a_time(conn: Connection, feed: WriteFeed) -> None:
    class First(Mart):
        __tablename__ = "first_order"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        first: Mapped[datetime] = smallest(lambda line: line.order_timestamp)
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id\n1"))
    (change,) = minidw.preview(feed("order_id | order_timestamp\n2 | 2024-01-01"), conn).marts[-1].rows
    assert change.after == {"first": datetime(2024, 1, 1), "lines": 2}


def test_a_mart_that_rounds_is_not_held_against_the_control_totals(conn: Connection, feed: WriteFeed) -> None:
    class Euros(Mart):
        __tablename__ = "euros"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        euros: Mapped[int] = total(lambda line: line.total_amount)
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    run(conn, feed("order_id | price\n1 | 1.5\n2 | 2.2"))
    assert rows(conn, Euros) == [("c1", 4, 2)]


@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
def test_a_mart_that_a_run_did_not_know_is_built_in_full_by_the_next_that_does(
    conn: Connection, feed: WriteFeed
) -> None:
    def declare() -> type[Mart]:
        class Statuses(Mart):
            __tablename__ = "statuses"
            status: Mapped[str] = key(lambda line: line.status)
            lines: Mapped[int] = count()

        return Statuses

    # Given a mart of one's own that was built
    with own_marts.for_a_while():
        declare()
        own_marts.create_tables(conn)
        run(conn, feed("order_id\n1"))
    # When a file is run where nobody declares it
    passed_by = minidw.run(feed("order_id\n2"), conn).built[-1]
    assert (passed_by.mart, passed_by.method, passed_by.rows) == ("statuses", "none", 1)
    assert passed_by.reason == "it is not declared here: is MINIDW_MARTS set?"
    # Then it is known to be behind where it is declared, and the next run makes it exact.
    with own_marts.for_a_while():
        statuses = declare()
        assert minidw.verify(conn).full_builds_waiting == ["statuses"]
        built = minidw.run(feed("order_id\n3"), conn).built[-1]
        assert (built.method, built.reason) == ("full", "a build passed it by: it was not declared there")
        assert rows(conn, statuses) == [("delivered", 3)]
        assert minidw.verify(conn).differences == []
    conn.exec_driver_sql("DROP TABLE mart.statuses")
    assert [one.mart for one in minidw.run(feed("order_id\n4"), conn).built][4:] == []


def test_an_error_of_the_database_names_the_mart(conn: Connection, feed: WriteFeed) -> None:
    class Broken(Mart):
        __tablename__ = "broken"
        customer: Mapped[str] = key(lambda line: line.customer_id)
        infinite: Mapped[Decimal] = total(lambda line: line.price / (line.quantity - 1))
        lines: Mapped[int] = count()

    own_marts.create_tables(conn)
    with pytest.raises(minidw.DatabaseError, match=r"^mart\.broken: division by zero \(SQLSTATE 22012\)$"):
        minidw.run(feed("order_id\n1"), conn)


def test_a_derived_mart_is_built_again_where_a_ratio_of_its_source_changed() -> None:
    from minidw.transforms.marts import fingerprint

    def declare(number: int, below: str) -> str:
        columns = {
            "customer": (str, key(lambda line: line.customer_id)),
            "units": (int, total(lambda line: line.quantity)),
            "lines": (int, count()),
            "share": (Decimal | None, ratio("units", below)),
        }
        body = {"__annotations__": {n: Mapped[t] for n, (t, _) in columns.items()}}  # type: ignore[valid-type]
        words = {name: word for name, (_, word) in columns.items()}
        source = type(f"Source{number}", (Mart,), {"__tablename__": "of_lines", **body, **words})
        derived: Any = type(
            f"Derived{number}",
            (Mart,),
            {
                "__tablename__": "of_mart",
                "source": source,
                "__annotations__": {"customer": Mapped[str], "share": Mapped[Decimal | None]},
                "customer": key(lambda row: row.customer),
                "share": value(lambda row: row.share),
            },
        )
        return fingerprint(derived, minidw.Settings().rules)

    with own_marts.for_a_while():
        one = declare(1, "lines")
    assert one != declare(2, "units")
