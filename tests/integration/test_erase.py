"""A customer is erased: the name goes everywhere, the orders and what they add up to stay."""

import hmac
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, LargeBinary, select, text

import minidw
from minidw import CustomerLtv, Erasure, ErasureKey, Result, Settings, SettingsError
from minidw.feed.known import known_names
from minidw.schema import Base

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=Decimal(1))


def places(conn: Connection, word: str) -> set[str]:
    """The columns of all tables that have the word, which no digest or run id could contain, somewhere."""
    return {
        f"{table.fullname}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.c
        if not isinstance(column.type, LargeBinary)
        if conn.scalar(
            text(f"SELECT count(*) FROM {table} WHERE CAST({column.name} AS text) ILIKE '%' || :word || '%'"),
            {"word": word},
        )
    }


def sums(conn: Connection) -> list[tuple[Any, ...]]:
    """What erasing must not change: the counts of the ledger, the revenue of each mart, the rejects."""
    found = []
    for query in (
        "SELECT batch_id, sha256, rows_read, inserted, updated, unchanged, superseded, rejected"
        " FROM raw.batches",
        "SELECT * FROM mart.daily_revenue",
        "SELECT * FROM mart.product_revenue",
        "SELECT lifetime_value, order_lines, first_order_at, last_order_at FROM mart.customer_ltv",
        "SELECT lifetime_value, segment FROM mart.customer_segments",
        "SELECT * FROM staging.orders_rejected",
        "SELECT * FROM staging.orders_totals",
        "SELECT batch_id, source_row, order_id, product_id, price, quantity, status FROM raw.orders_all",
    ):
        found += sorted(map(tuple, conn.execute(text(query))), key=str)
    return found


def erase(conn: Connection, *customers: str) -> Result:
    """Erase; the sums stay, everything follows from everything, and all checks are fine."""
    before = sums(conn)
    result = minidw.erase(customers, conn)
    assert sums(conn) == before
    assert minidw.verify(conn).differences == []
    assert not any(outcome.failed for outcome in minidw.run_checks(conn).checked)
    return result


@pytest.fixture
def delivered(conn: Connection, feed: WriteFeed) -> Connection:
    """Ada in two batches, corrected, repeated, rejected, malformed, in notes of others, and in names."""
    first = feed(
        """
        order_id | customer_id  | price | city    | note
        1        | ada@mail.org | 10    | Turin   | call ada@mail.org.
        2        | bob          | 20    | Oslo    | a friend of <ada@mail.org>
        3        | ada@mail.org | x     | Turin   | -
        4        | eve          | 40    | Nada    | ada@mail.organic
        """,
        name="orders of ada@mail.org.csv",
    )
    first.write_bytes(first.read_bytes() + b"9,2024-05-01,ada@mail.org,p1,books,1,1,delivered\n")
    minidw.run(first, conn, feed=minidw.Feed(skip_malformed=True), settings=LENIENT)
    second = "order_id | customer_id | price\n1 | ada@mail.org | 11\n2 | bob | 20\n5 | ada@mail.org | 50"
    minidw.run(feed(second), conn)
    third = "order_id | customer_id | status\n5 | ada@mail.org | lost\n6 | bob | shipped"
    minidw.run(feed(third), conn, settings=LENIENT)
    return conn


def test_the_name_is_gone_and_everything_else_stays(delivered: Connection) -> None:
    assert len(places(delivered, "ada@mail.org")) > 6

    (erased,) = erase(delivered, "ada@mail.org").erased

    assert re.fullmatch("erased-[0-9a-f]{16}", erased.pseudonym)
    assert (erased.order_lines, erased.rows, erased.mentions) == (2, 5, 4)
    # In a longer word it is another
    assert places(delivered, "ada@mail.org") == {"raw.orders_all.extra"}
    extra = delivered.scalars(
        text("SELECT extra FROM raw.orders_all WHERE batch_id = 1 ORDER BY source_row")
    ).all()
    assert extra == [
        {"city": None, "note": None},
        {"city": "Oslo", "note": f"a friend of <{erased.pseudonym}>"},
        {"city": None, "note": None},
        {"city": "Nada", "note": "ada@mail.organic"},
    ]
    line = delivered.scalar(text("SELECT text FROM raw.lines_malformed"))
    assert line == f"9,2024-05-01,{erased.pseudonym},p1,books,1,1,delivered"
    assert delivered.scalar(text("SELECT file_name FROM raw.batches WHERE batch_id = 1")) == (
        f"orders of {erased.pseudonym}.csv"
    )
    assert delivered.scalar(text("SELECT count(*) FROM raw.orders_raw")) == 0
    # The ledger says that and when
    assert delivered.scalar(text("SELECT count(*) FROM raw.runs WHERE command = 'erase'")) == 1


def test_later_work_does_not_bring_the_name_back(delivered: Connection, feed: WriteFeed) -> None:
    (erased,) = erase(delivered, "ada@mail.org").erased
    minidw.build_staging(delivered, replay=True, settings=LENIENT)
    minidw.build_marts(delivered, full=True)
    minidw.unload(2, delivered)
    assert places(delivered, "ada@mail.org") == {"raw.orders_all.extra"}
    line = "SELECT order_id, customer_id, price FROM staging.orders_stg ORDER BY 1"
    assert tuple(delivered.execute(text(line)).first() or ()) == ("1", erased.pseudonym, 10)
    assert minidw.run(feed("order_id | customer_id\n7 | cyd"), delivered).staged[0].inserted == 1
    assert minidw.verify(delivered).differences == []


def test_a_later_delivery_is_told_and_can_be_erased_as_well(delivered: Connection, feed: WriteFeed) -> None:
    (first,) = erase(delivered, "ada@mail.org").erased
    path = feed("order_id | customer_id | price\n1 | ada@mail.org | 11\n8 | bob | 1\n9 | ada@mail.org | x")

    result = minidw.run(path, delivered, settings=LENIENT)

    (told,) = [outcome for outcome in result.checked if outcome.name == "erased_customers_delivered"]
    assert (told.severity, told.offending) == ("warning", 1)
    assert told.samples[0] | {"erased_at": ""} == {
        "batch_id": "4", "customer_id": "ada@mail.org", "rows": "2", "erased_at": ""
    }  # fmt: skip
    assert told.name in {row["name"] for row in minidw.status(delivered)["warnings"]}
    (second,) = erase(delivered, "ada@mail.org").erased
    assert second.pseudonym != first.pseudonym
    assert places(delivered, "ada@mail.org") == {"raw.orders_all.extra"}
    # And in the place of another batch it is told as well
    again = minidw.run(feed("order_id | customer_id\n1 | ada@mail.org"), delivered, replace=2)
    assert "erased_customers_delivered" in {outcome.name for outcome in again.checked if outcome.offending}


def test_the_hash_is_hmac_under_a_key_of_the_warehouse(delivered: Connection) -> None:
    erase(delivered, "ada@mail.org", "bob")
    inner, outer = delivered.execute(select(ErasureKey.inner_key, ErasureKey.outer_key)).one()
    key = bytes(byte ^ 0x36 for byte in inner)
    assert (len(key), key) == (64, bytes(byte ^ 0x5C for byte in outer))
    hashes = {hmac.new(key, name, "sha256").hexdigest() for name in (b"ada@mail.org", b"bob")}
    assert set(delivered.scalars(select(Erasure.customer_hash))) == hashes


@pytest.mark.parametrize(
    ("written", "reasons"),
    [
        ("  uma ", None),
        ("u\u0301ma", None),
        ("u\u200bm\u200ba", ["INVISIBLE_CHARACTER"]),
        ("uma\u00a0", ["INVISIBLE_CHARACTER"]),
        ("l" * 256, ["FIELD_TOO_LONG"]),
        ("l" * 300 + "\ufeff", ["INVISIBLE_CHARACTER", "FIELD_TOO_LONG"]),
    ],
)
def test_however_it_is_written_it_is_judged_as_before(
    conn: Connection, feed: WriteFeed, written: str, reasons: list[str] | None
) -> None:
    path = feed("order_id | customer_id\n1 | bob\n2 | NAME")
    path.write_text(path.read_text("utf-8").replace("NAME", written), "utf-8")
    minidw.run(path, conn, settings=LENIENT)
    (erased,) = erase(conn, written).erased
    assert (erased.rows, erased.order_lines) == (1, 1 if reasons is None else 0)
    assert conn.scalar(text("SELECT max(reasons) FROM staging.orders_rejected")) == reasons
    assert places(conn, written.strip()) == set()


def test_a_number_is_a_customer_only_where_it_is_said_to_be(conn: Connection, feed: WriteFeed) -> None:
    rows = """
        order_id | customer_id | product_id | price | size
        42       | 42          | 42         | 42    | 42
        43       | 7           | 42         | 42    | 142
        44       | 7           | 42         | 42    | 42
        """
    minidw.run(feed(rows, name="of 42.csv"), conn)
    (erased,) = erase(conn, "42").erased
    delivered = conn.execute(
        text("SELECT customer_id, extra->>'size' FROM raw.orders_all ORDER BY source_row")
    )
    assert [tuple(row) for row in delivered] == [
        (erased.pseudonym, None),
        ("7", "142"),
        ("7", erased.pseudonym),
    ]
    assert conn.scalar(text("SELECT file_name FROM raw.batches")) == "of 42.csv"


def test_a_feed_keeps_what_its_orders_are_made_of(conn: Connection, feed: WriteFeed) -> None:
    # Given a feed that takes the first of two columns, and fills down
    rows = """
        order_id | Email | Phone | City | Kind
        1        | a@b.c | q5w   | Rome | toys
        1        | -     | -     | Pisa | books
        2        | -     | q5w   | Bari | toys
        """
    path = feed(rows)
    path.write_text(path.read_text().replace("c1", "").replace("books", ""))
    columns = {
        "customer_id": ["Email", "Phone"],
        "category": ["Kind", {"value": "none"}],
    }
    declared = minidw.Feed(columns=columns, fill_down=("customer_id",))
    minidw.run(path, conn, feed=declared, number_lines=True)

    (erased,) = erase(conn, "a@b.c").erased

    assert (erased.order_lines, erased.rows) == (2, 2)
    delivered = conn.scalars(text("SELECT extra FROM raw.orders_all ORDER BY source_row")).all()
    assert [(row["Email"], row["Phone"], row["City"], row["Kind"]) for row in delivered] == [
        (erased.pseudonym, None, None, "toys"),
        (None, None, None, None),
        (None, "q5w", "Bari", "toys"),
    ]
    (other,) = erase(conn, "q5w").erased
    assert other.order_lines == 1
    assert places(conn, "q5w") == set()


def test_of_others_the_id_is_left_only_where_their_orders_are_made_of_it(
    conn: Connection, feed: WriteFeed
) -> None:
    # Given ada, a product of that name, and eve, whose second column names ada
    path = feed("order_id | Email | Phone | SKU | Title\n1 | ada | - | s1 | -\n2 | eve | ada | - | ada")
    columns = {"customer_id": ["Email", "Phone"], "product_id": ["SKU", "Title"]}
    minidw.run(path, conn, feed=minidw.Feed(columns=columns))
    (erased,) = erase(conn, "ada").erased
    own, other = conn.scalars(text("SELECT extra FROM raw.orders_all ORDER BY source_row")).all()
    assert (own["Email"], own["SKU"]) == (erased.pseudonym, "s1")
    assert (other["Email"], other["Phone"], other["Title"]) == ("eve", erased.pseudonym, "ada")
    products = conn.scalars(text("SELECT product_id FROM mart.product_revenue ORDER BY 1")).all()
    assert (products, erased.mentions) == (["ada", "s1"], 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customer_id": ["Email", {"value": "guest"}]}, "calls every customer so who has no id"),
        (
            {"customer_id": ["Email", "Ref"], "order_id": ["Ref", "Email"]},
            "makes order_id of .Email.",
        ),
    ],
)
def test_what_a_feed_says_of_everybody_is_refused(
    conn: Connection, feed: WriteFeed, columns: dict[str, Any], message: str
) -> None:
    path = feed("Email | Ref\n- | 7\nguest | 8")
    minidw.run(path, conn, feed=minidw.Feed(columns=columns))
    with pytest.raises(SettingsError, match=message):
        minidw.erase("guest", conn)


@pytest.mark.parametrize(
    "name",
    [name if name == "shopify" else pytest.param(name, marks=pytest.mark.slow) for name in known_names()],
)
def test_a_customer_of_an_export_of_a_shop(conn: Connection, name: str) -> None:
    export = minidw.generate_export(name, orders=30, seed=3)
    settings = Settings(currency=export.currency)
    minidw.run(export.path, conn, feed=minidw.named_feed(name), settings=settings)
    most = select(CustomerLtv.customer_id).where(CustomerLtv.customer_id != "guest")
    customer = conn.scalars(most.order_by(CustomerLtv.order_lines.desc(), CustomerLtv.customer_id)).first()
    assert customer is not None

    (erased,) = erase(conn, customer).erased

    held = select(CustomerLtv.order_lines).where(CustomerLtv.customer_id == erased.pseudonym)
    assert erased.rows >= erased.order_lines >= (conn.scalar(held) or 0) > 0
    assert places(conn, customer) - {"raw.orders_all.order_id"} == set()


def test_a_name_made_of_two_columns(conn: Connection, feed: WriteFeed) -> None:
    path = feed("order_id | First | Last\n1 | Ada | King\n2 | Ada | Byron")
    columns = {"customer_id": ["First", "Last", {"join": " "}]}
    minidw.run(path, conn, feed=minidw.Feed(columns=columns))
    (erased,) = erase(conn, "Ada King").erased
    rows = conn.scalars(text("SELECT extra FROM raw.orders_all ORDER BY source_row")).all()
    assert [(row["First"], row["Last"]) for row in rows] == [(erased.pseudonym, None), ("Ada", "Byron")]


def test_what_waits_and_what_was_pruned(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | customer_id\n1 | uma\n2 | uma"), conn)
    conn.execute(text("UPDATE raw.batches SET load_date = '2020-01-01'"))
    minidw.prune(date(2020, 1, 2), conn)
    minidw.load_raw(feed("order_id | customer_id\n2 | uma\n3 | uma"), conn)
    minidw.build_staging(conn)
    minidw.load_raw(feed("order_id | customer_id\n4 | uma"), conn)
    minidw.erase("uma", conn)
    assert places(conn, "uma") == set()
    minidw.run(feed("order_id | customer_id\n5 | bob"), conn)
    assert conn.scalar(text("SELECT order_lines FROM mart.customer_ltv WHERE customer_id <> 'bob'")) == 4
    assert minidw.verify(conn).differences == []


def test_what_waited_for_a_build_is_told_as_built(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | customer_id | price\n1 | bob | 1\n2 | zoe | x"), conn, settings=LENIENT)
    minidw.load_raw(feed("order_id | customer_id\n3 | bob"), conn)
    minidw.build_staging(conn)
    result = minidw.erase("zoe", conn)
    assert (result.erased[0].rows, result.erased[0].order_lines) == (1, 0)
    assert {built.method for built in result.built} == {"incremental"}


@pytest.mark.parametrize(
    ("customers", "message"),
    [
        ([], "give at least one customer"),
        (["bob", " "], "customer 2 of 2 is blank"),
        (["bob", "zoe"], "nothing names customer 2 of 2: write the id as it is staged; nothing was done"),
    ],
)
def test_what_cannot_be_erased(conn: Connection, feed: WriteFeed, customers: list[str], message: str) -> None:
    minidw.run(feed("order_id | customer_id\n1 | bob"), conn)
    with pytest.raises(SettingsError, match=message):
        minidw.erase(customers, conn)


def test_the_failure_to_erase_names_nobody(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | customer_id\n1 | bob"), warehouse)
    with pytest.raises(SettingsError, match="nothing names customer 1 of 1"):
        minidw.erase("zoe", warehouse)
    minidw.erase("bob", warehouse)
    with pytest.raises(SettingsError, match="nothing names customer 1 of 1: it was erased at 20"):
        minidw.erase("bob", warehouse)
    with warehouse.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM raw.runs WHERE failure LIKE '%customer 1 of 1%'")) == 2
        assert places(conn, "zoe") | places(conn, "bob") == set()
