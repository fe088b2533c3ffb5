"""The upgrade, and the one place that locks and commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase, Session

from minidw.engine import create_engine
from minidw.errors import ConnectionLostError, DatabaseError, WarehouseBusyError
from minidw.settings import Settings

Bind = Engine | Connection | Session | None
"""Where a function works: nothing (the settings decide), an engine, or the caller's open transaction."""

LOCK_KEY = 0x6D696E696477
LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"
OLDEST_SERVER = 160000
_INVALID_TRANSACTION = "8s2b"  # SQLAlchemy's code of a statement after the connection broke
_TERMINATED = ("57P01", "57P02", "57P03")  # by an administrator, a crash, or while it starts

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
def bound(bind: Bind, settings: Settings) -> Iterator[Engine | Connection | Session]:
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
def connection(bind: Bind, settings: Settings) -> Iterator[Connection]:
    """A connection to work with; every error of the database leaves as one line of DatabaseError."""
    try:
        with bound(bind, settings) as target:
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


@contextmanager
def transaction(bind: Bind, settings: Settings, *, wait: bool = True) -> Iterator[Connection]:
    """A transaction that holds the warehouse, committed at the end unless it is the caller's own.

    Everything that writes goes through here. A Connection or Session is joined: the work stands in a
    savepoint and the caller commits. Raises WarehouseBusyError where another runner holds the
    warehouse and ``wait`` is false.
    """
    joined = isinstance(bind, Connection | Session)
    with connection(bind, settings) as conn, conn.begin_nested() if joined else conn.begin():
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
    with connection(bind, settings) as conn:
        if snapshot and not joined:
            conn = conn.execution_options(isolation_level="REPEATABLE READ")
        work = conn.begin_nested() if joined else conn.begin()
        try:
            _pin(conn)
            yield conn
        finally:
            work.rollback()


def upgrade(bind: Bind = None, revision: str = "head", *, settings: Settings | None = None) -> None:
    """Bring the schema to a revision, as ``alembic upgrade`` does; at ``head`` it changes nothing.

    Safe to call from several processes at once. Raises DatabaseError.
    """
    from alembic import command

    _with_alembic(bind, settings, lambda config: command.upgrade(config, revision))


def downgrade(bind: Bind = None, revision: str = "base", *, settings: Settings | None = None) -> None:
    """Take the schema back to a revision, as ``alembic downgrade`` does; at ``base`` nothing is left."""
    from alembic import command

    _with_alembic(bind, settings, lambda config: command.downgrade(config, revision))


def check_schema(bind: Bind = None, *, settings: Settings | None = None) -> None:
    """Compare the database with the models, as ``alembic check`` does; DatabaseError where they differ."""
    from alembic import command

    _with_alembic(bind, settings, command.check)


def _with_alembic(bind: Bind, settings: Settings | None, call: Callable[[Any], None]) -> None:
    """Call Alembic on our scripts, in a transaction that is committed unless it is the caller's."""
    from alembic.config import Config
    from alembic.util import CommandError

    settings = settings or Settings.from_env()
    if bind is None:
        # Not ``bound``: that upgrades the embedded database first.
        engine = create_engine(settings)
        try:
            _with_alembic(engine, settings, call)
        finally:
            engine.dispose()
        return
    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with connection(bind, settings) as conn:
        if not conn.in_transaction():
            conn.begin()
        config.attributes["connection"] = conn
        try:
            call(config)
        except CommandError as error:
            raise DatabaseError(f"cannot migrate: {error}") from error
        if not isinstance(bind, Connection | Session):
            conn.commit()


def migrations() -> Path:
    """The Alembic scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


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
