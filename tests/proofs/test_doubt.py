"""A connection that breaks at COMMIT: the ledger decides what became of the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import URL, Engine, func, select

import minidw
from minidw.errors import DatabaseError
from minidw.settings import Settings
from tests.support import servers
from tests.support.proxy import Proxy, proxy_before
from tests.support.twin import batches, failures, fingerprint, warehouse_on, write_batch

CUTS = [1, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(0)])]


@pytest.fixture(scope="module")
def over_tcp() -> Iterator[URL]:
    """A server that is reached over TCP."""
    with servers.tcp_server() as url:
        yield url


@pytest.fixture
def direct(over_tcp: URL) -> Iterator[Engine]:
    """The warehouse, without the proxy."""
    with warehouse_on(over_tcp) as engine:
        yield engine


@pytest.fixture
def untroubled(over_tcp: URL) -> Iterator[Engine]:
    """A second warehouse, in which nothing goes wrong."""
    with warehouse_on(over_tcp) as engine:
        yield engine


@pytest.fixture
def proxy(over_tcp: URL, direct: Engine) -> Iterator[tuple[Proxy, Engine]]:
    """The proxy, and the warehouse through it."""
    # An engine's URL does not tell the password.
    with proxy_before(over_tcp.set(database=direct.url.database)) as (proxy, url):
        engine = minidw.create_engine(Settings(url=url))
        yield proxy, engine
        engine.dispose()


def runs(engine: Engine) -> int:
    """How many lines the ledger has, of success and failure."""
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(minidw.Run)) or 0


@pytest.mark.parametrize("cuts", CUTS)
def test_a_commit_whose_answer_is_lost_is_a_success(
    cuts: int, proxy: tuple[Proxy, Engine], direct: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    breaking, warehouse = proxy
    for number in range(cuts):
        path = write_batch(tmp_path, number)
        # When the server commits and its answer never comes
        breaking.cut = "after"
        result = minidw.run(path, warehouse)
        # Then the run returns what it did, as if nothing had happened
        assert breaking.cuts == number + 1
        assert (result.loaded.batch_id, result.loaded.skipped) == (number + 1, False)
        assert {outcome.failed for outcome in result.checked} == {False}
        assert runs(direct) == number + 1
        minidw.run(path, untroubled)
    assert fingerprint(direct) == fingerprint(untroubled)
    assert failures(direct) == []


@pytest.mark.parametrize("cuts", CUTS)
def test_a_commit_that_never_arrived_is_a_failure(
    cuts: int, proxy: tuple[Proxy, Engine], direct: Engine, untroubled: Engine, tmp_path: Path
) -> None:
    breaking, warehouse = proxy
    for number in range(cuts):
        path = write_batch(tmp_path, number)
        # When the connection breaks before the server hears of the commit
        breaking.cut = "before"
        with pytest.raises(DatabaseError, match="the connection to the database was lost"):
            minidw.run(path, warehouse)
        # Then nothing is stored but the note, and running it again stores it once
        assert breaking.cuts == number + 1
        assert fingerprint(direct) == fingerprint(untroubled)
        assert len(failures(direct)) == number + 1
        again = minidw.run(path, warehouse)
        assert (again.loaded.batch_id, again.loaded.skipped) == (number + 1, False)
        minidw.run(path, untroubled)
    assert fingerprint(direct) == fingerprint(untroubled)
    assert minidw.verify(direct).differences == []


@pytest.mark.parametrize("cuts", [1, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(0)])])
@pytest.mark.parametrize("when", ["before", "after"])
def test_where_the_ledger_cannot_be_asked_the_next_run_finds_out(
    when: Literal["before", "after"],
    cuts: int,
    proxy: tuple[Proxy, Engine],
    direct: Engine,
    untroubled: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaking, warehouse = proxy
    monkeypatch.setattr("minidw.pipeline.attempt.RECONNECT_SECONDS", 0.0)
    for number in range(cuts):
        path = write_batch(tmp_path, number)
        # When the connection breaks at the commit and the server cannot be reached any more
        breaking.cut, breaking.stay_down = when, True
        with pytest.raises(DatabaseError, match=r"connection to the database was lost .* run it again"):
            minidw.run(path, warehouse)
        # Then whether it is stored shows once it can, and running it again stores it once
        stored = batches(direct)
        assert stored == (number + 1 if when == "after" else number)
        breaking.down = False
        again = minidw.run(path, warehouse)
        assert (again.loaded.batch_id, again.loaded.skipped) == (number + 1, when == "after")
        for _ in range(2 if when == "after" else 1):
            minidw.run(path, untroubled)
    assert fingerprint(direct) == fingerprint(untroubled)
    assert failures(direct) == []
