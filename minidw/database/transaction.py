"""The one place that locks and commits."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from minidw.database.connection import connection, target_of
from minidw.database.engine import Bind, Target, create_engine
from minidw.database.lock import WAREHOUSE, Lock, hold
from minidw.database.migrate import upgrade
from minidw.database.pins import pin, set_local
from minidw.database.revision import require_head
from minidw.settings import Settings


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
def transaction(
    bind: Bind, settings: Settings, *, wait: bool = True, lock: Lock = WAREHOUSE
) -> Iterator[Connection]:
    """A transaction that holds the warehouse, committed at the end unless it is the caller's own.

    Everything that writes goes through here. A Connection or Session is joined: the work stands in a
    savepoint and the caller commits. ``lock``: what is held in the warehouse's place. Raises
    WarehouseBusyError where another runner holds it and ``wait`` is false, and DatabaseError where the tables
    of the warehouse are not those of this minidw.
    """
    with bound(bind, settings, wait=wait) as target:
        joined = not isinstance(target, Engine)
        with connection(target) as conn, conn.begin_nested() if joined else conn.begin():
            before = pin(conn)
            hold(conn, wait=wait, lock=lock)
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
