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

By default every fortieth statement is struck, the COMMIT always; ``pytest -m slow`` strikes every one.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

import minidw
from minidw.errors import DatabaseError
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
from tests.support.twin import fingerprint, fork, warehouse_on, was_killed, write_batch

STEPS = [
    pytest.param(40, id="every fortieth statement"),
    pytest.param(1, id="every statement", marks=[pytest.mark.slow, pytest.mark.timeout(0)]),
]
FAULTS: dict[str, tuple[Strike, Strike, type[BaseException]]] = {
    # name: (what happens before the statement, what happens after it, what the caller is to see)
    "an exception before it": (bug, nothing, UnexpectedError),
    "an exception after it": (nothing, bug, UnexpectedError),
    "Ctrl-C before it": (interrupt, nothing, KeyboardInterrupt),
    "a cancelled query": (cancel, nothing, DatabaseError),
    "a killed backend": (kill_backend, nothing, DatabaseError),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_statement_leaves_all_of_a_batch_or_nothing(
    step: int, fault: Fault, warehouse: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    rounds = product(FAULTS, range(fault.commit, 0, -step))
    for number, (kind, at) in enumerate(rounds, start=2):
        path = write_batch(tmp_path, number)
        before, after, error = FAULTS[kind]
        committed = at == fault.commit and after is not nothing
        # Given a fault at this statement, when the file is run
        fault.arm(at, before, after)
        with nullcontext() if committed else pytest.raises(error):
            minidw.run(path, warehouse)
        # Then all of it is there if the commit is done, and otherwise nothing
        if committed:
            minidw.run(path, untroubled)
        assert fingerprint(warehouse) == fingerprint(untroubled), (kind, at)
        # And running it again is all it takes: the next round and the end compare
        fault.arm(0)
        minidw.run(path, warehouse)
        minidw.run(path, untroubled)
    assert fingerprint(warehouse) == fingerprint(untroubled)
    assert minidw.verify(warehouse).differences == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("step", STEPS)
def test_kill_9_at_any_statement_leaves_all_of_a_batch_or_nothing(
    step: int, fault: Fault, warehouse: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    rounds = product(("before", "after"), range(fault.commit, 0, -step))
    for number, (when, at) in enumerate(rounds, start=2):
        path = write_batch(tmp_path, number)

        def client(path: Path = path, when: str = when, at: int = at) -> None:
            warehouse.dispose(close=False)
            warehouse.connect().close()
            fault.arm(at, **{when: kill_client})
            minidw.run(path, warehouse)

        # Given a client that is killed at this statement
        assert was_killed(fork(client)), (when, at)
        # Then all of its file is there if the commit is done, and otherwise nothing
        if at == fault.commit and when == "after":
            minidw.run(path, untroubled)
        assert fingerprint(warehouse) == fingerprint(untroubled), (when, at)
        # And running it again is all it takes
        minidw.run(path, warehouse)
        minidw.run(path, untroubled)
    assert fingerprint(warehouse) == fingerprint(untroubled)
    assert minidw.verify(warehouse).differences == []


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
