"""A warehouse at another revision: taken over where it was made before, or told in one line what to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import DatabaseError, Settings
from minidw.database.revision import current, heads, migrations, scripts

WriteFeed = Callable[..., Path]
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
        pytest.param("0004", ("0004",), None, marks=pytest.mark.slow),
        # An application stamped a row of its own beside ours,
        pytest.param("0004", ("0004", "a1b2c3"), ["a1b2c3"], marks=pytest.mark.slow),
        pytest.param("0003", ("0003", "0001"), ["0001"], marks=pytest.mark.slow),
        # or in its place,
        ("0004", ("a1b2c3",), ["a1b2c3"]),
        pytest.param("0004", ("0002",), ["0002"], marks=pytest.mark.slow),
        pytest.param("0002", ("0004",), ["0004"], marks=pytest.mark.slow),
        # or it was deleted.
        ("0004", (), []),
        pytest.param("0001", (), [], marks=pytest.mark.slow),
    ],
)
def test_a_warehouse_from_before_is_taken_over(
    warehouse: Engine, feed: WriteFeed, revision: str, rows: tuple[str, ...], kept: list[str] | None
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


def test_an_older_warehouse_is_told_to_migrate(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    minidw.downgrade(warehouse, revision="0001")
    assert refused(warehouse, path) == {OLDER.format("0001")}
    made_before(warehouse, "0001", ("0001",))
    assert refused(warehouse, path) == {OLDER.format("0001")}
    minidw.upgrade(warehouse)
    minidw.run(path, warehouse)


def test_a_newer_warehouse_asks_for_a_newer_minidw(warehouse: Engine, feed: WriteFeed) -> None:
    with warehouse.begin() as conn:
        conn.execute(text("UPDATE raw.minidw_version SET version_num = '9999'"))
    assert refused(warehouse, feed("order_id\n1")) == {NEWER}
    for call in (minidw.upgrade, minidw.downgrade):
        with pytest.raises(DatabaseError) as caught:
            call(warehouse)
        assert str(caught.value) == NEWER


def test_an_empty_database_is_told_to_migrate(empty_database: URL, feed: WriteFeed) -> None:
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


OLDER_ONES = sorted(scripts())[:-1]
EVERYTHING = [table.fullname for table in minidw.Base.metadata.sorted_tables]


def everything(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with engine.connect() as conn:
        return {
            table: sorted(conn.scalars(text(f"SELECT to_jsonb(t)::text FROM {table} AS t")))
            for table in EVERYTHING
        }


@pytest.fixture
def filled(warehouse: Engine, feed: WriteFeed) -> Engine:
    """Given batches with rejects, a correction and a line that repeats, and changes that wait."""
    minidw.run(feed("order_id | price\n1 | 5\n2 | 6\n3 | x\n2 | 7\n6 | 1\n7 | 2"), warehouse)
    minidw.run(feed("order_id | price | status\n1 | 5 | delivered\n2 | 6 | cancelled"), warehouse)
    minidw.load_raw(feed("order_id | price\n1 | 8\n4 | 1"), warehouse)
    minidw.build_staging(warehouse)
    minidw.load_raw(feed("order_id | price\n5 | 2"), warehouse)
    return warehouse


@pytest.mark.parametrize(
    "revision", [*(pytest.param(name, marks=pytest.mark.slow) for name in OLDER_ONES[:-1]), OLDER_ONES[-1]]
)
def test_a_filled_warehouse_goes_back_and_comes_again(filled: Engine, revision: str) -> None:
    before = everything(filled)
    minidw.downgrade(filled, revision=revision)
    minidw.upgrade(filled)
    after = everything(filled)
    if revision < "0006":
        # The rules had no place; the next write keeps them again, as they were.
        assert after.pop("raw.rules") == []
        del before["raw.rules"]
    assert after == before
    assert minidw.check_schema(filled) == []
    assert minidw.verify(filled).differences == []
    minidw.build_staging(filled)
    minidw.build_marts(filled)
    assert minidw.verify(filled).differences == []


def with_a_broken_line(path: Path) -> Path:
    path.write_text(path.read_text() + "broken,line\n")
    return path


TOMORROW = date.today() + timedelta(days=1)
BROKEN = minidw.Feed(skip_malformed=True)
RETURNS = minidw.Feed(returns="subtract")
LOSSES: list[tuple[str, str, Callable[[Engine, WriteFeed], object]]] = [
    (
        "0001",
        "malformed lines that were set aside (1)",
        lambda dw, feed: minidw.run(with_a_broken_line(feed("order_id\n7\n8\n9\n10")), dw, feed=BROKEN),
    ),
    ("0001", "batches that were pruned (2)", lambda dw, _: minidw.prune(TOMORROW, dw)),
    (
        "0005",
        "rules that are not the default, see minidw rules (1)",
        lambda dw, _: minidw.set_rules({"SEGMENT_VIP": 20000}, dw),
    ),
    (
        "0009",
        "customers that were erased, of whom a later delivery is told (1)",
        lambda dw, _: minidw.erase(["c1"], dw),
    ),
    (
        "0006",
        "batches that took the place of another (1)",
        lambda dw, feed: minidw.run(feed("order_id\n1"), dw, replace=1),
    ),
    (
        "0008",
        "batches that were read by a declaration (1)",
        lambda dw, feed: minidw.run(feed("order_id | quantity\n9 | 2\n9 | -1"), dw, feed=RETURNS),
    ),
    (
        "0008",
        "rules of currency or time zone (1)",
        lambda dw, _: minidw.set_rules({"TIME_ZONE": "Asia/Tokyo"}, dw),
    ),
]


@pytest.mark.parametrize(
    ("revision", "what", "done"),
    [*(pytest.param(*loss, marks=pytest.mark.slow) for loss in LOSSES[:-2]), *LOSSES[-2:]],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_earlier_revision_cannot_hold_is_not_lost(
    filled: Engine, feed: WriteFeed, revision: str, what: str, done: Callable[[Engine, WriteFeed], object]
) -> None:
    done(filled, feed)
    before = everything(filled)
    with pytest.raises(DatabaseError) as caught:
        minidw.downgrade(filled, revision=revision)
    assert str(caught.value) == (
        f"cannot migrate: revision {revision} cannot hold what is there: {what}; --down goes to base"
    )
    assert everything(filled) == before
    # On the way to base all of it goes, as was asked for
    minidw.downgrade(filled)
    minidw.upgrade(filled)
    assert minidw.status(filled)["batches"] == []
