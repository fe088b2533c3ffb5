"""A batch is in raw, staging, rejects, marts and ledger, or nowhere: a fault at every statement of a run."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import URL, Engine, event

import minidw
from minidw.errors import DatabaseError
from tests.support.twin import fingerprint, fork, warehouse_on, was_killed, write_batch

Strike = Callable[[psycopg2.extensions.connection], None]

EVERY_STATEMENT = pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(0)])


class UnexpectedError(Exception):
    """What no library expects."""


def nothing(_: object) -> None:
    """No fault."""


def bug(_: object) -> None:
    """An exception of Python."""
    raise UnexpectedError


def interrupt(_: object) -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def cancel(conn: psycopg2.extensions.connection) -> None:
    """A cancelled query. The session cancels its own, so that it comes neither too early nor too late."""
    with conn.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
        cursor.execute("SELECT pg_cancel_backend(pg_backend_pid())")


def kill_backend(conn: psycopg2.extensions.connection) -> None:
    """A killed backend; returns when it is gone."""
    with suppress(psycopg2.Error), conn.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def kill_client(_: object) -> None:
    """The end of this process, by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fault:
    """Counts the statements of an engine, COPY and COMMIT among them, and strikes at one of them.

    commit: the number of the COMMIT of a run, its last statement
    """

    def __init__(self, engine: Engine) -> None:
        self.commit = 0
        self.arm(0)
        event.listen(engine, "do_connect", self._watch)

    def arm(self, at: int, before: Strike = nothing, after: Strike = nothing) -> None:
        """Count from here on, and strike around the statement of this number."""
        self.seen, self.at, self.before, self.after = 0, at, before, after

    def step(self, conn: psycopg2.extensions.connection, statement: Callable[[], None]) -> None:
        """A statement and what befalls it."""
        self.seen += 1
        strikes = self.seen == self.at
        if strikes:
            self.before(conn)
        statement()
        if strikes:
            self.after(conn)

    def _watch(self, *arguments: Any) -> None:
        step, parameters = self.step, arguments[-1]

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, *arguments: Any) -> None:
                step(self.connection, lambda: super(Cursor, self).execute(*arguments))

            def copy_expert(self, *arguments: Any) -> None:
                step(self.connection, lambda: super(Cursor, self).copy_expert(*arguments))

        class Connection(psycopg2.extensions.connection):
            def commit(self) -> None:
                step(self, super().commit)

        parameters |= {"connection_factory": Connection, "cursor_factory": Cursor}


@pytest.fixture
def untroubled(server: URL, warehouse: Engine) -> Iterator[Engine]:
    """A second warehouse, in which nothing goes wrong."""
    with warehouse_on(server, template="minidw_session") as engine:
        yield engine


@pytest.fixture
def fault(warehouse: Engine, untroubled: Engine, tmp_path: Path) -> Fault:
    """Two warehouses with two batches each; it has counted the statements of the second run."""
    fault = Fault(warehouse)
    warehouse.dispose()
    for number in (0, 1):
        path = write_batch(tmp_path, number)
        fault.arm(0)
        minidw.run(path, warehouse)
        fault.commit = fault.seen
        minidw.run(path, untroubled)
    assert fingerprint(warehouse) == fingerprint(untroubled)
    return fault


FAULTS: dict[str, tuple[Strike, Strike, type[BaseException]]] = {
    "an exception before it": (bug, nothing, UnexpectedError),
    "an exception after it": (nothing, bug, UnexpectedError),
    "Ctrl-C before it": (interrupt, nothing, KeyboardInterrupt),
    "a cancelled query": (cancel, nothing, DatabaseError),
    "a killed backend": (kill_backend, nothing, DatabaseError),
}


@pytest.mark.parametrize("every", [40, EVERY_STATEMENT])
def test_a_fault_at_any_statement_leaves_all_of_a_batch_or_nothing(
    every: int, fault: Fault, warehouse: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    steps = product(FAULTS, range(fault.commit, 0, -every))
    for number, (kind, at) in enumerate(steps, start=2):
        path = write_batch(tmp_path, number)
        before, after, error = FAULTS[kind]
        # Given a fault at this statement, when the file is run
        fault.arm(at, before, after)
        with pytest.raises(error):
            minidw.run(path, warehouse)
        # Then all of it is there if the commit is done, and otherwise nothing
        if at == fault.commit and after is not nothing:
            minidw.run(path, untroubled)
        assert fingerprint(warehouse) == fingerprint(untroubled), (kind, at)
        # And running it again is all it takes: the next round and the end compare
        fault.arm(0)
        minidw.run(path, warehouse)
        minidw.run(path, untroubled)
    assert fingerprint(warehouse) == fingerprint(untroubled)
    assert minidw.verify(warehouse).differences == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("every", [40, EVERY_STATEMENT])
def test_kill_9_at_any_statement_leaves_all_of_a_batch_or_nothing(
    every: int, fault: Fault, warehouse: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    steps = product(("before", "after"), range(fault.commit, 0, -every))
    for number, (when, at) in enumerate(steps, start=2):
        path = write_batch(tmp_path, number)

        def client(path: Path = path, when: str = when, at: int = at) -> None:
            warehouse.dispose(close=False)
            warehouse.connect().close()
            fault.arm(at, **{when: kill_client})
            minidw.run(path, warehouse)

        assert was_killed(fork(client)), (when, at)
        if at == fault.commit and when == "after":
            minidw.run(path, untroubled)
        assert fingerprint(warehouse) == fingerprint(untroubled), (when, at)
        minidw.run(path, warehouse)
        minidw.run(path, untroubled)
    assert fingerprint(warehouse) == fingerprint(untroubled)
    assert minidw.verify(warehouse).differences == []
