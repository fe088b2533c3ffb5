"""The migrations build what the models say, go up and down, and bear company."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, inspect, text

import minidw
from minidw import Settings
from minidw.cli import main
from minidw.database.revision import migrations
from minidw.schema import Base

SCHEMAS = ("raw", "staging", "mart")
ALL = {*Base.metadata.tables, "raw.minidw_version"}


@pytest.fixture
def config(empty_database: URL, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Alembic's configuration in a checkout, on a database without tables."""
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))
    return Config(migrations().parent / "alembic.ini")


def tables(url: URL) -> set[str]:
    """The tables of our schemas."""
    inspector = inspect(create_engine(url))
    return {f"{schema}.{name}" for schema in SCHEMAS for name in inspector.get_table_names(schema=schema)}


def test_there_is_one_head() -> None:
    script = Config()
    script.set_main_option("script_location", str(migrations()))
    assert len(ScriptDirectory.from_config(script).get_heads()) == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_up_check_down_up(config: Config, empty_database: URL) -> None:
    command.upgrade(config, "head")
    command.check(config)
    assert tables(empty_database) == ALL

    command.downgrade(config, "base")
    assert tables(empty_database) == set()

    command.upgrade(config, "head")
    command.check(config)


def test_the_catalogue_has_the_comments_of_the_models(conn: Connection) -> None:
    inspector = inspect(conn)
    for table in Base.metadata.tables.values():
        assert inspector.get_table_comment(table.name, schema=table.schema)["text"] == table.comment
        found = {c["name"]: c["comment"] for c in inspector.get_columns(table.name, schema=table.schema)}
        assert found == {column.name: column.comment for column in table.columns}


def test_every_table_states_its_grain_and_every_column_its_meaning() -> None:
    for table in Base.metadata.tables.values():
        assert "One row per " in (table.comment or "") or "one failure" in (table.comment or ""), (
            table.fullname
        )
        assert [column.name for column in table.columns if not column.comment] == [], table.fullname


def test_every_constraint_and_index_has_a_name_of_the_convention(conn: Connection) -> None:
    names = conn.execute(
        text(
            "SELECT conname FROM pg_constraint WHERE connamespace::regnamespace::text = ANY(:schemas)"
            " AND contype <> 'n'"
            " UNION SELECT indexname FROM pg_indexes WHERE schemaname = ANY(:schemas)"
        ),
        {"schemas": list(SCHEMAS)},
    ).scalars()
    prefixes = ("pk_", "fk_", "uq_", "ck_", "ix_", "idx_orders_stg_order_ts", "idx_orders_stg_customer")
    assert [name for name in names if not name.startswith(prefixes)] == []


def test_the_landing_table_is_unlogged(conn: Connection) -> None:
    persistence = conn.scalar(
        text("SELECT relpersistence FROM pg_class WHERE oid = 'raw.orders_raw'::regclass")
    )
    assert persistence == "u"


@pytest.mark.parametrize("upgrades", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_upgrades_at_once_do_no_harm(empty_database: URL, upgrades: int) -> None:
    environment = os.environ | {"DATABASE_URL": empty_database.render_as_string(hide_password=False)}

    def migrate(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "minidw", "migrate"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(upgrades) as pool:
        done = list(pool.map(migrate, range(upgrades)))

    assert [(process.returncode, process.stderr) for process in done] == [(0, "")] * upgrades
    assert tables(empty_database) == ALL


def test_upgrade_joins_a_caller_s_transaction(empty_database: URL) -> None:
    engine = minidw.create_engine(Settings(url=empty_database))
    with engine.connect() as conn:
        minidw.upgrade(conn)
        conn.rollback()
    assert tables(empty_database) == set()
    engine.dispose()


def test_migrate_of_the_command_line_goes_up_checks_and_goes_down(
    empty_database: URL, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))

    assert (main(["migrate"]), main(["migrate", "--check"])) == (0, 0)
    with create_engine(empty_database).begin() as conn:
        conn.execute(text("ALTER TABLE mart.daily_revenue ADD COLUMN surprise text"))
    assert main(["migrate", "--check"]) == 2
    assert capfd.readouterr().err == (
        "minidw: the warehouse is not as minidw needs it:"
        " mart.daily_revenue has a column surprise, which is not minidw's\n"
    )

    assert main(["migrate", "--down", "--yes"]) == 0
    assert tables(empty_database) == set()


def test_an_unknown_revision_is_one_line(empty_database: URL) -> None:
    with pytest.raises(minidw.DatabaseError, match="cannot migrate: Can't locate revision"):
        minidw.upgrade(revision="nonsense", settings=Settings(url=empty_database))


def test_migrations_import_nothing_of_the_package() -> None:
    for script in Path(migrations() / "versions").glob("*.py"):
        assert not re.search(r"(import|from) minidw", script.read_text()), script.name
