"""Connecting: an engine on the database of the settings, which nothing in the environment redirects."""

import getpass
import ipaddress
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import Session

from minidw.errors import ConnectionLostError, DatabaseError
from minidw.settings import Settings

Target = Engine | Connection | Session
"""Where a function works: an engine, or the caller's open transaction."""

Bind = Target | None
"""The same; nothing: the settings decide."""

OLDEST_SERVER = 160000
_INVALID_TRANSACTION = "8s2b"  # SQLAlchemy's code of a statement after the connection broke
_TERMINATED = ("57P01", "57P02", "57P03")  # by an administrator, a crash, or while it starts


def create_engine(settings: Settings | None = None) -> Engine:
    """An engine on the database of the settings; starts the embedded PostgreSQL where they name no other.

    The embedded server runs for as long as some process holds such an engine. Raises DatabaseError.
    """
    settings = settings or Settings.from_env()
    server = None
    url = settings.url
    if url is None:
        from minidw.embedded import cluster

        server = cluster.start(settings.home)
        url = server.url
    engine = sqlalchemy.create_engine(
        url.difference_update_query(["sslpassword"]),  # which is shown wherever the URL is
        isolation_level="READ COMMITTED",
        connect_args=connect_arguments(url),
    )
    if server is not None:
        weakref.finalize(engine, server.close)
    return engine


def connect_arguments(url: URL) -> dict[str, str]:
    """What the URL leaves open, so that no PG* variable of the environment decides it; credentials aside.

    Where the host is not this machine, TLS with a verified certificate is the default.
    """
    query = url.query
    hosts = query.get("host", url.host or "")
    user = url.username or getpass.getuser()
    local = all(map(_is_local, hosts.split(",") if isinstance(hosts, str) else hosts))
    defaults = {
        "host": url.host or "",
        "hostaddr": "",
        "port": str(url.port or 5432),
        "user": user,
        "dbname": url.database or user,
        "sslmode": "prefer" if local else "verify-full",
        "target_session_attrs": "any",
        "client_encoding": "utf8",
        "application_name": "minidw",
    }
    options = f"{query.get('options', '')} -c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO,YMD"
    arguments = {name: value for name, value in defaults.items() if name not in query} | {"options": options}
    if isinstance(secret := query.get("sslpassword"), str):
        arguments["sslpassword"] = secret
    return arguments


def _is_local(host: str) -> bool:
    """This machine: a socket, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def connection(target: Target) -> Iterator[Connection]:
    """A connection to work with; every error of the database leaves as one line of DatabaseError."""
    try:
        if isinstance(target, Engine):
            with target.connect() as conn:
                yield _fit(conn.execution_options(isolation_level="READ COMMITTED"))
        elif isinstance(target, Session):
            target.flush()
            yield _fit(target.connection())
        else:
            yield _fit(target)
    # COPY speaks to the driver itself, whose errors SQLAlchemy does not see.
    except (DBAPIError, psycopg2.Error, PendingRollbackError) as error:
        if _is_lost(error):
            raise ConnectionLostError(
                f"the connection to the database was lost ({_one_line(error)});"
                " what was under way is stored whole or not at all: run it again"
            ) from error
        raise DatabaseError(_one_line(error)) from error


def _fit(conn: Connection) -> Connection:
    """Refuse a server or a transaction that would give wrong results."""
    driver: Any = conn.connection.driver_connection
    if conn.dialect.driver != "psycopg2":
        raise DatabaseError(
            f"minidw needs the psycopg2 driver: postgresql+psycopg2://, not {conn.dialect.driver}"
        )
    if driver.server_version < OLDEST_SERVER:
        version = driver.server_version // 10000
        raise DatabaseError(
            f"this server is PostgreSQL {version}; minidw needs {OLDEST_SERVER // 10000} or later"
        )
    if (encoding := driver.info.parameter_status("server_encoding")) != "UTF8":
        raise DatabaseError(f"this database is encoded in {encoding}; create one with ENCODING 'UTF8'")
    return conn


def _is_lost(error: Exception) -> bool:
    """Whether the connection broke, as opposed to a statement; not to get one at all is no loss."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, PendingRollbackError):
        return error.code == _INVALID_TRANSACTION
    return isinstance(error, psycopg2.InterfaceError) or (
        isinstance(error, psycopg2.OperationalError) and error.pgcode in (None, *_TERMINATED)
    )


def _one_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "pgcode", None)
    text = " ".join(str(cause).split("\n")[0].split())
    if state in ("3F000", "42P01"):
        return f"the warehouse has no tables here yet: run minidw migrate, or alembic upgrade head ({text})"
    return f"{text} (SQLSTATE {state})" if state else text
