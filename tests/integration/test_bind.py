"""Where a function may work: each kind of bind works, or is refused in one line that says what to give."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import minidw
from minidw import ConnectionLostError, MinidwError, SettingsError

WriteFeed = Callable[..., Path]

# Every function that takes a bind, as one that has nothing to do on an empty warehouse.
CALLS: dict[str, Callable[[Any], object]] = {
    "build": minidw.build_marts,
    "stage": minidw.build_staging,
    "check": minidw.run_checks,
    "verify": minidw.verify,
    "report": minidw.report,
    "status": minidw.status,
    "why": lambda bind: minidw.why("daily_revenue", "2024-05-01", bind),
    "upgrade": minidw.upgrade,
    "check_schema": minidw.check_schema,
}
call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def refused(call: Callable[[Any], object], bind: object) -> MinidwError:
    """The error of a call: one line, whatever the bind is."""
    with pytest.raises(MinidwError) as caught:
        call(bind)
    assert "\n" not in str(caught.value)
    return caught.value


NO_BIND: dict[str, tuple[object, str]] = {
    "str": ("postgresql://ada:canary@db.example/shop", "not str; make an engine of a URL"),
    "URL": (sa.make_url("postgresql://ada:canary@db.example/shop"), "not URL; make an engine of a URL"),
    "sessionmaker": (sessionmaker(), "not sessionmaker; call it, and give what it returns"),
    "class": (Session, "not type; call it, and give what it returns"),
    "AsyncEngine": (object.__new__(AsyncEngine), "not AsyncEngine; minidw awaits nothing"),
    "AsyncConnection": (object.__new__(AsyncConnection), "not AsyncConnection; minidw awaits nothing"),
    "int": (7, "not int"),
}


@pytest.mark.parametrize(("bind", "told"), NO_BIND.values(), ids=NO_BIND.keys())
@call
def test_what_is_no_bind_is_refused_by_its_name(
    call: Callable[[Any], object], bind: object, told: str
) -> None:
    error = refused(call, bind)
    assert isinstance(error, SettingsError)
    assert str(error).startswith("bind: an Engine, a Connection or a Session is needed, not ")
    assert told in str(error)
    assert "canary" not in str(error)


@call
def test_another_database_is_refused(call: Callable[[Any], object]) -> None:
    sqlite = sa.create_engine("sqlite://")
    with sqlite.connect() as conn, Session(sqlite) as session:
        for bind in (sqlite, conn, session):
            told = "minidw needs PostgreSQL and the psycopg2 driver: postgresql+psycopg2://, not sqlite+pysqlite://"
            assert str(refused(call, bind)) == told
    sqlite.dispose()


@call
def test_a_connection_that_is_closed_is_refused(call: Callable[[Any], object], engine: Engine) -> None:
    with engine.connect() as conn:
        pass
    assert str(refused(call, conn)) == "this Connection is closed"


@call
def test_a_session_that_cannot_begin_is_refused(call: Callable[[Any], object], engine: Engine) -> None:
    with Session(engine, autobegin=False) as session:
        assert "this Session cannot be used: Autobegin is disabled" in str(refused(call, session))
    with Session(engine, close_resets_only=False) as session:
        pass
    assert "this Session cannot be used: This Session has been permanently closed" in str(
        refused(call, session)
    )
    with Session() as session:
        assert "this Session cannot be used: " in str(refused(call, session))


@call
def test_a_connection_without_transactions_is_refused(call: Callable[[Any], object], engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        assert "this connection is in AUTOCOMMIT, so it has no transaction to join" in str(
            refused(call, conn)
        )
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        assert "this connection is in AUTOCOMMIT" in str(refused(call, session))


@call
def test_a_transaction_that_failed_is_refused(call: Callable[[Any], object], engine: Engine) -> None:
    with engine.connect() as conn:
        with pytest.raises(sa.exc.ProgrammingError):
            conn.execute(text("SELECT nothing FROM nowhere"))
        assert "current transaction is aborted" in str(refused(call, conn))


@call
def test_a_connection_that_was_lost_is_refused(call: Callable[[Any], object], engine: Engine) -> None:
    with engine.connect() as conn:
        pid = conn.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(sa.exc.OperationalError):
            conn.execute(text("SELECT 1"))
        assert isinstance(refused(call, conn), ConnectionLostError)


def test_what_writes_is_refused_where_nothing_may_be_written(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    read_only = warehouse.execution_options(postgresql_readonly=True)
    for bind in (read_only, read_only.connect(), Session(read_only)):
        error = refused(lambda bind: minidw.run(path, bind), bind)
        assert "in a read-only transaction (SQLSTATE 25006)" in str(error)
        minidw.report(bind)
        if not isinstance(bind, Engine):
            bind.close()


@contextmanager
def an_engine(url: URL, **options: Any) -> Iterator[Engine]:
    engine = sa.create_engine(url, **options)
    yield engine
    engine.dispose()


ENGINES: dict[str, dict[str, Any]] = {
    "AUTOCOMMIT": {"isolation_level": "AUTOCOMMIT"},
    "SERIALIZABLE": {"isolation_level": "SERIALIZABLE"},
    "StaticPool": {"poolclass": sa.StaticPool},
    "NullPool": {"poolclass": sa.NullPool},
    "one connection": {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1},
    "another search_path": {"connect_args": {"options": "-c search_path=staging,raw"}},
    "hostile settings": {"connect_args": {"options": "-c datestyle=german -c timezone=PST8PDT"}},
}


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES.keys())
def test_every_kind_of_engine_works(database: URL, feed: WriteFeed, options: dict[str, Any]) -> None:
    path = feed("order_id\n1")
    with an_engine(database, **options) as engine:
        level = engine.connect().get_isolation_level()
        assert minidw.run(path, engine).loaded.batch_id == 1
        with pytest.raises(minidw.BadFileError):
            minidw.run(feed("order_id | price\n2 | x"), engine)
        minidw.preview(feed("order_id\n3"), engine)
        assert minidw.verify(engine).differences == []
        assert [run["file_name"] for run in minidw.status(engine)["batches"]] == ["feed_001.csv"]
        # and keeps its own ways
        with engine.connect() as conn:
            assert conn.get_isolation_level() == level


def test_every_kind_of_session_works_and_the_caller_commits(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    registry = scoped_session(sessionmaker(warehouse))
    with warehouse.connect() as conn:
        for bind in (registry, registry(), Session(warehouse), Session(conn)):
            result = minidw.run(path, bind)
            assert (result.loaded.skipped, minidw.report(bind)["daily revenue"][0]["order_lines"]) == (
                False,
                1,
            )
            bind.rollback()
            bind.close()
    registry.remove()
    assert minidw.status(warehouse)["batches"] == []


def test_a_session_that_began_by_hand_works(warehouse: Engine, feed: WriteFeed) -> None:
    with Session(warehouse, autobegin=False) as session, session.begin():
        minidw.run(feed("order_id\n1"), session)
    assert len(minidw.status(warehouse)["batches"]) == 1


def test_a_connection_keeps_its_settings(conn: Connection) -> None:
    conn.execute(text("SET LOCAL search_path = mart, public"))
    minidw.build_marts(conn)
    minidw.upgrade(conn)
    assert conn.scalar(text("SELECT current_setting('search_path')")) == "mart, public"


def test_the_schema_is_compared_by_an_engine_that_sees_it_as_a_schema(database: URL) -> None:
    with an_engine(database, connect_args={"options": "-c search_path=mart"}) as engine:
        told = "the search_path of this connection begins with mart: give an engine of minidw.create_engine()"
        assert str(refused(minidw.check_schema, engine)) == told
