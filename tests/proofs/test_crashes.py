"""kill -9 at any time, of the client, the server and its first start: running again is the only recovery."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy import URL, Engine

import minidw
from minidw import embedded
from minidw.errors import DatabaseError
from minidw.settings import Settings
from tests.support import servers
from tests.support.twin import batches, fingerprint, fork, warehouse_on, was_killed, write_batch

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
COMPARED_EVERY = 25


def crashes(quick: int, full: int) -> pytest.MarkDecorator:
    """So many crashes in the quick proof, so many in the slow one."""
    slow = pytest.param(full, marks=[pytest.mark.slow, pytest.mark.timeout(0)])
    return pytest.mark.parametrize("crashes", [quick, slow])


@pytest.fixture
def untroubled(server: URL, engine: Engine) -> Iterator[Engine]:
    """A second warehouse, in which nothing goes wrong."""
    engine.dispose()
    with warehouse_on(server, template="minidw_session") as other:
        yield other


def kill_server(home: Path) -> None:
    """kill -9 of the postmaster, which takes a moment."""
    postmaster = psutil.Process(int((home / "pgdata" / "postmaster.pid").read_text().splitlines()[0]))
    postmaster.kill()
    postmaster.wait(10)


@contextmanager
def first_home() -> Iterator[Path]:
    """Where an embedded server will live that syncs to disk, as a user's does."""
    with servers.reachable_directory() as directory:
        yield directory / "home"
        embedded.stop(directory / "home")


@pytest.fixture
def home() -> Iterator[Path]:
    """The same for a whole test."""
    with first_home() as home:
        yield home


def timed(work: Callable[[], object]) -> float:
    """How long it takes, seconds."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def in_full(work: Callable[[], object]) -> None:
    """Do work in a process of its own and let it end."""
    assert not was_killed(fork(work))


def killed_after(seconds: float, work: Callable[[], object]) -> bool:
    """Do work in a process of its own and kill it; false where it was done before."""
    pid = fork(work)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return was_killed(pid)


def run_again(path: Path, warehouse: Engine, untroubled: Engine, number: int) -> None:
    """After a crash: the file is stored or not, and is stored once when it was run again."""
    stored = batches(warehouse) == number
    loaded = minidw.run(path, warehouse).loaded
    assert (loaded.batch_id, loaded.skipped) == (number, stored)
    for _ in range(2 if stored else 1):
        minidw.run(path, untroubled)
    if number % COMPARED_EVERY == 0:
        compare(warehouse, untroubled)


def compare(warehouse: Engine, untroubled: Engine) -> None:
    """Both hold the same, and every table is what it follows from."""
    assert fingerprint(warehouse) == fingerprint(untroubled)
    assert minidw.verify(warehouse).differences == []


@crashes(2, 300)
def test_a_client_killed_at_any_time_of_a_run(
    crashes: int, warehouse: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    dice, paths = random.Random(1), [write_batch(tmp_path, number) for number in range(crashes + 4)]

    def client(path: Path) -> None:
        warehouse.dispose(close=False)
        minidw.run(path, warehouse)

    # Given how long an uninterrupted run takes
    times = []
    for path in paths[:4]:
        minidw.run(path, untroubled)
        times.append(timed(partial(in_full, partial(client, path))))
        minidw.run(path, warehouse)
        minidw.run(path, untroubled)
    # When clients are killed at any time, then running again is all it takes
    killed = 0
    for number, path in enumerate(paths[4:], start=5):
        killed += killed_after(dice.uniform(0, min(times)), partial(client, path))
        run_again(path, warehouse, untroubled, number)
    compare(warehouse, untroubled)
    assert killed >= crashes // 5


@crashes(1, 100)
def test_a_server_killed_at_any_time_of_a_run(
    crashes: int, home: Path, untroubled: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody starts the server again while the run asks for it.
    monkeypatch.setattr("minidw.pipeline.attempt.RECONNECT_SECONDS", 0.0)
    dice, paths = random.Random(2), [write_batch(tmp_path, number) for number in range(crashes + 4)]
    server = embedded.start(home)
    warehouse = minidw.create_engine(Settings(url=server.url))
    minidw.upgrade(warehouse)
    times = []
    for path in paths[:4]:
        times.append(timed(partial(minidw.run, path, warehouse)))
        minidw.run(path, untroubled)
    failed = 0
    for number, path in enumerate(paths[4:], start=5):
        # When the server is killed at any time of a run
        killer = Timer(dice.uniform(0, min(times)), kill_server, (home,))
        killer.start()
        try:
            minidw.run(path, warehouse)
        except DatabaseError:
            failed += 1
        killer.join()
        # Then it recovers, and running again is all it takes
        warehouse.dispose()
        again = embedded.start(home)
        server.close()
        server = again
        run_again(path, warehouse, untroubled, number)
    compare(warehouse, untroubled)
    assert failed >= crashes // 5
    warehouse.dispose()
    server.close()


def test_a_server_killed_in_a_rollback_starts_again(home: Path) -> None:
    # Given a file of an unlogged table whose creation is on disk and whose removal is not
    server = embedded.start(home, options={"wal_writer_delay": "10s"})
    engine = sa.create_engine(server.url)
    with engine.begin() as conn:
        conn.execute(sa.text("CREATE UNLOGGED TABLE landing (line text)"))
    with engine.connect() as conn:
        conn.execute(sa.text("TRUNCATE landing"))
        with engine.begin() as other:
            other.execute(sa.text("CREATE TABLE flushed (line text)"))
        conn.rollback()
        kill_server(home)
    engine.dispose()
    # When it starts, then PostgreSQL fails at its first recovery and not at the second
    again = embedded.start(home)
    with sa.create_engine(again.url, poolclass=sa.NullPool).connect() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM landing")) == 0
    server.close()
    again.close()


@crashes(1, 20)
def test_a_client_killed_at_any_time_of_the_first_start(
    crashes: int, untroubled: Engine, tmp_path: Path
) -> None:
    dice, path = random.Random(3), write_batch(tmp_path, 0)
    minidw.run(path, untroubled)
    # Given how long the first start takes
    with first_home() as home:
        whole = timed(partial(in_full, partial(embedded.start, home)))
    killed = 0
    for _ in range(crashes):
        with first_home() as home:
            # When the process that starts the server for the first time is killed
            killed += killed_after(dice.uniform(0, whole), partial(embedded.start, home))
            # Then the next one starts it all the same
            server = embedded.start(home)
            warehouse = minidw.create_engine(Settings(url=server.url))
            minidw.upgrade(warehouse)
            minidw.run(path, warehouse)
            compare(warehouse, untroubled)
            warehouse.dispose()
            server.close()
    assert killed >= crashes // 5
