"""Atomic: a batch is in raw, staging, rejects, marts and ledger, or nowhere, whatever fails and wherever.

Two warehouses are fed the same files. In one of them something goes wrong at one statement of the run: before
or after each of them in turn, COPY and COMMIT among them. Then both must hold the same in every table: all of
the file where the COMMIT was done, nothing of it otherwise. Running the file again must be all it takes, and
after it both must hold the same again.

=====================  =================================  ==============================================
what goes wrong        where                              what the caller sees
=====================  =================================  ==============================================
an exception           before, and after, any statement   that exception; after the COMMIT, the result:
                                                          what was committed is not reported as failed
Ctrl-C                 before any statement               KeyboardInterrupt
a cancelled query      any statement                      DatabaseError
a killed backend       any statement                      DatabaseError
kill -9 of the client  before, and after, any statement   nothing any more
=====================  =================================  ==============================================

The same befalls an unload, a file that takes the place of another, and an erasure.

By default every fortieth statement of a run is struck, the COMMIT always. ``pytest -m slow`` strikes every
one of a run by every fault, and every third of the others, each by one of the faults in turn; with ``--proof
20000`` all of them by all.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

import minidw
from minidw.errors import DatabaseError
from minidw.steps import erase
from tests.support.faults import (
    Fault,
    Strike,
    UnexpectedError,
    bug,
    cancel,
    interrupt,
    kill_backend,
    kill_client,
    nothing,
)
from tests.support.feeds import write_feed
from tests.support.twin import fingerprint, fork, warehouse_on, was_killed, write_batch

SLOW = (pytest.mark.slow, pytest.mark.timeout(0))
FEWEST_STATEMENTS = 40
"""No work has fewer: a count that is lower does not count, and nothing would be struck."""

ALL_FAULTS = 20_000
"""From so many batches of proof on, each fault strikes at each statement of everything."""


@dataclass(frozen=True)
class Work:
    """What is struck, and what has to be there before; that gives the number of its batch."""

    prepare: Callable[[Engine, Path], int]
    do: Callable[[Engine, Path, int], object]
    # Running a file again is all it takes also where it is there already; nothing is taken back twice.
    may_be_repeated: bool = False


def run_first(engine: Engine, path: Path) -> int:
    """A batch to be taken back or erased from."""
    return minidw.run(path, engine).loaded.batch_id


def corrected(path: Path) -> Path:
    """The file that takes the place of another: other bytes, later values."""
    right = path.with_stem(f"{path.stem}_right")
    right.write_text(path.read_text().replace(",300,", ",299,"))
    return right


WORKS = {
    "run": Work(lambda *_: 0, lambda engine, path, _: minidw.run(path, engine), may_be_repeated=True),
    "unload": Work(run_first, lambda engine, _, batch_id: minidw.unload(batch_id, engine)),
    "replace": Work(
        run_first, lambda engine, path, batch_id: minidw.run(corrected(path), engine, replace=batch_id)
    ),
    "erase": Work(run_first, lambda engine, path, _: minidw.erase(path.stem, engine)),
}
STRUCK = [
    pytest.param("run", 40, id="run, every fortieth statement"),
    pytest.param("run", 1, id="run, every statement", marks=SLOW),
    *(pytest.param(name, 3, id=f"{name}, every third statement", marks=SLOW) for name in list(WORKS)[1:]),
]
FAULTS: dict[str, tuple[Strike, Strike, type[BaseException]]] = {
    # name: (what happens before the statement, what happens after it, what the caller is to see)
    "an exception before it": (bug, nothing, UnexpectedError),
    "an exception after it": (nothing, bug, UnexpectedError),
    "Ctrl-C before it": (interrupt, nothing, KeyboardInterrupt),
    "a cancelled query": (cancel, nothing, DatabaseError),
    "a killed backend": (kill_backend, nothing, DatabaseError),
}


@pytest.mark.parametrize(("name", "step"), STRUCK)
def test_a_fault_at_any_statement_leaves_all_of_the_work_or_nothing(
    name: str, step: int, twins: "Twins", request: pytest.FixtureRequest
) -> None:
    work, fault = twins.begin(name)
    for kind, at in rounds(tuple(FAULTS), fault, *in_full(name, step, request)):
        twins.prepare()
        before, after, error = FAULTS[kind]
        committed = at == fault.commit and after is not nothing
        # Given a fault at this statement of the work
        fault.arm(at, before, after)
        with nullcontext() if committed else pytest.raises(error):
            twins.do(twins.warehouse)
        fault.arm(0)
        # Then all of it is there if the commit is done, and otherwise nothing
        if committed:
            twins.do(twins.untroubled)
        assert fingerprint(twins.warehouse) == fingerprint(twins.untroubled), (kind, at)
        # And doing it again is all it takes: the next round and the end compare
        if work.may_be_repeated or not committed:
            twins.do(twins.warehouse)
            twins.do(twins.untroubled)
    twins.compare()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("name", "step"), STRUCK)
def test_kill_9_at_any_statement_leaves_all_of_the_work_or_nothing(
    name: str, step: int, twins: "Twins", request: pytest.FixtureRequest
) -> None:
    work, fault = twins.begin(name)
    for when, at in rounds(("before", "after"), fault, *in_full(name, step, request)):
        twins.prepare()

        def client(when: str = when, at: int = at) -> None:
            twins.warehouse.dispose(close=False)
            twins.warehouse.connect().close()
            fault.arm(at, **{when: kill_client})
            twins.do(twins.warehouse)

        # Given a client that is killed at this statement
        assert was_killed(fork(client)), (when, at)
        # Then all of the work is there if the commit is done, and otherwise nothing
        committed = at == fault.commit and when == "after"
        if committed:
            twins.do(twins.untroubled)
        assert fingerprint(twins.warehouse) == fingerprint(twins.untroubled), (when, at)
        # And doing it again is all it takes
        if work.may_be_repeated or not committed:
            twins.do(twins.warehouse)
            twins.do(twins.untroubled)
    twins.compare()


def in_full(name: str, step: int, request: pytest.FixtureRequest) -> tuple[int, bool]:
    """Which statements are struck, and whether by every fault or by one of them in turn."""
    if request.config.getoption("--proof") >= ALL_FAULTS:
        return 1, True
    return step, name == "run" and step == 1


def rounds(kinds: tuple[str, ...], fault: Fault, step: int, every: bool) -> Iterator[tuple[str, int]]:
    """Which fault strikes at which statement; at the COMMIT each of them does."""
    for turn, at in enumerate(range(fault.commit, 0, -step)):
        for number, kind in enumerate(kinds):
            if every or at == fault.commit or turn % len(kinds) == number:
                yield kind, at


class Twins:
    """Two warehouses that are given the same work: in one of them something goes wrong."""

    def __init__(self, warehouse: Engine, untroubled: Engine, directory: Path) -> None:
        self.warehouse, self.untroubled, self.directory = warehouse, untroubled, directory
        self.number = 0

    def begin(self, name: str) -> tuple[Work, Fault]:
        """Do the work twice in both; the statements of the second time are counted."""
        self.work = WORKS[name]
        fault = Fault(self.warehouse)
        self.warehouse.dispose()
        for _ in range(2):
            self.prepare()
            fault.arm(0)
            self.do(self.warehouse)
            fault.commit = fault.seen
            self.do(self.untroubled)
        assert fingerprint(self.warehouse) == fingerprint(self.untroubled)
        assert fault.commit > FEWEST_STATEMENTS
        return self.work, fault

    def prepare(self) -> None:
        """A new file, and what has to be there before the work."""
        self.path = write_batch(self.directory, self.number)
        if self.work is WORKS["erase"]:
            rows = f"order_id | customer_id\nz{self.number} | {self.path.stem}\nz{self.number} | bob"
            write_feed(self.path, f"{rows}\nz | {self.path.stem}")
        self.number += 1
        self.batch_ids = {
            engine: self.work.prepare(engine, self.path) for engine in (self.warehouse, self.untroubled)
        }

    def do(self, engine: Engine) -> None:
        """The work in one of them."""
        self.work.do(engine, self.path, self.batch_ids[engine])

    def compare(self) -> None:
        """Both hold the same, and every table is what it follows from."""
        assert fingerprint(self.warehouse) == fingerprint(self.untroubled)
        assert minidw.verify(self.warehouse).differences == []


@pytest.fixture
def twins(server: URL, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    """Both are made alike and draw the same pseudonyms, on engines of their own, that can be watched."""
    engine.dispose()
    with (
        warehouse_on(server, template="minidw_session") as warehouse,
        warehouse_on(server, template="minidw_session") as untroubled,
    ):
        both = Twins(warehouse, untroubled, tmp_path)
        monkeypatch.setattr(erase, "pseudonym", lambda: f"erased-{both.number:016}")
        yield both
