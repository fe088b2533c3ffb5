"""A warehouse at another revision: taken over where it was made before, or told in one line what to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import DatabaseError, Settings
from minidw.database.revision import current, heads, migrations

Feed = Callable[..., Path]
(HEAD,) = heads()

NO_TABLES = "the warehouse has no tables here yet: run minidw migrate, or alembic upgrade head"
OLDER = f"the warehouse is at revision {{}}, this minidw needs {HEAD}: run minidw migrate"
NEWER = (
    "the warehouse is at revision 9999, which this minidw does not know"
    f" (it needs {HEAD}): install the newer minidw that made it"
)


def made_before(engine: Engine, revision: str, rows: tuple[str, ...]) -> None:
    """Make it a warehouse of the time when the revision stood in public.alembic_version."""
    minidw.downgrade(engine, revision=revision)
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE raw.minidw_version"))
        conn.execute(text("CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)"))
        for row in rows:
            conn.execute(text("INSERT INTO public.alembic_version VALUES (:row)"), {"row": row})


def rows_of_the_application(conn: Connection) -> list[str] | None:
    if not conn.scalar(text("SELECT to_regclass('public.alembic_version') IS NOT NULL")):
        return None
    return list(conn.scalars(text("SELECT version_num FROM public.alembic_version ORDER BY 1")))


@pytest.mark.parametrize(
    ("revision", "rows", "kept"),
    [
        # The row is ours, and alone: the table was, too.
        pytest.param("0001", ("0001",), None, marks=pytest.mark.slow),
        pytest.param("0002", ("0002",), None, marks=pytest.mark.slow),
        ("0003", ("0003",), None),
        ("0004", ("0004",), None),
        # An application stamped a row of its own beside ours,
        ("0004", ("0004", "a1b2c3"), ["a1b2c3"]),
        pytest.param("0003", ("0003", "0001"), ["0001"], marks=pytest.mark.slow),
        # or in its place,
        ("0004", ("a1b2c3",), ["a1b2c3"]),
        pytest.param("0004", ("0002",), ["0002"], marks=pytest.mark.slow),
        ("0002", ("0004",), ["0004"]),
        # or it was deleted.
        ("0004", (), []),
        pytest.param("0001", (), [], marks=pytest.mark.slow),
    ],
)
def test_a_warehouse_from_before_is_taken_over(
    warehouse: Engine, feed: Feed, revision: str, rows: tuple[str, ...], kept: list[str] | None
) -> None:
    path = feed("order_id | price\n1 | 5\n2 | 6")
    minidw.run(path, warehouse)
    made_before(warehouse, revision, rows)
    minidw.upgrade(warehouse)
    with warehouse.connect() as conn:
        assert current(conn) == heads()
        assert rows_of_the_application(conn) == kept
    assert minidw.check_schema(warehouse) == []
    assert minidw.run(path, warehouse).loaded.skipped
    assert minidw.verify(warehouse).differences == []


def test_an_application_s_row_is_left_alone_where_there_is_no_warehouse(empty_database: URL) -> None:
    engine = minidw.create_engine(Settings(url=empty_database))
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY)"))
        conn.execute(text("INSERT INTO public.alembic_version VALUES ('0004')"))
        conn.execute(text("CREATE SCHEMA raw CREATE TABLE raw.theirs (x int)"))
    minidw.upgrade(engine)
    minidw.downgrade(engine)
    minidw.upgrade(engine)
    with engine.connect() as conn:
        assert (current(conn), rows_of_the_application(conn)) == (heads(), ["0004"])
    engine.dispose()


CALLS = (minidw.build_marts, minidw.verify, minidw.report, minidw.status, minidw.check_schema)


def refused(engine: Engine, path: Path) -> set[str]:
    """What every command says."""
    said = set()
    calls: list[Callable[[Engine], object]] = [*CALLS, lambda engine: minidw.run(path, engine)]
    for call in calls:
        with pytest.raises(DatabaseError) as caught:
            call(engine)
        said.add(str(caught.value))
    return said


def test_an_older_warehouse_is_told_to_migrate(warehouse: Engine, feed: Feed) -> None:
    path = feed("order_id\n1")
    minidw.downgrade(warehouse, revision="0001")
    assert refused(warehouse, path) == {OLDER.format("0001")}
    made_before(warehouse, "0001", ("0001",))
    assert refused(warehouse, path) == {OLDER.format("0001")}
    minidw.upgrade(warehouse)
    minidw.run(path, warehouse)


def test_a_newer_warehouse_asks_for_a_newer_minidw(warehouse: Engine, feed: Feed) -> None:
    with warehouse.begin() as conn:
        conn.execute(text("UPDATE raw.minidw_version SET version_num = '9999'"))
    assert refused(warehouse, feed("order_id\n1")) == {NEWER}
    for call in (minidw.upgrade, minidw.downgrade):
        with pytest.raises(DatabaseError) as caught:
            call(warehouse)
        assert str(caught.value) == NEWER


def test_an_empty_database_is_told_to_migrate(empty_database: URL, feed: Feed) -> None:
    engine = minidw.create_engine(Settings(url=empty_database))
    assert refused(engine, feed("order_id\n1")) == {NO_TABLES}
    minidw.upgrade(engine)
    minidw.downgrade(engine)
    assert refused(engine, feed("order_id\n1")) == {NO_TABLES}
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:canary5f3a9c@127.0.0.1:1/shop", "FAILED: connection to server at"),
        ("mysql://ada@localhost/shop", "FAILED: DATABASE_URL: minidw speaks to PostgreSQL"),
    ],
)
def test_alembic_without_a_server_says_one_line(url: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(migrations().parent / "alembic.ini"), "upgrade", "head"],
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in shown
    assert any(line.strip().startswith(said) for line in shown.splitlines()), shown
