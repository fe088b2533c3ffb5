"""Every command in every hostile case: no traceback, a true exit code, and what was stored is no failure."""

import ctypes
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from minidw import Settings
from minidw.cli import parser
from minidw.reports import terminal as _imported_once  # noqa: F401
from tests.support import terminal
from tests.support.feeds import write_feed
from tests.support.terminal import Outcome, call

Use = Callable[[int], None]

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
    "init": ["init", "PROJECT"],
    "export": ["export"],
    "erase": ["erase", "zoë", "--yes"],
    "unload": ["unload", "1", "--yes"],
    "run --json": ["run", "NEW", "--json"],
    "minidw": [],
}
"""Commands that do something, or whose exit code is the answer."""

REPORTS = {
    "preview": ["preview", "NEW"],
    "report": ["report"],
    "status": ["status"],
    "show": ["show", "customer_ltv"],
    "rules": ["rules"],
    "why": ["why", "customer_ltv", "zoë"],
    "history": ["history", "1"],
    "diff": ["diff", "0..1"],
    "rejects": ["rejects"],
    "inspect": ["inspect", "NEW"],
    "feeds": ["feeds"],
    "listen": ["listen", "--timeout", "0"],
    "url": ["url"],
    "doctor": ["doctor"],
    "completion": ["completion", "bash"],
    "help": ["run", "--help"],
    "version": ["--version"],
    "report --json": ["report", "--json"],
    "rejects --json": ["rejects", "--json"],
    "history --json": ["history", "1", "--json"],
}
"""Commands of which nothing is left where their output is lost."""

PASSED_ON = {"psql": ["psql", "-c", "SELECT 'zoë'"]}
"""A command that another program does; its exit code is that program's."""

# The reports come first: history tells of the order that unload takes back.
ALL = REPORTS | PASSED_ON | WORKS
NUMBERS = count(1)
FEW = ("run --json", "report")
WITHOUT = ("inspect", "feeds", "completion", "help", "version", "generate", "init")
"""Those that work on no warehouse."""
WRITES_A_FILE = ("generate", "init", "export", "minidw")

# What is said on standard error: the beginning of its only line, or nothing.
Said = tuple[int, str]
FINE: Said = (0, "")
UNHEARD = "minidw: cannot write to standard output: "
DONE = "minidw: done, but standard output could not take the report: "
BEYOND = {"ORDER_DATE_MIN": "0001-01-01", "ORDER_DATE_MAX": "9999-12-31"}


@dataclass(frozen=True)
class Case:
    """A hostile case: what of the process is otherwise, and what comes of a command, by its kind."""

    works: Said = FINE
    reports: Said = FINE
    psql: Said | None = None
    without: Said | None = None
    exceptions: dict[str, Said] | None = None
    stdout: Use | None = None
    stderr: Use | None = None
    encoding: str = "utf-8"
    before: Callable[[], object] | None = None
    environment: dict[str, str] | None = None

    def due(self, name: str) -> Said:
        """What comes of a command."""
        if self.exceptions and name in self.exceptions:
            return self.exceptions[name]
        if name in WITHOUT and self.without is not None:
            return self.without
        if name in PASSED_ON and self.psql is not None:
            return self.psql
        return self.reports if name in REPORTS else self.works


def refused(said: str, exceptions: dict[str, Said] | None = None, **how: object) -> Case:
    """A case in which there is no warehouse to work on; doctor's report says so."""
    others = {"doctor": (2, "")} | (exceptions or {})
    return Case((2, said), (2, said), without=FINE, exceptions=others, **how)  # type: ignore[arg-type]


def in_a_directory(make: Callable[[Path], object]) -> Callable[[], None]:
    """Work in a new directory in which something is."""

    def before() -> None:
        place = Path(f"in_{os.getpid()}").absolute()
        place.mkdir()
        os.chdir(place)
        make(place)

    return before


def no_account() -> None:
    """A user id that no account has, and that may read what the tests have."""
    os.environ.pop("HOME", None)
    os.seteuid(65533)
    ctypes.CDLL(None).setfsuid(0)


CASES = {
    "output closed": Case((0, DONE), (2, UNHEARD), stdout=terminal.closed),
    "disk full": Case(
        (0, DONE), (2, UNHEARD), psql=(1, ""), stdout=terminal.full, exceptions={"listen": FINE}
    ),
    "broken pipe": Case(stdout=terminal.broken_pipe),
    "errors closed": Case(stderr=terminal.closed),
    "errors to a full disk": Case(stderr=terminal.full),
    "errors to a broken pipe": Case(stderr=terminal.broken_pipe),
    "nobody is there": Case(FINE, (2, ""), stdout=terminal.closed, stderr=terminal.closed),
    "ASCII": Case(encoding="ascii"),
    "no home": Case(before=lambda: os.environ.pop("HOME", None)),
    "no account": refused(
        "minidw: connection to server on socket ", before=no_account, exceptions={"url": FINE}
    ),
    "directory deleted": Case(
        before=in_a_directory(shutil.rmtree),
        exceptions=dict.fromkeys(WRITES_A_FILE, (2, "minidw: ")),
    ),
    ".env unreadable": refused(
        "minidw: cannot read ",
        before=in_a_directory(lambda place: (place / ".env").symlink_to("/proc/self/mem")),
    ),
    ".env in Latin-1": refused(
        "minidw: /",
        before=in_a_directory(lambda place: (place / ".env").write_bytes(b"MINIDW_HOME=\xe9\n")),
    ),
    "extreme dates": Case(environment=BEYOND),
    "SQLite": refused("minidw: DATABASE_URL: ", environment={"DATABASE_URL": "sqlite:///x.db"}),
    "MySQL": refused("minidw: DATABASE_URL: ", environment={"DATABASE_URL": "mysql://ada@localhost/shop"}),
}


@pytest.fixture
def shop(warehouse: Engine, database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A warehouse with an order of a customer whose name is not ASCII, and the directory of its files."""
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.setenv("MINIDW_DEBUG", "1")
    minidw.run(write_feed(tmp_path / "first.csv", "order_id | customer_id\n1 | zoë"), warehouse)
    # A forked process must not meet the connections of this one.
    warehouse.dispose()
    return tmp_path


def outcomes(shop: Path, commands: dict[str, list[str]], case: Case) -> dict[str, Outcome]:
    """What each of the commands left behind, each with a new file."""
    found = {}
    for name, words in commands.items():
        number = next(NUMBERS)
        new = write_feed(shop / f"néw_{number}.csv", f"order_id | customer_id\nn{number} | zoë")
        places = {"NEW": str(new), "PROJECT": f"project_{number}"}
        found[name] = call(
            [places.get(word, word) for word in words],
            stdout=case.stdout,
            stderr=case.stderr,
            encoding=case.encoding,
            before=case.before,
        )
    return found


def batches(warehouse: Engine) -> int:
    with warehouse.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM raw.batches")).scalar_one())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_command_in_every_case(name: str, shop: Path, warehouse: Engine) -> None:
    compare(name, ALL, shop, warehouse)


def test_some_commands_in_every_case(shop: Path, warehouse: Engine) -> None:
    """All on one warehouse: what is slow is to make it."""
    for name in CASES:
        compare(name, {few: ALL[few] for few in FEW}, shop, warehouse)


def compare(name: str, commands: dict[str, list[str]], shop: Path, warehouse: Engine) -> None:
    """What comes of commands in a case, and what is due."""
    case = CASES[name]
    if case.before is no_account and (os.geteuid() != 0 or warehouse.url.host):
        return  # only root can be another, and with a password anybody is let in
    if case.environment is BEYOND:
        ends = "order_id | order_timestamp\na | 0001-01-01\nz | 9999-12-31T23:59:59.999999"
        minidw.set_rules(BEYOND, warehouse, settings=Settings())
        minidw.run(write_feed(shop / "ends.csv", ends), warehouse, settings=Settings())
    before = batches(warehouse)
    warehouse.dispose()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in (case.environment or {}).items():
            patch.setenv(variable, value)
        found = outcomes(shop, commands, case)

    due = {name: case.due(name) for name in commands}
    assert {name: outcome.code for name, outcome in found.items()} == {name: due[name][0] for name in due}, (
        found
    )
    for name, outcome in found.items():
        if name in PASSED_ON and due[name][0]:
            continue  # the words are psql's own
        said = due[name][1]
        assert outcome.err.startswith(said), (name, outcome.err)
        assert outcome.err.count("\n") == bool(said), (name, outcome.err)
    stored = sum(due[name][0] == 0 for name, words in commands.items() if name in WORKS and "NEW" in words)
    assert batches(warehouse) == before + stored + ("minidw" in commands and due["minidw"][0] == 0)
    if case.stdout is None:
        # What was done or refused as data is one document.
        documents = [json.loads(outcome.out) for name, outcome in found.items() if "--json" in name]
        assert [document["error"] is None for document in documents] == [
            due[name][0] == 0 for name in commands if "--json" in name
        ]


def test_nobody_hears_what_is_refused(shop: Path) -> None:
    for lost in (terminal.closed, terminal.full, terminal.broken_pipe):
        case = Case(stderr=lost)
        assert outcomes(shop, {"missing": ["run", "missing.csv"]}, case)["missing"].code == 1
        assert outcomes(shop, {"nonsense": ["nonsense"]}, case)["nonsense"].code == 2


def test_a_terminal_of_ascii(shop: Path) -> None:
    found = outcomes(shop, {name: ALL[name] for name in ("run", "report")}, CASES["ASCII"])
    assert all(outcome.out.isascii() for outcome in found.values())
    assert "n\\xe9w_" in found["run"].out
    assert "zo\\xeb" in found["report"].out


def test_no_command_is_missing_here() -> None:
    subcommands = next(a.choices for a in parser()._actions if isinstance(a.choices, dict))
    # serve does not end by itself, and spark works on a lake: they have tests of their own.
    assert set(subcommands) - {"serve", "spark"} <= {words[0] for words in ALL.values() if words}
