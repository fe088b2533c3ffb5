"""Many hands at once: every file once, one runner at a time, and readers who see whole states only."""

import hashlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain, pairwise
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event, text

import minidw
from minidw import Settings
from minidw.database.lock import LOCK_KEY
from tests.support.feeds import write_feed

# Starting by fork takes a tenth of the time, where it is safe.
PROCESSES: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
TABLES = [table.fullname for table in minidw.Mart.metadata.sorted_tables]
SOON = 3.0


def at_once(work: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Call a function in as many processes at once; what each returned, or the first error."""
    with ProcessPoolExecutor(len(arguments), mp_context=PROCESSES) as pool:
        return list(pool.map(work, *zip(*arguments, strict=True)))


@contextmanager
def engine_on(database: URL) -> Iterator[Engine]:
    """An engine of this process's own."""
    engine = minidw.create_engine(Settings(url=database))
    yield engine
    engine.dispose()


def write_some(path: Path, content: int) -> Path:
    """A small feed: one order of its own, and two that other feeds bring too."""
    return write_feed(
        path,
        f"""
        order_id         | customer_id    | price         | quantity
        own-{content}    | c{content % 7} | {content + 1} | 1
        x{content % 5}   | c{content % 3} | {content + 2} | 2
        y{content % 11}  | c{content % 4} | {content + 3} | 3
        """,
    )


def adds_up(engine: Engine, batches: int) -> None:
    """Every batch adds up, none is missing from their numbers, and every table follows from the files."""
    with engine.connect() as conn:
        ids = conn.scalars(text("SELECT batch_id FROM raw.batches ORDER BY 1")).all()
        wrong = text(
            "SELECT count(*) FROM raw.batches WHERE checked_at IS NULL OR rows_read <> 3"
            " OR rows_read <> inserted + updated + unchanged + superseded + rejected"
        )
        assert conn.scalar(wrong) == 0
        delivered = text("SELECT batch_id FROM raw.orders_all GROUP BY 1 HAVING count(*) = 3 ORDER BY 1")
        assert conn.scalars(delivered).all() == ids
    assert ids == list(range(1, batches + 1))
    assert minidw.verify(engine).differences == []


# Exactly once per file


def run_all(database: URL, paths: list[Path]) -> list[tuple[str, int, bool]]:
    """Run the files one after the other; what was the batch of each, and was it there already?"""
    loads = []
    with engine_on(database) as engine:
        for path in paths:
            loaded = minidw.run(path, engine, settings=Settings()).loaded
            loads.append((hashlib.sha256(path.read_bytes()).hexdigest(), loaded.batch_id, loaded.skipped))
    return loads


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("hands", "files"), [(3, 4), pytest.param(8, 200, marks=pytest.mark.slow)])
def test_a_file_is_loaded_once_however_many_bring_it(
    database: URL, warehouse: Engine, tmp_path: Path, hands: int, files: int
) -> None:
    # Given for each process a shuffled list of its own, of names of fewer contents
    chance = random.Random(files)
    contents = max(files * 3 // 4, 1)
    names = [write_some(tmp_path / f"{name}.csv", name % contents) for name in range(2 * contents)]
    lists = [chance.choices(names, k=files) for _ in range(hands)]

    # When all of them run their files at once
    loads = list(chain(*at_once(run_all, [(database, paths) for paths in lists])))

    # Then each content became one batch, once, and everyone was told the same one
    batches = {digest: batch_id for digest, batch_id, _ in loads}
    assert len(loads) == hands * files
    assert {(digest, batch_id) for digest, batch_id, _ in loads} == set(batches.items())
    assert sorted(digest for digest, _, skipped in loads if not skipped) == sorted(batches)
    adds_up(warehouse, len(batches))


# One runner, no deadlock

COMMANDS: list[Callable[..., Any]] = [
    minidw.run,
    minidw.load_raw,
    minidw.preview,
    minidw.build_staging,
    minidw.build_marts,
    minidw.run_checks,
    minidw.verify,
]
Hold = tuple[float, float]


@contextmanager
def holds(engine: Engine) -> Iterator[list[Hold]]:
    """When transactions held the warehouse: from after the lock to before their end."""
    found: list[Hold] = []
    began: list[float] = []

    def executed(_: Connection, __: Any, statement: str, *___: Any) -> None:
        if "advisory_xact_lock" in statement and not began:
            began.append(time.monotonic())

    def end(_: Connection) -> None:
        found.extend((start, time.monotonic()) for start in began)
        began.clear()

    listeners: dict[str, Callable[..., None]] = {
        "after_cursor_execute": executed,
        "commit": end,
        "rollback": end,
    }
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    yield found
    for name, listener in listeners.items():
        event.remove(engine, name, listener)


def do_anything(database: URL, number: int, rounds: int, directory: Path) -> list[Hold]:
    """Any command, again and again; when this process held the warehouse."""
    chance = random.Random(number)
    held = []
    with engine_on(database) as engine:
        for turn in range(rounds):
            path = write_some(directory / f"{number}-{turn}.csv", number * rounds + turn)
            command = chance.choice(COMMANDS)
            with holds(engine) as found:
                if command in (minidw.run, minidw.load_raw, minidw.preview):
                    command(path, engine, settings=Settings())
                elif command is minidw.build_marts:
                    minidw.build_marts(engine, full=chance.random() < 0.5, settings=Settings())
                else:
                    outcome = command(engine, settings=Settings())
            if command is minidw.verify:
                # What waits between load, stage and build is no difference of staging.
                assert [d for d in outcome.differences if d.table.startswith("staging")] == []
            else:
                held += found
    return held


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("hands", "rounds"), [(3, 3), pytest.param(8, 200, marks=pytest.mark.slow)])
def test_one_runner_holds_the_warehouse_at_a_time(
    database: URL, warehouse: Engine, tmp_path: Path, hands: int, rounds: int
) -> None:
    arguments = [(database, number, rounds, tmp_path) for number in range(hands)]

    held = sorted(chain(*at_once(do_anything, arguments)))

    # Then nobody met an error, no two held it at once, and nothing was lost
    assert len(held) > rounds
    assert [pair for pair in pairwise(held) if pair[0][1] > pair[1][0]] == []
    minidw.build_staging(warehouse)
    minidw.build_marts(warehouse)
    assert not any(outcome.failed for outcome in minidw.run_checks(warehouse).checked)
    with warehouse.begin() as conn:
        assert (
            conn.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
            == 0
        )
        batches = conn.scalar(text("SELECT count(*) FROM raw.batches"))
        conn.execute(text("UPDATE raw.batches SET checked_at = now()"))
    adds_up(warehouse, batches)


# A runner that is killed


def hold_idle(database: URL, path: Path, ready: Pipe) -> None:
    """Run a file without ever ending the transaction."""
    with engine_on(database) as engine, engine.connect() as conn:
        minidw.run(path, conn, settings=Settings())
        ready.send("holding")
        time.sleep(600)


def hold_busy(database: URL, path: Path, ready: Pipe) -> None:
    """Run a file, and say so when the warehouse is ours."""
    with engine_on(database) as engine:

        @event.listens_for(engine, "after_cursor_execute")
        def executed(*_: Any) -> None:
            ready.send("holding")

        minidw.run(path, engine, settings=Settings())


def killed(work: Callable[..., None], database: URL, path: Path, after: float) -> None:
    """Start a process, and ``kill -9`` it so long after it holds the warehouse."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=work, args=(database, path, there))
    process.start()
    there.close()
    here.recv()
    time.sleep(after)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    here.close()


def until_free(engine: Engine) -> float:
    """Seconds until another runner had its turn."""
    start = time.monotonic()
    minidw.build_marts(engine)
    return time.monotonic() - start


def forget_the_server_s_own_care(database: URL) -> None:
    """Given a server that looks for dead clients only when minidw asks it to."""
    with sa.create_engine(database, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as conn:
        conn.execute(text(f"ALTER DATABASE {database.database} SET client_connection_check_interval = 0"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_killed_runner_that_was_idle_lets_go(
    database: URL, warehouse: Engine, tmp_path: Path, times: int
) -> None:
    forget_the_server_s_own_care(database)
    path = write_some(tmp_path / "feed.csv", 1)
    waits = []
    for _ in range(times):
        killed(hold_idle, database, path, 0)
        waits.append(until_free(warehouse))
    print("seconds", *(f"{wait:.2f}" for wait in sorted(waits)))
    assert max(waits) < SOON
    assert minidw.run(path, warehouse).staged[0].inserted == 3


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_runner_that_waited_for_a_table_lets_go(
    database: URL, warehouse: Engine, tmp_path: Path, times: int
) -> None:
    forget_the_server_s_own_care(database)
    path = write_some(tmp_path / "feed.csv", 1)
    waits = []
    for _ in range(times):
        with warehouse.connect() as maintenance, maintenance.begin() as work:
            maintenance.execute(text("LOCK TABLE mart.daily_revenue IN ACCESS EXCLUSIVE MODE"))
            killed(hold_busy, database, path, 0.2)
            start = time.monotonic()
            while not maintenance.scalar(text(f"SELECT pg_try_advisory_lock({LOCK_KEY})")):
                assert time.monotonic() - start < SOON
                time.sleep(0.02)
            waits.append(time.monotonic() - start)
            maintenance.execute(text("SELECT pg_advisory_unlock_all()"))
            work.rollback()
    print("seconds", *(f"{wait:.2f}" for wait in sorted(waits)))
    assert minidw.run(path, warehouse).staged[0].inserted == 3


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("times", "rows"), [(2, 2_000), pytest.param(25, 40_000, marks=pytest.mark.slow)])
def test_a_runner_killed_at_any_moment_leaves_all_or_nothing(
    database: URL,
    warehouse: Engine,
    tmp_path: Path,
    times: int,
    rows: int,
) -> None:
    forget_the_server_s_own_care(database)
    start = time.monotonic()
    minidw.run(write_many(tmp_path / "first.csv", rows, "first"), warehouse)
    long = time.monotonic() - start
    chance, waits, stored = random.Random(times), [], 1

    for turn in range(times):
        path = write_many(tmp_path / f"{turn}.csv", rows, str(turn))
        killed(hold_busy, database, path, chance.uniform(0, long))
        waits.append(until_free(warehouse))
        with warehouse.connect() as conn:
            now = conn.scalar(text("SELECT count(*) FROM raw.batches"))
            assert conn.scalar(text("SELECT count(*) FROM staging.orders_stg")) == now * rows
            assert conn.scalar(text("SELECT sum(order_lines) FROM mart.daily_revenue")) == now * rows
        assert now in (stored, stored + 1)
        stored = now

    print("seconds", *(f"{wait:.2f}" for wait in sorted(waits)))
    assert max(waits) < SOON
    assert minidw.verify(warehouse).differences == []


def write_many(path: Path, rows: int, prefix: str) -> Path:
    """A feed of so many orders."""
    write_feed(path, "order_id\n1")
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n" + "".join(f"{prefix}-{row}{line[1:]}\n" for row in range(rows)))
    return path


# Readers

TOTALS = (
    "(SELECT sum(revenue) FROM mart.daily_revenue)",
    "(SELECT sum(lifetime_value) FROM mart.customer_ltv)",
    "(SELECT sum(total_revenue) FROM mart.product_revenue)",
    "(SELECT sum(lifetime_value) FROM mart.customer_segments)",
)
Totals = tuple[Decimal | None, ...]


def totals(conn: Connection) -> Totals:
    """The totals of all marts in one statement."""
    return tuple(conn.execute(text(f"SELECT {', '.join(TOTALS)}")).one())


def read(database: URL, isolation: str, reads: int) -> set[Totals]:
    """Every state of the marts that a reader saw, who waits for nobody."""
    seen = set()
    with (
        engine_on(database) as engine,
        engine.connect().execution_options(isolation_level=isolation) as conn,
    ):
        conn.execute(text("SET lock_timeout = '100ms'"))
        conn.commit()
        for _ in range(reads):
            if isolation == "READ COMMITTED":
                seen.add(totals(conn))
            else:
                seen.add(tuple(conn.scalar(text(f"SELECT {total}")) for total in TOTALS))
            conn.commit()
            time.sleep(0.002)
    return seen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("reads", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_readers_see_whole_states_of_the_marts(
    database: URL, warehouse: Engine, tmp_path: Path, reads: int
) -> None:
    minidw.run(write_some(tmp_path / "first.csv", 0), warehouse)
    with ProcessPoolExecutor(4, mp_context=PROCESSES) as pool:
        # Given four readers
        levels = ("READ COMMITTED", "REPEATABLE READ") * 2
        readers = [pool.submit(read, database, level, reads // 4) for level in levels]
        # While a writer runs batches and builds in full
        committed, batches = set(), 1
        with warehouse.connect() as conn:
            committed.add(totals(conn))
            while not all(reader.done() for reader in readers):
                minidw.run(write_some(tmp_path / "next.csv", batches), warehouse)
                conn.rollback()
                committed.add(totals(conn))
                minidw.build_marts(warehouse, full=True)
                batches += 1
    seen = set().union(*(reader.result() for reader in readers))

    # Then they saw many states, each of them whole, and each one that was committed
    assert [state for state in seen if len(set(state)) != 1 or None in state] == []
    assert seen <= committed
    assert len(seen) > reads // 250


def test_open_readers_and_a_run_do_not_wait_for_each_other(
    database: URL, warehouse: Engine, tmp_path: Path
) -> None:
    # Given readers with transactions open on every table
    minidw.run(write_some(tmp_path / "first.csv", 1), warehouse)
    readers = [
        warehouse.connect().execution_options(isolation_level=level)
        for level in ("READ COMMITTED", "REPEATABLE READ")
    ]
    for reader in readers:
        reader.execute(text("SET LOCAL lock_timeout = '50ms'"))
        before = [reader.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]

    # When everything is done that minidw can do
    start = time.monotonic()
    minidw.run(write_some(tmp_path / "second.csv", 2), warehouse)
    minidw.build_staging(warehouse, replay=True)
    minidw.build_marts(warehouse, full=True)
    minidw.preview(write_some(tmp_path / "third.csv", 3), warehouse)
    seconds = time.monotonic() - start

    # Then it was done at once, and the reader of one snapshot still sees it
    assert seconds < 5
    now = [readers[0].scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]
    same = [readers[1].scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]
    assert now[TABLES.index("raw.batches")] == 2
    assert same == before
    for reader in readers:
        reader.close()


def test_a_reader_does_not_wait_for_an_open_run(database: URL, warehouse: Engine, tmp_path: Path) -> None:
    minidw.run(write_some(tmp_path / "first.csv", 1), warehouse)
    with warehouse.connect() as runner, warehouse.connect() as reader:
        # Given a run that has done all its work, and a full build, and is not committed
        minidw.run(write_some(tmp_path / "second.csv", 2), runner)
        minidw.build_staging(runner, replay=True)
        minidw.build_marts(runner, full=True)
        # When another session reads every table; the landing table alone serves the run first
        reader.execute(text("SET LOCAL lock_timeout = '50ms'"))
        read = {table: reader.scalar(text(f"SELECT count(*) FROM {table}"))
                for table in TABLES if table != "raw.orders_raw"}  # fmt: skip
        # Then it reads the state before
        assert read["raw.batches"] == 1
        assert read["staging.orders_stg"] == 3
        assert len(set(totals(reader))) == 1
