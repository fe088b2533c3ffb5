"""What was loaded can be taken back, or give its place to another file."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import BadFileError, Settings, SettingsError, Unloaded
from minidw.schema import Base
from tests.support.feeds import write_feed
from tests.support.servers import filled_engine
from tests.support.twin import LANDING, fingerprint

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=Decimal(1))
TOMORROW = datetime.now(UTC).date() + timedelta(days=1)
LEDGER = ("raw.batches", "raw.runs", "raw.check_results", "mart.builds")


def rows(bind: Engine | Connection, query: str) -> list[tuple[object, ...]]:
    """The rows of a query."""
    if isinstance(bind, Connection):
        return [tuple(row) for row in bind.execute(text(query))]
    with bind.connect() as conn:
        return rows(conn, query)


def lines(bind: Engine | Connection) -> dict[str, tuple[object, ...]]:
    """Price and batch of what is staged, by order."""
    query = "SELECT order_id, price, batch_id FROM staging.orders_stg"
    return {str(order): (price, batch) for order, price, batch in rows(bind, query)}


def fates(bind: Engine | Connection) -> dict[int, str]:
    """Inserted, updated, unchanged, superseded and rejected of each batch that counts."""
    query = (
        "SELECT batch_id, concat_ws(' ', inserted, updated, unchanged, superseded, rejected)"
        " FROM raw.batches WHERE unloaded_at IS NULL"
    )
    return {int(str(batch)): str(counts) for batch, counts in rows(bind, query)}


def deliver(bind: Engine | Connection, feed: WriteFeed) -> None:
    """Three batches: the second corrects, adds and repeats; the third corrects once more."""
    first = "order_id | price\n1 | 10\n2 | 20\n3 | 30\n9 | x"
    minidw.run(feed(first, name="jan.csv"), bind, settings=LENIENT)
    minidw.run(feed("order_id | price\n1 | 11\n2 | 21\n3 | 30\n4 | 40\n4 | 41", name="feb.csv"), bind)
    minidw.run(feed("order_id | price\n2 | 22\n1 | 11\n5 | 50", name="mar.csv"), bind)


@pytest.fixture(scope="module")
def three_months(server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The three batches in a warehouse, to be left as it is."""
    directory = tmp_path_factory.mktemp("months")

    def fill(own: Engine) -> None:
        deliver(own, lambda rows, name: write_feed(directory / name, rows))

    with filled_engine(server, engine, "minidw_months", fill) as own:
        assert fates(own) == {1: "3 0 0 0 1", 2: "1 2 1 1 0", 3: "1 1 1 0 0"}
        yield own


@pytest.fixture
def months(three_months: Engine) -> Iterator[Connection]:
    """The three batches, in a transaction that is rolled back."""
    with three_months.connect() as conn, conn.begin() as transaction:
        yield conn
        transaction.rollback()


@pytest.fixture
def kept(warehouse: Engine, feed: WriteFeed) -> Engine:
    """The three batches in a warehouse."""
    deliver(warehouse, feed)
    return warehouse


def prune_the_first(conn: Connection) -> None:
    """Let the first batch be old, and prune it."""
    conn.execute(text("UPDATE raw.batches SET load_date = '2020-01-01' WHERE batch_id = 1"))
    minidw.prune(date(2020, 1, 2), conn)


def test_everything_becomes_what_the_other_deliveries_say(months: Connection) -> None:
    result = minidw.unload(2, months)

    # Earlier versions come back, later corrections stand, and say again or bring what they only repeated
    assert lines(months) == {"1": (11, 3), "2": (22, 3), "3": (30, 1), "5": (50, 3)}
    assert fates(months) == {1: "3 0 0 0 1", 3: "1 2 0 0 0"}
    assert result.unloaded == [Unloaded(batch_id=2, file="feb.csv", rows=5, ceased=2, came_back=1)]
    assert rows(months, "SELECT batch_id FROM raw.batches WHERE unloaded_at IS NOT NULL") == [(2,)]
    assert rows(months, "SELECT count(*) FROM raw.orders_all WHERE batch_id = 2") == [(0,)]
    assert rows(months, "SELECT lifetime_value FROM mart.customer_ltv") == [(113,)]
    assert minidw.verify(months).differences == []
    assert not any(outcome.offending for outcome in minidw.run_checks(months).checked)


@pytest.mark.parametrize("batch_ids", [[3], [2, 3], [1], [1, 3], [1, 2, 3], [3, 3]])
def test_any_batches_can_be_taken_back(months: Connection, feed: WriteFeed, batch_ids: list[int]) -> None:
    minidw.unload(batch_ids, months)
    assert minidw.verify(months).differences == []
    assert set(fates(months)) == {1, 2, 3} - set(batch_ids)
    minidw.run(feed("order_id | price\n1 | 99\n6 | 1"), months)
    assert lines(months)["1"] == (99, 4)
    assert minidw.verify(months).differences == []


def test_what_is_loaded_and_unloaded_leaves_a_trace_in_the_ledger_alone(
    kept: Engine, feed: WriteFeed
) -> None:
    landed = "SELECT * FROM raw.orders_raw ORDER BY source_row"
    before, landed_before = fingerprint(kept), rows(kept, landed)
    wrong = feed("order_id | price\n1 | 999\n7 | x\n8 | 8\n8 | 9", name="wrong.csv")
    minidw.run(wrong, kept, settings=LENIENT)
    minidw.unload(4, kept)
    after = fingerprint(kept)
    assert {table for table in before if before[table] != after[table]} <= set(LEDGER)
    assert rows(kept, landed) == landed_before != []
    assert set(before) == {table.fullname for table in Base.metadata.sorted_tables} - {LANDING}
    # And the same bytes can be loaded again, which takes no force
    assert minidw.run(wrong, kept, settings=LENIENT).loaded.batch_id == 5
    assert rows(kept, "SELECT forced FROM raw.batches WHERE batch_id = 5") == [(False,)]


def test_the_landing_table_has_the_last_batch_that_is_there(months: Connection, feed: WriteFeed) -> None:
    landed = "SELECT order_id FROM raw.orders_raw ORDER BY source_row"
    minidw.run(feed("order_id\n7\n7"), months, number_lines=True)
    minidw.run(feed("order_id\n8"), months)
    for gone, held in ((5, ["7", "7"]), (3, ["7", "7"]), (4, ["1", "2", "3", "4", "4"])):
        minidw.unload(gone, months)
        assert rows(months, landed) == [(order,) for order in held]
    assert rows(months, "SELECT count(line_number) FROM raw.orders_raw") == [(0,)]
    months.execute(text("UPDATE raw.batches SET load_date = '2020-01-01' WHERE batch_id = 2"))
    minidw.prune(date(2020, 1, 2), months)
    assert rows(months, landed) == []


def test_a_batch_with_too_many_rejects_no_longer_holds_up_the_rest(conn: Connection, feed: WriteFeed) -> None:
    minidw.load_raw(feed("order_id | price\n1 | x"), conn)
    good = feed("order_id\n2")
    with conn.begin_nested(), pytest.raises(BadFileError, match="TOO_MANY_REJECTS"):
        minidw.run(good, conn)
    assert minidw.unload(1, conn).unloaded[0].rows == 1
    assert minidw.run(good, conn).staged[0].inserted == 1


def test_malformed_lines_leave_with_their_batch(conn: Connection, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    path.write_bytes(path.read_bytes() + b"2,x\n")
    minidw.run(path, conn, feed=minidw.Feed(skip_malformed=True), settings=LENIENT)
    assert minidw.unload(1, conn).unloaded[0].rows == 2
    assert rows(conn, "SELECT count(*) FROM raw.lines_malformed") == [(0,)]
    assert minidw.verify(conn).differences == []


def test_changes_that_wait_are_built_as_well(months: Connection, feed: WriteFeed) -> None:
    minidw.load_raw(feed("order_id | price\n1 | 12"), months)
    minidw.build_staging(months)
    minidw.unload(3, months)
    assert rows(months, "SELECT lifetime_value FROM mart.customer_ltv") == [(12 + 21 + 30 + 41,)]
    assert minidw.verify(months).differences == []


def test_batches_that_other_rules_judged_are_judged_again_first(months: Connection) -> None:
    months.execute(text("UPDATE raw.batches SET rules = 'those of an older version'"))
    assert minidw.unload(2, months, settings=LENIENT).replayed is not None
    assert fates(months) == {1: "3 0 0 0 1", 3: "1 2 0 0 0"}
    assert minidw.verify(months).differences == []


@pytest.mark.parametrize(
    ("batch_ids", "message"),
    [
        ([7], "there is no batch 7"),
        ([1, 7], "there is no batch 7"),
        ([2], r"batch 2 \(feb.csv\) was unloaded already, at 20"),
        ([1], r"batch 1 \(jan.csv\) was pruned from raw at 20.* which order lines"),
    ],
)
def test_what_cannot_be_taken_back(months: Connection, batch_ids: list[int], message: str) -> None:
    minidw.unload(2, months)
    prune_the_first(months)
    with pytest.raises(SettingsError, match=message):
        minidw.unload(batch_ids, months)
    assert lines(months) == {"1": (11, 3), "2": (22, 3), "3": (30, 1), "5": (50, 3)}


def test_a_version_that_was_pruned_does_not_come_back(months: Connection) -> None:
    prune_the_first(months)
    minidw.unload([2, 3], months)
    assert lines(months) == {"3": (30, 1)}
    assert minidw.verify(months).differences == []


def test_a_corrected_file_takes_the_place_of_the_wrong_one(months: Connection, feed: WriteFeed) -> None:
    # Given a corrected February, without order 4, with another price of orders 2 and 3, and a reject
    path = feed("order_id | price\n1 | 10\n2 | 25\n3 | 33\n8 | x", name="feb_corrected.csv")

    result = minidw.run(path, months, replace=2, settings=LENIENT)

    # Then March still wins where it said something later
    assert lines(months) == {"1": (11, 3), "2": (22, 3), "3": (33, 4), "5": (50, 3)}
    assert fates(months) == {1: "3 0 0 0 1", 3: "1 2 0 0 0", 4: "0 2 1 0 1"}
    assert (result.unloaded[0].batch_id, result.loaded.batch_id) == (2, 4)
    (staged,) = result.staged
    assert (staged.updated, staged.unchanged, staged.reasons) == (2, 1, {"BAD_NUMBER": 1})
    assert rows(months, "SELECT in_place_of FROM raw.batches WHERE batch_id = 4") == [(2,)]
    assert minidw.verify(months).differences == []
    # And whatever is judged again later, or replaced again, keeps the place
    minidw.build_staging(months, replay=True, settings=LENIENT)
    assert lines(months)["2"] == (22, 3)
    minidw.run(feed("order_id | price\n2 | 26\n7 | 7"), months, replace=4)
    assert lines(months) == {"1": (11, 3), "2": (22, 3), "3": (30, 1), "5": (50, 3), "7": (7, 5)}
    assert rows(months, "SELECT in_place_of FROM raw.batches WHERE batch_id = 5") == [(2,)]
    assert minidw.verify(months).differences == []


def test_a_file_takes_its_own_place_with_other_options(conn: Connection, feed: WriteFeed) -> None:
    path = feed("order_id | price\n1 | 10\n1 | 20")
    minidw.run(path, conn)
    minidw.run(path, conn, replace=1, number_lines=True)
    assert rows(conn, "SELECT line_number, price FROM staging.orders_stg ORDER BY 1") == [
        (1, 10),
        (2, 20),
    ]
    assert rows(conn, "SELECT batch_id, forced FROM raw.batches ORDER BY 1") == [(1, False), (2, False)]
    assert minidw.verify(conn).differences == []


def test_a_file_that_is_there_takes_no_other_place(months: Connection, feed: WriteFeed) -> None:
    march = feed("order_id | price\n2 | 22\n1 | 11\n5 | 50")
    with pytest.raises(SettingsError, match="was loaded before, as batch 3"):
        minidw.run(march, months, replace=2)
    assert fates(months) == {1: "3 0 0 0 1", 2: "1 2 1 1 0", 3: "1 1 1 0 0"}


def test_a_corrected_file_that_is_worse_is_refused(kept: Engine, feed: WriteFeed) -> None:
    before = fingerprint(kept)
    with pytest.raises(BadFileError, match="TOO_MANY_REJECTS"):
        minidw.run(feed("order_id | price\n1 | x"), kept, replace=2)
    assert fingerprint(kept) == before


def test_a_batch_that_waits_to_be_staged_is_replaced(months: Connection, feed: WriteFeed) -> None:
    minidw.load_raw(feed("order_id | price\n1 | 12"), months)
    minidw.load_raw(feed("order_id | price\n1 | 14"), months)
    minidw.run(feed("order_id | price\n1 | 13\n6 | 60"), months, replace=4)
    assert (lines(months)["1"], lines(months)["6"]) == ((14, 5), (60, 6))
    assert minidw.verify(months).differences == []
