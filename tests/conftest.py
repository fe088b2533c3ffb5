"""The fixtures: a migrated database for the session, and three ways to use it without leaving a trace."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.orm import Session

import minidw
from minidw.rulebook import RULES
from minidw.settings import Settings
from tests.support import servers

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("minidw", deadline=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("minidw")

# A shell ignores Ctrl-C for what it starts in the background; the commands under test are in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        choices=["18", "16", "tcp"],
        default="18",
        help="the server of the tests: embedded 18, the same on 16, or 18 over TCP with a password",
    )
    parser.addoption("--proof", type=int, default=1000, help="batches of the slow proof of exactness")
    parser.addoption("--proof-marts", type=int, default=500, help="marts of the slow proof of own marts")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """No test passes whose output, log or traceback shows a password."""
    report = yield
    shown = "".join((report.caplog, report.capstdout, report.capstderr, report.longreprtext))
    if servers.CANARY in shown:
        report.outcome, report.longrepr = "failed", "a password was printed"
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Given an empty environment and an empty working directory: no test meets the user's own database."""
    ours = ("PG", "POSTGRES_", "DATABASE_URL", "MINIDW_", "MAX_REJECT_", *(rule.upper() for rule in RULES))
    for name in list(os.environ):
        if name.startswith(ours):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[URL]:
    """A running PostgreSQL."""
    kind = request.config.getoption("--postgres")
    if kind == "tcp":
        running = servers.tcp_server()
    else:
        running = servers.temporary_server(servers.postgres_16() if kind == "16" else None)
    with running as url:
        yield url


@pytest.fixture(scope="session")
def engine(server: URL) -> Iterator[Engine]:
    """A database that the migrations built; nothing is ever committed to it."""
    with servers.temporary_database(server, "minidw_session") as url:
        engine = minidw.create_engine(Settings(url=url))
        minidw.upgrade(engine)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def minidw_engine(engine: Engine) -> Engine:
    """The engine of the plugin's fixtures: they are at work here as in a project of a user's own."""
    return engine


@pytest.fixture
def conn(minidw_connection: Connection) -> Connection:
    """A connection whose transaction is rolled back."""
    return minidw_connection


@pytest.fixture
def session(minidw_session: Session) -> Session:
    """A session in savepoint mode: what the test commits is rolled back all the same."""
    return minidw_session


@pytest.fixture(scope="session")
def copies(server: URL, engine: Engine) -> Iterator[servers.Copies]:
    """Copies of the database of the session."""
    copies = servers.Copies(server, str(engine.url.database))
    yield copies
    copies.close()


@pytest.fixture
def database(copies: servers.Copies, engine: Engine) -> Iterator[URL]:
    """A migrated database of the test's own, for what commits."""
    engine.dispose()
    with copies.one() as url:
        yield url


@pytest.fixture
def warehouse(database: URL, engine: Engine) -> Iterator[Engine]:
    """An engine on a database of the test's own."""
    with servers.engine_like(engine, database) as own:
        yield own


@pytest.fixture
def empty_database(server: URL) -> Iterator[URL]:
    """A database without any tables."""
    with servers.temporary_database(server, f"minidw_{uuid4().hex[:12]}") as url:
        yield url


@pytest.fixture
def feed(minidw_feed: Callable[..., Path]) -> Callable[..., Path]:
    """Write a feed from a small table of text."""
    return minidw_feed
