"""A project of one's own on a warehouse: both histories go up and down together, and apart."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

import minidw
from tests.support import own_marts
from tests.support.feeds import write_feed
from tests.support.terminal import Cli

OWN = "category_revenue"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This declarative base already contains a class"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new project, as the working directory."""
    minidw.init_project(tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    with own_marts.for_a_while():
        yield tmp_path / "shop"
    sys.modules.pop("marts", None)


def tables(engine: Engine) -> set[str]:
    """The marts, and the tables that tell a revision."""
    there = inspect(engine)
    versions = {name for name in there.get_table_names("raw") if name.endswith("_version")}
    return versions | set(there.get_table_names("mart"))


def test_down_takes_the_projects_tables_first_and_up_brings_both_back(
    project: Path, cli: Cli, warehouse: Engine
) -> None:
    # Given a project with a batch
    assert "the project's own at 0001" in cli("migrate").out
    minidw.run(write_feed(project / "1.csv", "order_id | category\n1 | books"), warehouse)
    with warehouse.begin() as conn:
        # and a table of the project's that stands on one of ours
        conn.execute(text("CREATE VIEW mart.best AS SELECT revenue FROM mart.category_revenue"))
    refused = cli("migrate", "--down", "--yes")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert {OWN, "shop_version", "daily_revenue"} <= tables(warehouse)
    with warehouse.begin() as conn:
        conn.execute(text("DROP VIEW mart.best"))
    # When it goes back
    assert cli("migrate", "--down", "--yes").code == 0
    # Then nothing of either is left, save where the project's own revision stood,
    assert not tables(warehouse) & {OWN, "daily_revenue", "minidw_version"}
    # and both come back.
    assert "the project's own at 0001" in cli("migrate").out
    minidw.run(write_feed(project / "2.csv", "order_id | category\n1 | toys"), warehouse)
    assert minidw.verify(warehouse).differences == []
    assert [row.revenue for row in minidw.read(OWN, warehouse)] == [10]  # type: ignore[attr-defined]


def test_ours_go_back_one_revision_and_the_projects_tables_stay(
    project: Path, cli: Cli, warehouse: Engine
) -> None:
    assert cli("migrate").code == 0
    assert cli("migrate", "--down", "-1", "--yes").code == 0
    assert OWN in tables(warehouse)
    assert "the project's own at 0001" in cli("migrate").out
    assert cli("migrate", "--check").code == 0
