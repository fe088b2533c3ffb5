"""The engine, the upgrade, and the one place that locks and commits."""

import os
import shutil
import subprocess
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from minidw.errors import DatabaseError, WarehouseBusyError
from minidw.settings import Settings

Bind = Engine | Connection | Session | None
"""Where a function works: nothing (the settings decide), an engine, or the caller's open transaction."""

LOCK_KEY = 0x6D696E696477
OLDEST_SERVER = 160000

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
    "work_mem": "128MB",
    "maintenance_work_mem": "256MB",
}


def create_engine(settings: Settings | None = None) -> Engine:
    """An engine on the database of the settings; starts the embedded PostgreSQL where they name no other.

    The embedded server runs for as long as some process holds such an engine. Raises DatabaseError.
    """
    settings = settings or Settings.from_env()
    server = None
    url = settings.url
    if url is None:
        from minidw import embedded

        server = embedded.start(settings.home)
        url = server.url
    engine = sqlalchemy.create_engine(
        url,
        isolation_level="READ COMMITTED",
        connect_args={
            "application_name": "minidw",
            # Given here, it replaces whatever PGOPTIONS says.
            "options": "-c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO,YMD",
        },
    )
    if server is not None:
        weakref.finalize(engine, server.close)
    return engine


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
    """A connection to read with; every error of the database leaves as one line of DatabaseError."""
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
    except DBAPIError as error:
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
        _lock(conn, wait=wait)
        before = _pin(conn)
        yield conn
        if joined:
            conn.execute(_set_local(before))
    if isinstance(bind, Session):
        bind.expire_all()


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


def psql(arguments: Sequence[str] = (), *, settings: Settings | None = None) -> int:
    """Open psql on the database of the settings; returns its exit code."""
    settings = settings or Settings.from_env()
    engine = create_engine(settings)
    program = shutil.which("psql") if settings.url is not None else None
    if program is None:
        from minidw import embedded

        program = str(embedded.find_binaries() / "psql")
    url = engine.url
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if url.password is not None:
        # In the environment, where only its owner can read it, not among the arguments.
        environment["PGPASSWORD"] = str(url.password)
    target = sqlalchemy.URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    )
    return subprocess.call([program, "--dbname", target.render_as_string(), *arguments], env=environment)


def migrations() -> Path:
    """The Alembic scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def lock_statement() -> sqlalchemy.Select[Any]:
    """Wait for the warehouse and hold it until the transaction ends."""
    return select(func.pg_advisory_xact_lock(LOCK_KEY))


def _lock(conn: Connection, *, wait: bool) -> None:
    if wait:
        conn.execute(lock_statement())
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
    """Set what a run depends on, for this transaction; returns what it was."""
    settings = (*_PINNED, "transaction_isolation")
    before = dict(
        conn.execute(select(*(func.current_setting(name).label(name) for name in settings))).one()._mapping
    )
    # A snapshot older than the lock would not show what the runner before committed.
    if (isolation := before.pop("transaction_isolation")) != "read committed":
        raise DatabaseError(f"this transaction is {isolation.upper()}; give minidw a READ COMMITTED one")
    conn.execute(_set_local(_PINNED))
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


def _one_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "pgcode", None)
    text = " ".join(str(cause).split("\n")[0].split())
    if state in ("3F000", "42P01"):
        return f"the warehouse has no tables here yet: run minidw migrate, or alembic upgrade head ({text})"
    return f"{text} (SQLSTATE {state})" if state else text
