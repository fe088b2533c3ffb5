"""A module of the user's own marts and checks: found by name, covered by every command, its faults said."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import URL, Connection, Select, select

import minidw
from minidw import DailyRevenue, DeclarationError
from minidw.cli import main
from minidw.schema.own import find_project
from tests.support import own_marts
from tests.support.feeds import write_feed

SHOP = """
    from decimal import Decimal
    from sqlalchemy import select
    from sqlalchemy.orm import Mapped
    from minidw import DailyRevenue, Mart, check, count, key, total

    class StatusRevenue(Mart):
        \"\"\"One row per status.\"\"\"
        __tablename__ = "status_revenue"
        condition = None
        status: Mapped[str] = key(lambda line: line.status)
        net: Mapped[Decimal] = total(lambda line: line.total_amount / Decimal("1.19"))
        order_lines: Mapped[int] = count()

    @check(severity="warning")
    def large_days():
        return select(DailyRevenue.order_date, DailyRevenue.revenue).where(DailyRevenue.revenue > 1000)
"""
Command = Callable[..., tuple[str, str]]
TABLE = "CREATE TABLE mart.status_revenue (status text PRIMARY KEY, net numeric(38, 4), order_lines bigint)"


numbers = count()


@pytest.fixture
def shop(database: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of a new name with the module, on a warehouse that has the table of its mart."""
    name = f"shop_{next(numbers)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "marts.py").write_text(dedent(SHOP))
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.syspath_prepend(tmp_path)
    engine = minidw.create_engine()
    with engine.begin() as conn:
        conn.exec_driver_sql(TABLE)
    engine.dispose()
    with own_marts.for_a_while():
        yield name


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Call the command line; its output and what it says on standard error."""

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        given, (out, err) = main(words), capfd.readouterr()
        assert given == code, out + err
        return out, err

    return call


def test_every_command_covers_the_marts_and_checks_of_the_module(
    shop: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the module, named by a pyproject.toml above
    (tmp_path / "pyproject.toml").write_text(f'[tool.minidw]\nmarts = "{shop}.marts"\n')
    (tmp_path / "exports").mkdir()
    monkeypatch.chdir(tmp_path / "exports")
    write_feed(Path("1.csv"), "order_id | price | status\n1 | 11.90 | shipped\n2 | 2000 | cancelled")
    write_feed(Path("2.csv"), "order_id | price\n2 | 2000")
    # When files are previewed and run
    (preview,) = json.loads(command("preview", "--json", "1.csv")[0])["results"]
    assert preview["marts"][-1]["rows"][-1]["after"] == {"net": "10.0000", "order_lines": 1}
    (first,) = json.loads(command("run", "--json", "1.csv")[0])["results"]
    (second,) = json.loads(command("run", "--json", "2.csv")[0])["results"]
    # Then the mart follows, is verified and explained,
    assert [ran["built"][-1]["method"] for ran in (first, second)] == ["full", "incremental"]
    assert "mart.status_revenue" in command("verify")[0]
    assert "1.csv" in command("why", "status_revenue", "shipped")[0]
    # and the check is executed with ours.
    assert [ran["checked"][-1]["name"] for ran in (first, second)] == ["large_days"] * 2
    assert [ran["checked"][-1]["offending"] for ran in (first, second)] == [0, 1]


def test_a_dotenv_names_the_module_for_the_directories_below(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"MINIDW_MARTS={shop}.marts\n")
    (tmp_path / "exports").mkdir()
    monkeypatch.chdir(tmp_path / "exports")
    assert [mart.__tablename__ for mart in minidw.all_marts()][4:] == ["status_revenue"]


SELECT = "select(DailyRevenue.order_date, DailyRevenue.revenue).where(DailyRevenue.revenue > 1000)"
FAULTS = [
    (
        "net: Mapped[Decimal]",
        "net: Mapped[float]",
        ":7: StatusRevenue.net: a total cannot be DOUBLE",
    ),
    ("import select", "import text", ":15: check large_days: NameError: name 'select' is not defined"),
    ("condition = None", "condition = = None", ":10: SyntaxError: "),
    (SELECT, "7", ":15: check large_days: it must return a select of offending rows, not 7"),
    (
        "large_days",
        "segments_known",
        "check segments_known: minidw has one of this name",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), FAULTS)
def test_a_fault_is_one_line_that_says_where(
    shop: str, command: Command, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, message: str
) -> None:
    # Given a fault in the module that the environment names
    module = Path(shop) / "marts.py"
    assert right in module.read_text()
    module.write_text(module.read_text().replace(right, wrong))
    monkeypatch.setenv("MINIDW_MARTS", f"{shop}.marts")
    # When a command meets it
    said, on_error = command("check", code=2)
    # Then it says where, and nothing else
    assert (said, on_error.count("\n")) == ("", 1)
    assert message in on_error


def test_a_module_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDW_MARTS", "shop_of_nobody")
    with pytest.raises(minidw.SettingsError, match="MINIDW_MARTS: cannot import shop_of_nobody: Module"):
        minidw.all_marts()
    monkeypatch.delenv("MINIDW_MARTS")
    (tmp_path / "pyproject.toml").write_text('[tool.minidw]\nmart = "shop"\n')
    with pytest.raises(minidw.SettingsError, match="takes marts and alembic, each a text; not mart"):
        minidw.all_marts()


@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
def test_a_module_that_failed_may_be_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDW_MARTS", "corrected_later")
    module = tmp_path / "corrected_later.py"
    module.write_text(dedent(SHOP) + "\nraise ValueError(1)\n")
    with own_marts.for_a_while():
        with pytest.raises(minidw.SettingsError, match=r"corrected_later\.py:19: ValueError: 1"):
            minidw.all_marts()
        module.write_text(dedent(SHOP) + "\n# Corrected, and longer than before.\n")
        assert [mart.__tablename__ for mart in minidw.all_marts()][4:] == ["status_revenue"]


def test_other_projects_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n# not TOML")
    assert find_project() is None


def test_a_check_whose_select_fails_is_named(conn: Connection) -> None:
    with own_marts.for_a_while():

        @minidw.check
        def never() -> Select[date]:
            return select(DailyRevenue.order_date).where(1 / (DailyRevenue.order_lines - 1) > 0)

        with pytest.raises(minidw.DatabaseError, match="check never: division by zero"):
            minidw.run(write_feed(Path("1.csv"), "order_id\n1"), conn)


def test_a_check_without_a_name_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is no function with a name in lower case"):
        minidw.check(lambda: select(1))


def test_a_check_of_another_severity_is_refused() -> None:
    def one() -> Select[int]:
        return select(1)

    declare = minidw.check(severity="fatal")  # type: ignore[call-overload]
    with pytest.raises(DeclarationError, match="check one: severity is error or warning, not 'fatal'"):
        declare(one)
