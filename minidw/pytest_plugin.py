"""Fixtures for tests of one's own marts; pytest finds them where minidw is installed.

SQLAlchemy is imported when a test asks for one of them, and a server is started then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session


@pytest.fixture(scope="session")
def minidw_engine() -> "Iterator[Engine]":
    """An engine on a warehouse for the whole session, migrated once: see temporary_warehouse."""
    from minidw.testing import temporary_warehouse

    with temporary_warehouse() as engine:
        yield engine


@pytest.fixture
def minidw_connection(minidw_engine: "Engine") -> "Iterator[Connection]":
    """A connection in a transaction that is rolled back at the end of the test."""
    with minidw_engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@pytest.fixture
def minidw_session(minidw_connection: "Connection") -> "Iterator[Session]":
    """A Session in savepoint mode: what the test commits is rolled back at its end all the same."""
    from sqlalchemy.orm import Session

    with Session(minidw_connection, join_transaction_mode="create_savepoint") as session:
        yield session


@pytest.fixture
def minidw_feed(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV from a small table of text, or from rows: see write_feed. Returns its path."""
    from minidw.testing import write_feed

    numbers = count(1)

    def write(rows: str | Sequence[Mapping[str, str]], *, name: str | None = None) -> Path:
        return write_feed(tmp_path / (name or f"feed_{next(numbers):03}.csv"), rows)

    return write
