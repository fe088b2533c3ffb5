"""Nothing is lost in silence: a warning with count and samples, or a refusal where it is certain."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

import minidw
from minidw import BadFileError, Checked, Result, Settings
from tests.support.feeds import write_feed

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=Decimal(1))


def warnings(result: Result) -> dict[str, Checked]:
    """The warnings of a run that found something, by their name."""
    return {outcome.name: outcome for outcome in result.checked if outcome.offending}


def amount(conn: Connection) -> Decimal:
    """What all that is staged amounts to."""
    return conn.scalar(text("SELECT sum(total_amount) FROM staging.orders_stg")) or Decimal(0)


def revenue(conn: Connection) -> Decimal:
    """What the marts count."""
    return conn.scalar(text("SELECT sum(revenue) FROM mart.daily_revenue")) or Decimal(0)


# Rejected rows that name a staged line


def test_a_rejected_row_that_names_a_staged_line_is_told(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | price | status\n1 | 100 | delivered\n2 | 10 | delivered"), conn)

    result = minidw.run(
        feed("order_id | price | status\n1 | 100 | refunded\n3 | 5 | refunded\n2 | 10 | delivered"),
        conn,
        settings=LENIENT,
    )

    (found,) = warnings(result).values()
    assert (found.name, found.severity, found.offending) == ("rejects_of_staged_lines", "warning", 1)
    assert found.samples == [
        {"batch_id": "2", "source_row": "1", "order_id": "1", "line_number": "1", "reasons": "UNKNOWN_STATUS",
         "staged_from": "1", "staged_status": "delivered", "staged_amount": "100.0000"}
    ]  # fmt: skip
    kept = "SELECT offending FROM raw.check_results WHERE name = 'rejects_of_staged_lines'"
    assert conn.scalars(text(kept)).all() == [1]
    (shown,) = minidw.status(conn)["warnings"]
    assert (shown["name"], shown["samples"]) == (found.name, found.samples)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("order_id | price\n1 | 10\n1 | x", True),
        ("order_id | price\n1 | x\n1 | 10", False),
        ("order_id | price\n1 | x\n2 | 10", False),
    ],
)
def test_a_row_of_the_same_file_counts_where_it_comes_after(
    conn: Connection, feed: WriteFeed, rows: str, told: bool
) -> None:
    result = minidw.run(feed(rows), conn, settings=LENIENT)
    assert set(warnings(result)) == ({"rejects_of_staged_lines"} if told else set())


def test_several_batches_of_one_run_have_one_outcome(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1\n2"), conn)
    for order in (1, 2):
        minidw.load_raw(feed(f"order_id | status\n{order} | lost\n9{order} | shipped"), conn)
    result = minidw.run(feed("order_id\n5"), conn, settings=LENIENT)
    assert warnings(result)["rejects_of_staged_lines"].offending == 2
    assert len(warnings(result)["rejects_of_staged_lines"].samples) == 2


# Numbered lines that take the place of another file's


def test_numbered_lines_in_the_place_of_another_file_s_are_told(conn: Connection, feed: WriteFeed) -> None:
    page = "order_id | product_id | price\n"
    minidw.run(feed(f"{page}1001 | MUG | 20\n1002 | MUG | 20\n1002 | CAP | 30"), conn, number_lines=True)

    result = minidw.run(feed(f"{page}1002 | BAG | 50\n1003 | MUG | 20"), conn, number_lines=True)

    (found,) = warnings(result).values()
    assert (found.name, found.offending) == ("numbered_lines_replaced", 1)
    (sample,) = found.samples
    assert (sample["order_id"], sample["replaced_from"]) == ("1002", "1")
    assert (sample["replaced_product_id"], sample["product_id"]) == ("MUG", "BAG")


def test_another_status_of_a_numbered_line_is_a_correction(conn: Connection, feed: WriteFeed) -> None:
    for status in ("pending", "delivered"):
        rows = f"order_id | product_id | status\n1 | MUG | {status}\n1 | CAP | {status}"
        result = minidw.run(feed(rows), conn, number_lines=True)
    assert warnings(result) == {}


RETURNS = minidw.Feed(returns="subtract")


def test_a_second_return_in_a_third_file_is_told(conn: Connection, feed: WriteFeed) -> None:
    # Given an order of five, and one of them given back twice: each file numbers its return as the first
    page = "order_id | order_timestamp | price | quantity\n"
    for day, quantity in enumerate((5, -1, -1), start=1):
        path = feed(f"{page}1 | 2024-05-0{day} | 10 | {quantity}")
        result = minidw.run(path, conn, feed=RETURNS)

    (found,) = warnings(result).values()
    (sample,) = found.samples
    assert (found.name, sample["order_id"], sample["replaced_from"]) == ("numbered_lines_replaced", "1", "2")
    assert sample["replaced_order_timestamp"] == "2024-05-02 00:00:00"
    assert amount(conn) == 40
    # The files of the order together say it all
    minidw.unload([1, 2, 3], conn)
    minidw.run(feed(f"{page}1 | 2024-05-01 | 10 | 5\n1 | 2024-05-02 | 10 | -1\n1 | 2024-05-03 | 10 | -1"),
               conn, feed=RETURNS)  # fmt: skip
    assert amount(conn) == 30


def test_a_return_that_is_said_again_is_no_loss(conn: Connection, feed: WriteFeed) -> None:
    for customer in ("ada", "ada ", "bob"):
        rows = f"order_id | customer_id | quantity\n1 | {customer} | 5\n1 | {customer} | -1"
        result = minidw.run(feed(rows), conn, feed=RETURNS, force=True)
        assert warnings(result) == {}
    assert amount(conn) == 40


# Orders of several lines that come without line numbers


@pytest.fixture
def numbered(conn: Connection, feed: WriteFeed) -> Connection:
    """An order of two lines, and one of a single line."""
    minidw.run(feed("order_id | line_number | price\n7001 | 1 | 20\n7001 | 2 | 30\n7002 | 1 | 30"), conn)
    return conn


def test_an_order_of_several_lines_without_numbers_is_refused(numbered: Connection, feed: WriteFeed) -> None:
    path = feed("order_id | line_no | price\n7001 | 1 | 20\n7001 | 2 | 30\n7003 | 1 | 5", name="drift.csv")
    with pytest.raises(
        BadFileError, match="order is staged with several lines, such as 7001 up to line 2"
    ) as refused:
        minidw.run(path, numbered)
    assert (refused.value.code, refused.value.file) == ("NO_LINE_NUMBERS", "drift.csv")
    assert amount(numbered) == 80
    # And either way out that it names is one
    assert minidw.run(path, numbered, number_lines=True).staged[0].unchanged == 2
    minidw.run(path, numbered, feed=minidw.Feed(columns={"line_number": "line_no"}), force=True)
    assert amount(numbered) == 85


def test_other_orders_may_come_without_numbers(numbered: Connection, feed: WriteFeed) -> None:
    assert minidw.run(feed("order_id | price\n7002 | 31\n7003 | 5"), numbered).staged[0].updated == 1


def test_a_file_without_numbers_takes_no_place_among_those_that_have_them(
    numbered: Connection, feed: WriteFeed
) -> None:
    minidw.run(feed("order_id | line_number | price\n7001 | 1 | 21\n7001 | 2 | 31"), numbered)
    plain = feed("order_id | price\n7001 | 52")
    with pytest.raises(BadFileError, match="NO_LINE_NUMBERS"):
        minidw.run(plain, numbered, replace=2)
    # But where nothing else says what lines the order has, it may
    minidw.unload([1, 2], numbered)
    assert minidw.run(plain, numbered).staged[0].inserted == 1


# Versions that were pruned


def prune_first(conn: Connection) -> None:
    """Let the first batch be old, and prune it."""
    conn.execute(text("UPDATE raw.batches SET load_date = '2020-01-01' WHERE batch_id = 1"))
    minidw.prune(date(2020, 1, 2), conn)


@pytest.fixture
def corrected(conn: Connection, feed: WriteFeed) -> Connection:
    """Orders 1 to 3 of a batch that was pruned; orders 1 and 2 were corrected, 4 and 5 are new."""
    minidw.run(feed("order_id | order_timestamp\n1 | 2025-01-01\n2 | 2025-01-01\n3 | 2025-01-01"), conn)
    prune_first(conn)
    rows = "order_id | order_timestamp\n1 | 2024-01-01\n2 | 2024-01-02\n4 | 2024-01-01\n5 | 2025-01-01"
    minidw.run(feed(rows), conn)
    return conn


def test_a_pruned_version_that_cannot_come_back_is_told_by_a_change_of_rules(corrected: Connection) -> None:
    result = minidw.set_rules({"ORDER_DATE_MIN": "2025-01-01"}, corrected, settings=LENIENT)
    (found,) = warnings(result).values()
    # Three lines vanish; the ledger knows that two of their batch were there before
    assert (found.name, found.offending) == ("pruned_versions_lost", 2)
    assert found.samples[0] == {
        "order_id": "1",
        "line_number": "1",
        "last_from": "2",
        "last_amount": "10.0000",
    }
    assert minidw.verify(corrected).differences == []


def test_a_pruned_version_that_cannot_come_back_is_told_by_an_unload(corrected: Connection) -> None:
    found = warnings(minidw.unload(2, corrected))["pruned_versions_lost"]
    assert found.offending == 2
    assert minidw.verify(corrected).differences == []


def test_new_lines_that_vanish_after_a_pruning_are_no_loss_of_it(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), conn)
    prune_first(conn)
    minidw.run(feed("order_id\n2\n3"), conn)
    minidw.run(feed("order_id | price\n3 | 7"), conn)
    assert warnings(minidw.unload([2, 3], conn)) == {}


# The ways out, each with its right value


def test_a_word_that_the_feed_declares_corrects_what_it_rejected(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | price\n1 | 100\n2 | 40"), conn)
    refund = feed("order_id | price | status\n1 | 100 | refunded\n3 | 5 | shipped")
    assert "rejects_of_staged_lines" in warnings(minidw.run(refund, conn, settings=LENIENT))
    assert revenue(conn) == 145

    declared = minidw.Feed(status={"refunded": "cancelled"})
    assert warnings(minidw.run(refund, conn, feed=declared, replace=2)) == {}
    assert revenue(conn) == 45


def test_an_order_in_two_files_is_whole_where_they_come_together(conn: Connection, feed: WriteFeed) -> None:
    first, second = "order_id | product_id | price\n1 | MUG | 80", "1 | CAP | 20"
    minidw.run(feed(first), conn, number_lines=True)
    apart = feed(f"order_id | product_id | price\n{second}")
    assert "numbered_lines_replaced" in warnings(minidw.run(apart, conn, number_lines=True))
    assert revenue(conn) == 20

    minidw.unload(2, conn)
    assert warnings(minidw.run(feed(f"{first}\n{second}"), conn, number_lines=True, replace=1)) == {}
    assert revenue(conn) == 100


@pytest.mark.parametrize(
    ("asked", "told", "right"),
    [
        ({"number_lines": True}, "values.lines was not declared, now number", 30),
        ({"feed": minidw.Feed(columns={"price": "net"})}, "columns.price was not declared, now net", 8),
        ({"feed": minidw.Feed(price_is="line")}, "values.price_is was not declared, now line", 20),
        ({}, None, 20),
    ],
)
def test_a_skipped_file_that_was_read_otherwise_says_so(
    conn: Connection, feed: WriteFeed, asked: dict[str, Any], told: str | None, right: int
) -> None:
    path = feed("order_id | price | net\n1 | 10 | 4\n1 | 20 | 8")
    minidw.run(path, conn)
    skipped = minidw.run(path, conn, **asked).loaded
    assert (skipped.skipped, skipped.otherwise) == (True, (told,) if told else ())
    assert revenue(conn) == 20
    # And the way out that the summary names gives the right value
    minidw.run(path, conn, **asked, replace=1, force=True)
    assert revenue(conn) == right


def test_a_pruned_version_comes_back_with_its_file(corrected: Connection, feed: WriteFeed) -> None:
    assert "pruned_versions_lost" in warnings(minidw.unload(2, corrected))
    assert revenue(corrected) == 10
    first = feed("order_id | order_timestamp\n1 | 2025-01-01\n2 | 2025-01-01\n3 | 2025-01-01")
    minidw.run(first, corrected, force=True)
    assert revenue(corrected) == 30


@pytest.mark.parametrize("rounded", ["1.23E+15", "1,23E+15", "1.23457e+12", " 4E+12"])
def test_ids_that_a_spreadsheet_rounded_are_told(
    conn: Connection, feed: Callable[..., Path], rounded: str
) -> None:
    path = feed("order_id | product_id\n1 | p1\n2 | p2E+x")
    assert minidw.run(path, conn).loaded.hints == ()
    path.write_text(path.read_text().replace("p1", f'"{rounded}"').replace("\n2,", f'\n"{rounded}",'))
    hints = minidw.run(path, conn).loaded.hints
    assert [hint.split(" is ")[0] for hint in hints] == ["order_id", "product_id"]
    assert f"order_id is {rounded.strip()!r} or the like in 1 of the rows: a spreadsheet rounds" in hints[0]


def test_ids_of_a_feed_that_are_made_of_other_columns_are_told_too(conn: Connection, tmp_path: Path) -> None:
    path = write_feed(tmp_path / "a.csv", "order_id | order_ref\n1 | 1.5E+20\n2 | -")
    by = minidw.Feed(columns={"order_id": ["order_ref", "order_id"]})
    (hint,) = minidw.run(path, conn, feed=by).loaded.hints
    assert "order_id is '1.5E+20'" in hint


def test_control_characters_of_latin_1_lead_to_cp1252(conn: Connection, tmp_path: Path) -> None:
    path = write_feed(tmp_path / "a.csv", "order_id | category\n1 | Caf\u00e9")
    path.write_bytes(path.read_text().encode("latin-1"))
    latin = minidw.Feed(encoding="latin-1")
    assert minidw.run(path, conn, feed=latin).loaded.hints == ()
    path.write_bytes(path.read_bytes().replace(b"Caf", b"\x84Caf"))
    (hint,) = minidw.run(path, conn, feed=latin).loaded.hints
    assert hint == (
        'it has control characters in latin-1; encoding = "cp1252" (--encoding cp1252) reads the first as'
        " '\u201e'"
    )
