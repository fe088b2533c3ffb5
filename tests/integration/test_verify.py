"""verify compares every table with what it follows from, and shows both sides, however much differs."""

import re
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import Settings
from tests.support.feeds import write_feed
from tests.support.servers import temporary_database

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=Decimal(1))
TOMORROW = datetime.now(UTC).date() + timedelta(days=1)


@pytest.fixture(scope="module")
def waiting_database(
    server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Order lines of ada and bob in the marts, and three stages that wait for a build.

    Order 2 is corrected twice, order 4 is new, order 3 is delivered once more as it was.
    """
    directory = tmp_path_factory.mktemp("waiting")
    feeds = [
        "order_id | customer_id | price | status\n1 | ada | 10 | shipped\n2 | ada | 20 | shipped\n"
        "3 | bob | 5 | shipped\n5 | bob | x | shipped",
        "order_id | customer_id | price\n2 | ada | 25",
        "order_id | customer_id | price\n2 | ada | 30\n4 | eve | 1\n4 | eve | 2",
        "order_id | customer_id | price | status\n3 | bob | 5 | shipped",
    ]
    paths = [write_feed(directory / f"{number}.csv", rows) for number, rows in enumerate(feeds)]
    paths[3].write_bytes(paths[3].read_bytes() + b"1,2\n")
    engine.dispose()
    with temporary_database(server, "minidw_waiting", template="minidw_session") as url:
        warehouse = minidw.create_engine(Settings(url=url))
        minidw.run(paths[0], warehouse, settings=LENIENT)
        for path in paths[1:]:
            minidw.load_raw(path, warehouse, feed=minidw.Feed(skip_malformed=True))
            minidw.build_staging(warehouse, settings=LENIENT)
        yield warehouse
        warehouse.dispose()


@pytest.fixture
def waiting(waiting_database: Engine) -> Iterator[Connection]:
    """The same in a transaction that is rolled back."""
    with waiting_database.connect() as conn:
        yield conn


def execute(bind: Engine | Connection, statement: str) -> int:
    """Something that nobody should do; how many rows it did it to."""
    if isinstance(bind, Connection):
        return bind.execute(text(statement)).rowcount
    with bind.begin() as conn:
        return conn.execute(text(statement)).rowcount


def sides(bind: Engine | Connection, table: str) -> list[str]:
    """The sides of the rows in which a table differs."""
    found = [difference.side for difference in minidw.verify(bind).differences if difference.table == table]
    return sorted(found)


def test_marts_are_compared_as_of_the_last_build(waiting: Connection) -> None:
    verified = minidw.verify(waiting)
    assert (verified.differences, verified.changes_waiting) == ([], 5)
    assert minidw.verify(waiting, sample=0.5).differences == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE raw.batches SET inserted = inserted + 1, unchanged = unchanged - 1 WHERE batch_id = 4",
        "UPDATE raw.batches SET updated = updated - 1, inserted = inserted + 1 WHERE batch_id = 2",
        "UPDATE raw.batches SET superseded = 0, inserted = inserted + 1 WHERE batch_id = 3",
        "UPDATE raw.batches SET rejected = 0, inserted = inserted + 1 WHERE batch_id = 1",
        "UPDATE raw.batches SET rows_read = 9, inserted = inserted + 5 WHERE batch_id = 1",
        "UPDATE raw.orders_all SET source_row = 9 WHERE batch_id = 3 AND source_row = 2",
        "INSERT INTO raw.orders_all (batch_id, source_row, load_date) VALUES (7, 1, now())",
        "DELETE FROM raw.orders_all WHERE batch_id = 3 AND source_row = 2",
        "DELETE FROM raw.lines_malformed",
        "INSERT INTO raw.lines_malformed VALUES (2, 9, 'X', 'x')",
        "UPDATE staging.orders_totals SET total_amount = total_amount + 1",
        "DELETE FROM staging.orders_totals",
        "DELETE FROM staging.orders_rejected",
        "UPDATE staging.orders_rejected SET reasons = ARRAY['NOT_POSITIVE']",
        "UPDATE staging.orders_stg SET price = 7, total_amount = 7 * quantity WHERE order_id = '1'",
        "DELETE FROM staging.orders_stg WHERE order_id = '3'",
        "UPDATE staging.orders_changes SET price = 7, total_amount = 7 * quantity"
        " WHERE change = 1 AND batch_id = 2",
        "UPDATE staging.orders_changes SET price = 7, total_amount = 7 * quantity"
        " WHERE change = -1 AND batch_id = 2",
        "UPDATE staging.orders_changes SET price = 7, total_amount = 7 * quantity WHERE batch_id = 2",
        "UPDATE staging.orders_changes SET status = 'pending' WHERE batch_id = 1",
        "UPDATE staging.orders_changes SET customer_id = 'bob' WHERE order_id = '4'",
        "UPDATE staging.orders_changes SET change = -1 WHERE order_id = '4'",
        "UPDATE staging.orders_changes SET stage = 1",
        "UPDATE staging.orders_changes SET order_id = '9' WHERE order_id = '4'",
        "INSERT INTO staging.orders_changes (stage, order_id, line_number, change, order_timestamp,"
        " customer_id,"
        " product_id, category, price, quantity, total_amount, status, batch_id, source_row)"
        " SELECT stage, order_id,"
        " line_number, change, order_timestamp, customer_id, product_id, category, price, quantity,"
        " total_amount, status, batch_id, source_row FROM staging.orders_changes WHERE order_id = '4'",
        "DELETE FROM staging.orders_changes WHERE order_id = '4'",
        "DELETE FROM staging.orders_changes WHERE change = 1 AND batch_id = 2",
        "DELETE FROM staging.orders_changes",
        "UPDATE mart.daily_revenue SET revenue = revenue + 1",
        "UPDATE mart.customer_ltv SET first_order_at = '2023-01-01' WHERE customer_id = 'bob'",
        "DELETE FROM mart.product_revenue",
        "UPDATE mart.customer_segments SET segment = 'VIP'",
    ],
)
def test_every_table_is_compared_while_changes_wait(waiting: Connection, damage: str) -> None:
    (table,) = re.findall(r"(?:UPDATE|INTO|DELETE FROM) (\w+\.\w+)", damage)
    assert execute(waiting, damage)
    verified = minidw.verify(waiting)
    assert verified.tables[table] > 0
    assert table in {difference.table for difference in verified.differences}


def test_a_change_taken_out_of_the_queue_shows_in_the_mart(waiting: Connection) -> None:
    execute(waiting, "DELETE FROM staging.orders_changes WHERE batch_id = 1")
    assert sides(waiting, "mart.customer_ltv") == ["due", "held"]


def test_the_ledger_shows_both_counts(waiting: Connection) -> None:
    execute(waiting, "UPDATE raw.batches SET inserted = 1, unchanged = 0 WHERE batch_id = 4")
    due, held = minidw.verify(waiting).differences
    assert (due.side, due.row["inserted"], due.row["unchanged"]) == ("due", 0, 1)
    assert (held.side, held.row["inserted"], held.row["unchanged"]) == ("held", 1, 0)


def test_staging_filled_at_once_waits_for_full_builds(warehouse: Engine, feed: WriteFeed) -> None:
    # Given first lines, which need no queue, and a correction that does
    for rows in ("order_id | price\n1 | 1\n2 | 1", "order_id | price\n2 | 2"):
        minidw.load_raw(feed(rows), warehouse)
        minidw.build_staging(warehouse)
    # Then the marts are rightly empty
    verified = minidw.verify(warehouse)
    assert (verified.differences, verified.changes_waiting) == ([], 2)
    assert verified.full_builds_waiting == [mart.__tablename__ for mart in minidw.all_marts()]
    # And what somebody put there is noticed
    execute(warehouse, "INSERT INTO mart.daily_revenue VALUES ('2024-01-01', 1, 1)")
    assert sides(warehouse, "mart.daily_revenue") == ["held"]


def test_lines_that_come_after_all_have_ceased(warehouse: Engine, feed: WriteFeed) -> None:
    # Given marts of lines that a narrower range of dates has ruled out since
    minidw.run(feed("order_id\n1"), warehouse)
    execute(warehouse, "UPDATE raw.rules SET value = '2025-01-01' WHERE name = 'ORDER_DATE_MIN'")
    minidw.build_staging(warehouse, settings=LENIENT)
    assert minidw.verify(warehouse).changes_waiting == 1
    # When other lines come, then the marts are still compared as of their last build
    minidw.load_raw(feed("order_id | order_timestamp\n2 | 2025-05-01"), warehouse)
    minidw.build_staging(warehouse, settings=LENIENT)
    assert minidw.verify(warehouse).differences == []
    minidw.build_marts(warehouse)
    assert minidw.verify(warehouse).differences == []


@pytest.fixture
def pruned(warehouse: Engine, feed: WriteFeed) -> Engine:
    """A warehouse whose first batch was pruned.

    Of batch 2, order 1 is new to what is left but was an update; order 2 is unchanged; order 3 is new.
    """
    minidw.run(feed("order_id | price\n1 | 10\n2 | 10\n4 | x"), warehouse, settings=LENIENT)
    minidw.prune(TOMORROW, warehouse)
    minidw.run(feed("order_id | price\n1 | 11\n2 | 10\n3 | 12"), warehouse)
    return warehouse


@pytest.mark.parametrize("replay", [False, True])
def test_the_ledger_is_right_about_what_a_pruned_batch_had_before(pruned: Engine, replay: bool) -> None:
    if replay:
        minidw.build_staging(pruned, replay=True, settings=LENIENT)
    verified = minidw.verify(pruned)
    assert (verified.differences, verified.lines_beyond_raw) == ([], 1)
    with pruned.connect() as conn:
        counts = "SELECT inserted, updated, unchanged FROM raw.batches WHERE batch_id = 2"
        assert conn.execute(text(counts)).one() == (1, 1, 1)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE raw.batches SET unchanged = 0, inserted = 2 WHERE batch_id = 2",
        "UPDATE raw.batches SET rejected = 1, updated = 0 WHERE batch_id = 2",
        "UPDATE raw.batches SET rejected = 0, inserted = 3 WHERE batch_id = 1",
    ],
)
def test_what_is_known_beside_a_pruned_batch_is_compared(pruned: Engine, damage: str) -> None:
    execute(pruned, damage)
    assert sides(pruned, "raw.batches") == ["due", "held"]


def test_progress_names_each_part(waiting: Connection) -> None:
    seen: list[tuple[str, int, int]] = []
    verified = minidw.verify(waiting, progress=lambda *part: seen.append(part))
    names = [name for name, _, _ in seen]
    assert names[0] == "raw.orders_all, judged again"
    assert list(dict.fromkeys(names[1:])) == list(verified.tables)
    assert [done for _, done, _ in seen] == list(range(len(seen)))
    assert {parts for _, _, parts in seen} == {len(seen)}


def peak_of_verify(engine: Engine) -> tuple[int, minidw.Verified]:
    """The memory that a verify takes on the side of the client, bytes."""
    minidw.verify(engine)
    tracemalloc.start()
    verified = minidw.verify(engine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, verified


def test_memory_is_flat_however_much_differs(warehouse: Engine, feed: WriteFeed) -> None:
    # Given thousands of order lines of which none is as it was delivered
    rows = "\n".join(f"{number} | c{number}" for number in range(5_000))
    minidw.run(feed(f"order_id | customer_id\n{rows}"), warehouse)
    sound, _ = peak_of_verify(warehouse)
    execute(
        warehouse, "UPDATE staging.orders_stg SET price = price + 1, total_amount = total_amount + quantity"
    )
    execute(warehouse, "UPDATE mart.customer_ltv SET lifetime_value = 0")
    # Then the number of differences is told, the first of them, and no memory is taken for the rest
    peak, verified = peak_of_verify(warehouse)
    assert verified.tables["staging.orders_stg"] == 10_000
    assert verified.tables["mart.customer_ltv"] == 10_000
    assert len(verified.differences) < 100
    assert peak < sound + 200_000
