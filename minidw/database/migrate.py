"""The schema, brought to a revision by Alembic."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from minidw.database.connection import connection, target_of
from minidw.database.engine import Bind, create_engine
from minidw.database.lock import hold
from minidw.database.pins import pin, set_local
from minidw.database.revision import (
    VERSION_SCHEMA,
    VERSION_TABLE,
    current,
    former,
    heads,
    migrations,
    mismatch,
    scripts,
)
from minidw.errors import DatabaseError
from minidw.schema import Base
from minidw.settings import Settings

_VERSIONS = f"{VERSION_SCHEMA}.{VERSION_TABLE}"
SCHEMAS = ("raw", "staging", "mart")


def upgrade(
    bind: Bind = None, *, revision: str = "head", wait: bool = True, settings: Settings | None = None
) -> None:
    """Bring the schema to a revision, as ``alembic upgrade`` does; at ``head`` it looks, and locks nothing.

    Safe to call from several processes and threads at once; in a process one upgrade works at a time.

    Args:
        bind: where to work; nothing: what the settings say
        revision: the revision (``head``)
        wait: where another runner holds the warehouse, wait for it (True)
        settings: those of the environment by default

    Raises:
        WarehouseBusyError: another runner holds the warehouse, and ``wait`` is false
        DatabaseError: there is no such revision, or the account may not change the schema

    Example:
        >>> minidw.upgrade()
    """
    with opened(bind, settings, create=True) as conn:
        if revision != "head" or current(conn) != heads():
            _migrate(conn, "upgrade", revision, wait=wait)


def downgrade(
    bind: Bind = None, *, revision: str = "base", wait: bool = True, settings: Settings | None = None
) -> None:
    """Take the schema back to a revision, as ``alembic downgrade`` does; at ``base`` nothing of ours is left.

    What others made stays.

    Args:
        bind: where to work; nothing: what the settings say
        revision: the revision (``base``)
        wait, settings: as in ``upgrade``

    Raises:
        WarehouseBusyError, DatabaseError: as in ``upgrade``; where something of others depends on ours, it is
            named

    Example:
        >>> minidw.downgrade()
        >>> minidw.upgrade()
        >>> minidw.status()["batches"]
        []
    """
    with opened(bind, settings) as conn:
        _migrate(conn, "downgrade", revision, wait=wait)


@contextmanager
def opened(bind: Bind, settings: Settings | None, *, create: bool = False) -> Iterator[Connection]:
    """A connection in a transaction, which is committed at the end unless it is the caller's own."""
    if bind is None:
        # Not ``bound``: that upgrades the embedded database first.
        engine = create_engine(settings, create=create)
        try:
            with opened(engine, settings) as conn:
                yield conn
        finally:
            engine.dispose()
        return
    target = target_of(bind)
    joined = not isinstance(target, Engine)
    with connection(target) as conn, conn.begin_nested() if joined else conn.begin():
        before = pin(conn)
        yield conn
        if joined:
            conn.execute(set_local(before))


def _migrate(conn: Connection, name: str, revision: str, *, wait: bool) -> None:
    """Call Alembic on our scripts, holding the warehouse."""
    # The warehouse first and Alembic second: whoever holds the warehouse waits for nobody who wants it.
    hold(conn, wait=wait)
    found = current(conn)
    if found is not None and not found <= scripts().keys():
        raise DatabaseError(mismatch(found))
    with alembic_alone() as command:
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = conn
        try:
            getattr(command, name)(config, revision)
        except CommandError as error:
            raise DatabaseError(f"cannot migrate: {error}") from error


# By process: a child that was forked while a thread held it would wait for ever.
# Ours may be migrated from within a project's own.
_locks: dict[int, threading.RLock] = {}


@contextmanager
def alembic_alone() -> Iterator[Any]:
    """Alembic's commands, for one thread at a time.

    ``alembic.context`` and ``alembic.op`` belong to the whole process. Where the caller is in a migration of
    an application's own, they are given back to that.
    """
    from alembic import command, context, op

    with _locks.setdefault(os.getpid(), threading.RLock()):
        theirs = [getattr(module, "_proxy", None) for module in (context, op)]
        try:
            yield command
        finally:
            for proxy in theirs:
                if proxy is not None:
                    proxy._install_proxy()


def include_name(name: str | None, type_: str, parents: Any) -> bool:
    """For Alembic: compare our tables alone, whatever else lies in the database or in our schemas."""
    if type_ == "schema":
        return name in SCHEMAS
    if type_ == "table":
        return f"{parents['schema_name']}.{name}" in Base.metadata.tables
    return True


OPTIONS = {
    "target_metadata": Base.metadata,
    "include_schemas": True,
    "include_name": include_name,
    "compare_server_default": True,
    "version_table": VERSION_TABLE,
    "version_table_schema": VERSION_SCHEMA,
}
"""For Alembic: what it is told of us, beside the connection."""


def prepare(conn: Connection) -> None:
    """Before Alembic migrates: hold the warehouse, and have a version table of our own."""
    # Several upgrades at once: the second waits here, then finds nothing to do.
    hold(conn, wait=True)
    made_before = former(conn)
    if not conn.scalar(text("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'raw'")):
        conn.execute(text("CREATE SCHEMA raw"))
    if conn.scalar(text(f"SELECT to_regclass('{_VERSIONS}') IS NOT NULL")):
        return
    conn.execute(
        text(
            f"CREATE TABLE {_VERSIONS} (version_num varchar(32) NOT NULL,"
            f" CONSTRAINT pk_{VERSION_TABLE} PRIMARY KEY (version_num))"
        )
    )
    conn.execute(text(f"COMMENT ON TABLE {_VERSIONS} IS 'The revision of the tables of minidw. One row.'"))
    if made_before:
        _take_over(conn, *made_before)


def _take_over(conn: Connection, revision: str, row: str | None = None) -> None:
    """The revision of a warehouse that was made before the version table; an application's rows stay."""
    conn.execute(text(f"INSERT INTO {_VERSIONS} VALUES (:revision)"), {"revision": revision})
    if row is not None:
        conn.execute(text("DELETE FROM public.alembic_version WHERE version_num = :row"), {"row": row})
        if not conn.scalar(text("SELECT count(*) FROM public.alembic_version")):
            conn.execute(text("DROP TABLE public.alembic_version"))


def tidy(conn: Connection) -> None:
    """After Alembic migrated: at base nothing of ours is left; a schema that others use stays."""
    if conn.scalar(text(f"SELECT count(*) FROM {_VERSIONS}")):
        return
    conn.execute(text(f"DROP TABLE {_VERSIONS}"))
    for schema in SCHEMAS:
        with suppress(DBAPIError), conn.begin_nested():
            conn.execute(text(f"DROP SCHEMA IF EXISTS {schema}"))
