"""The one place that locks and commits."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from minidw.connection import connection, target_of
from minidw.engine import Bind, Target, create_engine
from minidw.lock import hold
from minidw.migrate import upgrade
from minidw.pins import pin, set_local
from minidw.revision import require_head
from minidw.settings import Settings

LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"


@contextmanager
def bound(bind: Bind, settings: Settings, *, create: bool = False, wait: bool = True) -> Iterator[Target]:
    """The caller's own bind, or an engine on the database of the settings for as long as it is needed.

    ``create``: where there is no embedded warehouse yet it is made; what only reads makes none. The embedded
    database belongs to minidw alone and is always migrated; a server is migrated on request.
    """
    if bind is not None:
        yield target_of(bind)
        return
    engine = create_engine(settings, create=create)
    try:
        if settings.url is None:
            upgrade(engine, wait=wait, settings=settings)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def transaction(bind: Bind, settings: Settings, *, wait: bool = True) -> Iterator[Connection]:
    """A transaction that holds the warehouse, committed at the end unless it is the caller's own.

    Everything that writes goes through here. A Connection or Session is joined: the work stands in a
    savepoint and the caller commits. Raises WarehouseBusyError where another runner holds the
    warehouse and ``wait`` is false, and DatabaseError where its tables are not those of this minidw.
    """
    with bound(bind, settings, wait=wait) as target:
        joined = not isinstance(target, Engine)
        with connection(target) as conn, conn.begin_nested() if joined else conn.begin():
            before = pin(conn)
            hold(conn, wait=wait)
            require_head(conn)
            yield conn
            if joined:
                conn.execute(set_local(before))
        if isinstance(target, Session):
            target.expire_all()


@contextmanager
def reading(bind: Bind, settings: Settings, *, snapshot: bool = False) -> Iterator[Connection]:
    """A transaction to read in, rolled back at the end; it holds no lock.

    ``snapshot``: all statements see one state, unless the transaction is the caller's own.
    """
    with bound(bind, settings) as target, connection(target) as conn:
        joined = not isinstance(target, Engine)
        if snapshot and not joined:
            conn = conn.execution_options(isolation_level="REPEATABLE READ")
        work = conn.begin_nested() if joined else conn.begin()
        try:
            pin(conn)
            require_head(conn)
            yield conn
        finally:
            work.rollback()


def lock_at_once(conn: Connection, table: type[DeclarativeBase]) -> bool:
    """Lock a table against everyone until the transaction ends, if nobody is at it and the account may."""
    try:
        with conn.begin_nested():
            conn.execute(sqlalchemy.text(f"LOCK TABLE {table.__table__} IN ACCESS EXCLUSIVE MODE NOWAIT"))
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in (LOCK_NOT_AVAILABLE, INSUFFICIENT_PRIVILEGE):
            raise
        return False
    return True


def may_rebuild(conn: Connection, table: type[DeclarativeBase], indexes: list[str]) -> bool:
    """Whether indexes can be dropped and built again as they were: by this account, and losing nothing.

    A foreign key to the table or a view grouped by its key depends on them; marks of CLUSTER and REPLICA
    IDENTITY, options, a place of its own or a comment would be gone.
    """
    found = sqlalchemy.text("""
        SELECT pg_has_role(t.relowner, 'USAGE') AND NOT EXISTS (
                 SELECT
                   FROM pg_index AS i
                   JOIN pg_class AS x ON x.oid = i.indexrelid
                   LEFT JOIN pg_constraint AS k ON k.conindid = x.oid AND k.conrelid = t.oid
                  WHERE i.indrelid = t.oid AND x.relname = ANY(:indexes)
                    AND (i.indisclustered OR i.indisreplident OR x.reltablespace <> 0
                         OR x.reloptions IS NOT NULL OR obj_description(x.oid, 'pg_class') IS NOT NULL
                         OR obj_description(k.oid, 'pg_constraint') IS NOT NULL
                         OR EXISTS (SELECT FROM pg_depend AS d
                                     WHERE d.deptype <> 'i' AND (d.refclassid, d.refobjid) IN (
                                             (CAST('pg_class' AS regclass), x.oid),
                                             (CAST('pg_constraint' AS regclass), k.oid)))))
          FROM pg_class AS t
         WHERE t.oid = CAST(:table AS regclass)""")
    return bool(conn.scalar(found, {"table": str(table.__table__), "indexes": indexes}))
