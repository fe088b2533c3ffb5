"""The one place that locks and commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from minidw.engine import Bind, Target, connection, create_engine
from minidw.errors import DatabaseError, WarehouseBusyError
from minidw.migrate import upgrade
from minidw.settings import Settings

LOCK_KEY = 0x6D696E696477
LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"

# A run means the same whatever the server, the role or the environment set.
_PINNED = {
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "lock_timeout": "10s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_connection_check_interval": "1s",
    "synchronize_seqscans": "off",
    "jit": "off",
    # A batch looks up its order lines in the indexes: right on any disk of today, and in memory.
    "random_page_cost": "1.1",
    # What a select of ours computes per row costs far more than handing the row from one core to another.
    "parallel_setup_cost": "100",
    "parallel_tuple_cost": "0.01",
    # A hash table of several processes lies in shared memory, of which a container has 64 MB by default.
    "enable_parallel_hash": "off",
    # What a run gathers statistics of is joined once: a rough idea will do, in a fifth of the time.
    "default_statistics_target": "10",
    "work_mem": "128MB",
    "maintenance_work_mem": "256MB",
}


@contextmanager
def bound(bind: Bind, settings: Settings) -> Iterator[Target]:
    """The caller's own bind, or an engine on the database of the settings for as long as it is needed.

    The embedded database belongs to minidw alone and is always migrated; a server is migrated on request.
    """
    if bind is not None:
        yield bind
        return
    engine = create_engine(settings)
    try:
        if settings.url is None:
            upgrade(engine, settings=settings)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def transaction(bind: Bind, settings: Settings, *, wait: bool = True) -> Iterator[Connection]:
    """A transaction that holds the warehouse, committed at the end unless it is the caller's own.

    Everything that writes goes through here. A Connection or Session is joined: the work stands in a
    savepoint and the caller commits. Raises WarehouseBusyError where another runner holds the
    warehouse and ``wait`` is false.
    """
    joined = isinstance(bind, Connection | Session)
    with (
        bound(bind, settings) as target,
        connection(target) as conn,
        conn.begin_nested() if joined else conn.begin(),
    ):
        # A snapshot older than the lock would not show what the runner before committed.
        isolation: str = conn.execute(select(func.current_setting("transaction_isolation"))).scalar_one()
        if isolation != "read committed":
            raise DatabaseError(f"this transaction is {isolation.upper()}; give minidw a READ COMMITTED one")
        before = _pin(conn)
        _lock(conn, wait=wait)
        yield conn
        if joined:
            conn.execute(_set_local(before))
    if isinstance(bind, Session):
        bind.expire_all()


@contextmanager
def reading(bind: Bind, settings: Settings, *, snapshot: bool = False) -> Iterator[Connection]:
    """A transaction to read in, rolled back at the end; it holds no lock.

    ``snapshot``: all statements see one state, unless the transaction is the caller's own.
    """
    joined = isinstance(bind, Connection | Session)
    with bound(bind, settings) as target, connection(target) as conn:
        if snapshot and not joined:
            conn = conn.execution_options(isolation_level="REPEATABLE READ")
        work = conn.begin_nested() if joined else conn.begin()
        try:
            _pin(conn)
            yield conn
        finally:
            work.rollback()


def lock_statement() -> sqlalchemy.Select[Any]:
    """Wait for the warehouse and hold it until the transaction ends."""
    return select(func.pg_advisory_xact_lock(LOCK_KEY))


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


def owns(conn: Connection, table: type[DeclarativeBase]) -> bool:
    """Whether the account may change the table itself, not only its rows."""
    query = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = CAST(:name AS regclass)"
    return bool(conn.scalar(sqlalchemy.text(query), {"name": str(table.__table__)}))


def _lock(conn: Connection, *, wait: bool) -> None:
    if wait:
        # Another run may take any time; only what is locked beside us must not hold a run up.
        conn.execute(_set_local({"lock_timeout": "0"}))
        conn.execute(lock_statement())
        conn.execute(_set_local({"lock_timeout": _PINNED["lock_timeout"]}))
    elif not conn.scalar(select(func.pg_try_advisory_xact_lock(LOCK_KEY))):
        raise WarehouseBusyError(f"the warehouse is in use{_holder(conn)}; try again, or leave out --no-wait")


def _holder(conn: Connection) -> str:
    holder = conn.execute(
        sqlalchemy.text(
            "SELECT a.pid, a.usename, a.application_name, a.xact_start FROM pg_catalog.pg_locks AS l"
            " JOIN pg_catalog.pg_stat_activity AS a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
        ),
        {"key": LOCK_KEY},
    ).first()
    if holder is None:
        return ""
    since = f", since {holder.xact_start:%H:%M:%S} UTC" if holder.xact_start else ""
    return f" by process {holder.pid} ({holder.usename}, {holder.application_name or 'unnamed'}{since})"


def _pin(conn: Connection) -> dict[str, str]:
    """Set what the work depends on, for this transaction; returns what it was."""
    driver: Any = conn.connection.driver_connection
    pinned = _PINNED | ({"transaction_timeout": "0"} if driver.server_version >= 170000 else {})
    current = select(*(func.current_setting(name).label(name) for name in pinned))
    before = dict(conn.execute(current).one()._mapping)
    conn.execute(_set_local(pinned))
    return before


def _set_local(values: dict[str, str]) -> sqlalchemy.Executable:
    return select(*(func.set_config(name, value, True) for name, value in values.items()))
