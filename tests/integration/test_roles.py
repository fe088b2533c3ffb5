"""Least privilege: what the loader and the reader may do, and everything else is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

import minidw
from minidw import Settings

WriteFeed = Callable[..., Path]

INSUFFICIENT_PRIVILEGE = "42501"
MARTS = ("daily_revenue", "customer_ltv", "product_revenue", "customer_segments")


@contextmanager
def acting_as(engine: Engine, role: str) -> Iterator[Connection]:
    """A connection with the privileges of the role alone."""
    with engine.connect() as conn:
        conn.execute(text(f"SET SESSION AUTHORIZATION {role}"))
        try:
            yield conn
        finally:
            conn.rollback()
            conn.execute(text("RESET SESSION AUTHORIZATION"))


@pytest.fixture
def account(server: URL) -> Iterator[Callable[[str], str]]:
    """Create logins of a test's own, with the attributes or roles given."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    created: list[str] = []

    def create(attributes: str) -> str:
        name = f"account_{uuid4().hex[:8]}"
        with admin.connect() as conn:
            conn.execute(text(f"CREATE ROLE {name} LOGIN {attributes}"))
        created.append(name)
        return name

    yield create
    with admin.connect() as conn:
        for name in created:
            conn.execute(text(f"DROP ROLE {name}"))


def test_everything_but_migrating_works_as_the_loader(database: URL, feed: WriteFeed) -> None:
    first = feed("order_id | price\n1 | 1\n2 | 2\n3 | 3\n4 | 4\n5 | x")
    second = feed("order_id | price\n2 | 5\n6 | 6")
    as_loader = database.update_query_dict({"options": "-c role=minidw_loader"})
    engine = minidw.create_engine(Settings(url=as_loader))

    minidw.run(first, engine)
    minidw.load_raw(second, engine)
    minidw.build_staging(engine, replay=True)
    minidw.build_marts(engine, full=True)
    assert not any(outcome.failed for outcome in minidw.run_checks(engine).checked)
    minidw.preview(feed("order_id\n7"), engine)
    assert minidw.verify(engine).differences == []
    assert minidw.why("daily_revenue", "2024-05-01", engine)
    minidw.upgrade(engine)  # at head already
    assert minidw.erase("c1", engine).erased[0].order_lines == 5
    minidw.prune(date(2026, 1, 1), engine)
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT current_user")) == "minidw_loader"
    engine.dispose()


def test_the_reader_reads_staging_and_the_marts(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), warehouse)
    with acting_as(warehouse, "minidw_reader") as conn:
        for mart in MARTS:
            assert conn.execute(text(f"SELECT * FROM mart.{mart}")).all()
        assert conn.execute(text("SELECT * FROM staging.orders_stg")).all()


FORBIDDEN = {
    "minidw_loader": (
        "CREATE TABLE mart.other (x int)",
        "CREATE TABLE public.other (x int)",
        "CREATE SCHEMA other",
        "DROP TABLE mart.daily_revenue",
        "DROP INDEX staging.idx_orders_stg_customer",
        "ALTER TABLE staging.orders_stg ADD COLUMN x int",
        "ALTER TABLE raw.batches DROP CONSTRAINT ck_batches_adds_up",
        "CREATE INDEX ON staging.orders_stg (status)",
        "TRUNCATE staging.orders_stg",
        "TRUNCATE mart.daily_revenue",
        "TRUNCATE raw.orders_all",
        "GRANT minidw_loader TO minidw_reader",
        "UPDATE raw.minidw_version SET version_num = '0'",
        "CREATE ROLE other",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY raw.orders_raw FROM '/etc/passwd'",
    ),
    "minidw_reader": (
        *(
            f"SELECT * FROM raw.{t}"
            for t in ("batches", "orders_raw", "orders_all", "runs", "minidw_version")
        ),
        "SELECT * FROM raw.lines_malformed",
        "SELECT * FROM raw.check_results",
        "SELECT * FROM raw.erasures",
        "SELECT * FROM raw.erasure_key",
        "SELECT nextval('raw.orders_raw_source_row_seq')",
        *(f"DELETE FROM mart.{mart}" for mart in MARTS),
        "INSERT INTO staging.orders_totals VALUES ('pending', 1, 1, 1)",
        "UPDATE staging.orders_stg SET price = 1",
        "DELETE FROM staging.orders_changes",
        "LOCK TABLE mart.daily_revenue IN ACCESS EXCLUSIVE MODE",
        "TRUNCATE mart.customer_ltv",
        "DROP TABLE staging.orders_stg",
        "CREATE TABLE mart.other (x int)",
        "CREATE ROLE other",
    ),
}


@pytest.mark.parametrize(
    ("role", "action"), [(role, action) for role, actions in FORBIDDEN.items() for action in actions]
)
def test_a_forbidden_action_is_refused(engine: Engine, role: str, action: str) -> None:
    with acting_as(engine, role) as conn, pytest.raises(DBAPIError) as caught:
        conn.execute(text(action))
    assert getattr(caught.value.orig, "pgcode", None) == INSUFFICIENT_PRIVILEGE


def test_a_table_of_a_later_revision_has_the_same_privileges(database: URL, warehouse: Engine) -> None:
    with warehouse.begin() as conn:
        conn.execute(text("CREATE TABLE mart.later (x int)"))
    with acting_as(warehouse, "minidw_loader") as conn:
        conn.execute(text("INSERT INTO mart.later VALUES (1)"))
    with acting_as(warehouse, "minidw_reader") as conn:
        assert conn.execute(text("SELECT * FROM mart.later")).all() == []


def test_an_account_that_may_not_create_roles_migrates_with_a_notice(
    empty_database: URL, account: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an owner of the database who may not create roles, on a server that has none of ours
    owner = account("NOSUPERUSER NOCREATEROLE")
    admin = sa.create_engine(empty_database, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as conn, _renamed_roles(conn):
        conn.execute(text(f"ALTER DATABASE {empty_database.database} OWNER TO {owner}"))
        conn.execute(text(f"ALTER SCHEMA public OWNER TO {owner}"))
        # When the owner migrates
        engine = minidw.create_engine(Settings(url=empty_database))
        with engine.connect() as own:
            own.execute(text(f"SET SESSION AUTHORIZATION {owner}"))
            own.commit()
            minidw.upgrade(own)
            own.commit()
        engine.dispose()
        # Then it is told, and everything else is there
        told = capsys.readouterr().err
        assert "role minidw_loader was not created: this account may not" in told
        assert "role minidw_reader was not created" in told
        assert conn.scalar(text("SELECT version_num FROM raw.minidw_version"))
        conn.execute(text(f"REASSIGN OWNED BY {owner} TO CURRENT_USER"))
        conn.execute(text(f"DROP OWNED BY {owner}"))


@contextmanager
def _renamed_roles(conn: Connection) -> Iterator[None]:
    for role in ("loader", "reader"):
        conn.execute(text(f"ALTER ROLE minidw_{role} RENAME TO minidw_{role}_away"))
    try:
        yield
    finally:
        for role in ("loader", "reader"):
            conn.execute(text(f"ALTER ROLE minidw_{role}_away RENAME TO minidw_{role}"))
