"""A connection to work on: whose it is, whether it fits, and whatever the server says in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import URL, Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError, PendingRollbackError
from sqlalchemy.orm import Session, scoped_session

from minidw.address import without_secrets
from minidw.database.engine import Target
from minidw.errors import ConnectionLostError, DatabaseError, SettingsError

OLDEST_SERVER = 160000
_INVALID_TRANSACTION = "8s2b"  # SQLAlchemy's code of a statement after the connection broke
_DEPENDENT_OBJECTS = "2BP01"
_DUPLICATE_TABLE = "42P07"
_UNDEFINED = ("3F000", "42P01", "42703", "42704", "42883")  # schema, table, column, type, function
_TERMINATED = ("57P01", "57P02", "57P03")  # by an administrator, a crash, or while it starts


def target_of(bind: Target | scoped_session[Any]) -> Target:
    """What the caller gave us to work with; SettingsError where that is something else."""
    if isinstance(bind, scoped_session):
        return bind()  # type: ignore[no-any-return]
    if isinstance(bind, Engine | Connection | Session):
        return bind
    kind = type(bind).__name__
    hint = ""
    if isinstance(bind, str | URL):
        hint = "; make an engine of a URL: sqlalchemy.create_engine(url)"
    elif isinstance(bind, type) or callable(bind):
        hint = "; call it, and give what it returns"
    elif kind.lower().startswith("async"):
        hint = "; minidw awaits nothing: give it an Engine of psycopg2"
    raise SettingsError(f"bind: an Engine, a Connection or a Session is needed, not {kind}{hint}")


@contextmanager
def connection(target: Target) -> Iterator[Connection]:
    """A connection to work with; every error of the database leaves as one line of DatabaseError."""
    try:
        if isinstance(target, Engine):
            _require_psycopg2(target.dialect)
            with target.connect() as conn:
                yield _fit(conn.execution_options(isolation_level="READ COMMITTED"))
        else:
            yield _fit(_joined(target))
    # COPY speaks to the driver itself, whose errors SQLAlchemy does not see.
    except (DBAPIError, psycopg2.Error, PendingRollbackError) as error:
        if is_lost(error):
            raise ConnectionLostError(
                f"the connection to the database was lost ({one_line(error, target)});"
                " what was under way is stored whole or not at all: run it again"
            ) from error
        raise DatabaseError(one_line(error, target)) from error


def _joined(target: Connection | Session) -> Connection:
    """The connection of the caller's transaction; DatabaseError where there is none to join."""
    if isinstance(target, Session):
        try:
            target.flush()
            target = target.connection()
        except PendingRollbackError:
            raise
        except InvalidRequestError as error:
            # It is closed, is bound to nothing, or begins no transaction by itself.
            raise DatabaseError(f"this Session cannot be used: {_first_line(error)}") from error
    if target.closed:
        raise DatabaseError("this Connection is closed")
    _require_psycopg2(target.dialect)
    driver: Any = target.connection.driver_connection
    if driver.autocommit:
        raise DatabaseError(
            "this connection is in AUTOCOMMIT, so it has no transaction to join: give minidw the Engine"
        )
    return target


def _require_psycopg2(dialect: Dialect) -> None:
    if (dialect.name, dialect.driver) != ("postgresql", "psycopg2"):
        raise DatabaseError(
            f"minidw needs PostgreSQL and the psycopg2 driver: postgresql+psycopg2://,"
            f" not {dialect.name}+{dialect.driver}://"
        )


def _fit(conn: Connection) -> Connection:
    """Refuse a server that would give wrong results."""
    driver: Any = conn.connection.driver_connection
    if driver.server_version < OLDEST_SERVER:
        version = driver.server_version // 10000
        raise DatabaseError(
            f"this server is PostgreSQL {version}; minidw needs {OLDEST_SERVER // 10000} or later"
        )
    if (encoding := driver.info.parameter_status("server_encoding")) != "UTF8":
        raise DatabaseError(f"this database is encoded in {encoding}; create one with ENCODING 'UTF8'")
    if (encoding := driver.info.parameter_status("client_encoding")) != "UTF8":
        raise DatabaseError(f"this connection speaks {encoding}; give minidw one with client_encoding=utf8")
    return conn


def is_lost(error: Exception) -> bool:
    """Whether the connection broke, as opposed to a statement; not to get one at all is no loss."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, PendingRollbackError):
        return error.code == _INVALID_TRANSACTION
    return isinstance(error, psycopg2.InterfaceError) or (
        isinstance(error, psycopg2.OperationalError) and error.pgcode in (None, *_TERMINATED)
    )


def one_line(error: Exception, target: Target) -> str:
    """What the server said, and where it lies in something that is not ours, that thing by name."""
    cause: Any = getattr(error, "orig", None) or error
    state = getattr(cause, "pgcode", None)
    text = _first_line(cause)
    if isinstance(target, Engine):
        # Of the caller's own making, perhaps.
        text = without_secrets(text, target.url)
    if state is None:
        return text
    diagnostics: Any = cause.diag
    if state == _DEPENDENT_OBJECTS:
        text += f": {'; '.join((diagnostics.message_detail or '').splitlines())}"
    if state == _DUPLICATE_TABLE and (
        made := re.match(r"\s*CREATE TABLE (\S+)", getattr(error, "statement", ""))
    ):
        text = (
            f"{made[1]} is there already, and minidw did not make it: rename it, or move it to another schema"
        )
    text += f" (SQLSTATE {state})"
    if function := re.search(r"^(?:PL/\w+|SQL) function .*", diagnostics.context or "", re.MULTILINE):
        text += f" in {function[0]}, which is not minidw's"
        if state in _UNDEFINED:
            text += "; minidw works with search_path pg_catalog: names in there need their schema"
    elif state in _UNDEFINED:
        text += "; minidw migrate --check says what the warehouse lacks"
    return text


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())
