"""Every command where its output cannot be printed: what was stored is never reported as failed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

from tests.support import terminal
from tests.support.feeds import write_feed
from tests.support.terminal import Outcome, call

Use = Callable[[int], None]
Chosen = Callable[[dict[str, list[str]]], dict[str, list[str]]]

WORKS = {
    "run": ["run", "NEW"],
    "load": ["load", "NEW"],
    "stage": ["stage"],
    "build": ["build"],
    "check": ["check"],
    "prune": ["prune", "--before", "2020-01-01", "--yes"],
    "verify": ["verify"],
    "rules --set": ["rules", "--set", "SEGMENT_VIP=20000", "--yes"],
    "migrate": ["migrate"],
    "generate": ["generate", "--rows", "1", "--force"],
    "erase": ["erase", "zoë", "--yes"],
    "unload": ["unload", "1", "--yes"],
    "run --json": ["run", "NEW", "--json"],
}
"""Commands that do something, or whose exit code is the answer."""

REPORTS = {
    "preview": ["preview", "NEW"],
    "report": ["report"],
    "status": ["status"],
    "rules": ["rules"],
    "why": ["why", "customer_ltv", "zoë"],
    "history": ["history", "1"],
    "diff": ["diff", "0..1"],
    "rejects": ["rejects"],
    "feeds": ["feeds"],
    "inspect": ["inspect", "first.csv"],
    "url": ["url"],
    "help": ["run", "--help"],
    "version": ["--version"],
    "report --json": ["report", "--json"],
    "rejects --json": ["rejects", "--json"],
    "history --json": ["history", "1", "--json"],
}
"""Commands of which nothing is left where their output is lost."""

# The reports come first: history tells of the order that unload takes back.
ALL = REPORTS | WORKS


FEW = ("run", "run --json", "report")


@pytest.fixture(params=["few", pytest.param("every", marks=pytest.mark.slow)])
def chosen(request: pytest.FixtureRequest) -> Chosen:
    """Those of the commands that this test is about."""

    def choose(commands: dict[str, list[str]]) -> dict[str, list[str]]:
        return {name: words for name, words in commands.items() if request.param == "every" or name in FEW}

    return choose


@pytest.fixture
def shop(warehouse: Engine, database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A warehouse with an order of a customer whose name is not ASCII, and the directory of its files."""
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.setenv("MINIDW_DEBUG", "1")
    first = call(["run", str(write_feed(tmp_path / "first.csv", "order_id | customer_id\n1 | zoë"))])
    assert first.code == 0, first.err
    # A forked process must not meet the connections of this one.
    warehouse.dispose()
    return tmp_path


def outcomes(shop: Path, commands: dict[str, list[str]], **how: object) -> dict[str, Outcome]:
    """What each of the commands left behind, each with a new file."""
    found = {}
    for number, (name, words) in enumerate(commands.items()):
        new = write_feed(shop / f"néw_{number}.csv", f"order_id | customer_id\nn{number} | zoë")
        found[name] = call([str(new) if word == "NEW" else word for word in words], **how)  # type: ignore[arg-type]
    return found


def batches(warehouse: Engine) -> int:
    with warehouse.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM raw.batches")).scalar_one())


@pytest.mark.parametrize("lost", [terminal.closed, terminal.full])
def test_work_is_done_where_its_report_is_lost(
    chosen: Chosen, shop: Path, warehouse: Engine, lost: Use
) -> None:
    found = outcomes(shop, chosen(WORKS), stdout=lost)
    assert {name: outcome.code for name, outcome in found.items()} == dict.fromkeys(found, 0)
    assert {outcome.err.count("\n") for outcome in found.values()} == {1}
    assert all("done, but standard output could not take the report" in o.err for o in found.values())
    assert batches(warehouse) == 1 + sum("NEW" in words for words in chosen(WORKS).values())


@pytest.mark.parametrize("lost", [terminal.closed, terminal.full])
def test_a_report_that_is_lost_is_no_report(chosen: Chosen, shop: Path, lost: Use) -> None:
    found = outcomes(shop, chosen(REPORTS), stdout=lost)
    assert {name: outcome.code for name, outcome in found.items()} == dict.fromkeys(found, 2)
    assert all("minidw: cannot write to standard output" in outcome.err for outcome in found.values())
    assert {outcome.err.count("\n") for outcome in found.values()} == {1}


def test_a_reader_who_has_seen_enough(chosen: Chosen, shop: Path) -> None:
    """As with | head: no error, no word, and the work is done to its end."""
    found = outcomes(shop, chosen(ALL), stdout=terminal.broken_pipe)
    assert {(outcome.code, outcome.err) for outcome in found.values()} == {(0, "")}


@pytest.mark.parametrize("lost", [terminal.closed, terminal.full, terminal.broken_pipe])
def test_nobody_hears_the_errors(chosen: Chosen, shop: Path, lost: Use) -> None:
    found = outcomes(shop, chosen(ALL), stderr=lost)
    assert {name: outcome.code for name, outcome in found.items()} == dict.fromkeys(found, 0)
    assert all(outcome.out for outcome in found.values())
    assert outcomes(shop, {"missing": ["run", "missing.csv"]}, stderr=lost)["missing"].code == 1
    assert outcomes(shop, {"nonsense": ["nonsense"]}, stderr=lost)["nonsense"].code == 2


def test_nobody_is_there_at_all(chosen: Chosen, shop: Path, warehouse: Engine) -> None:
    found = outcomes(shop, chosen(WORKS), stdout=terminal.closed, stderr=terminal.closed)
    assert {outcome.code for outcome in found.values()} == {0}
    assert batches(warehouse) == 1 + sum("NEW" in words for words in chosen(WORKS).values())


def test_a_terminal_of_ascii(chosen: Chosen, shop: Path) -> None:
    found = outcomes(shop, chosen(ALL), encoding="ascii")
    assert {(outcome.code, outcome.err) for outcome in found.values()} == {(0, "")}
    assert all(outcome.out.isascii() for outcome in found.values())
    assert "n\\xe9w_" in found["run"].out
    assert "zo\\xeb" in found["report"].out


@pytest.mark.parametrize("name", ["no home", "deleted directory"])
def test_no_place_to_be(chosen: Chosen, shop: Path, name: str) -> None:
    def no_home() -> None:
        os.environ.pop("HOME", None)

    def deleted_directory() -> None:
        gone = shop / "gone"
        gone.mkdir()
        os.chdir(gone)
        shutil.rmtree(gone)

    before = {"no home": no_home, "deleted directory": deleted_directory}[name]
    found = outcomes(shop, chosen(ALL), before=before)
    codes = {name: outcome.code for name, outcome in found.items()}
    expected = dict.fromkeys(found, 0)
    if name == "deleted directory":
        expected |= {"generate": 2} if "generate" in found else {}  # there is no place to write to
    assert codes == expected, found
