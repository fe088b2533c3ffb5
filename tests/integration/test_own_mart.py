"""A user's own mart: eight lines and a revision, done for real in a project of the user's own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.feeds import write_feed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path: Path, empty_database: URL, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the user's own, on a database of its own."""
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))
    command("minidw", "init", str(tmp_path / "shop"))
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def command(*arguments: str, code: int = 0) -> str:
    """Run a Python module as a user would; its output."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run lines of a console block as a user would, with the commands that are installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-ec", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )


@pytest.mark.slow
def test_the_section_of_the_readme_does_what_it_says_and_again(
    tmp_path: Path, empty_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))
    section = (ROOT / "README.md").read_text().partition("\n## Add a mart\n")[2].partition("\n## ")[0]
    init, then = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    # As printed
    done = shell(init)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path / "shop")
    add_the_mart_of_the_readme()
    assert (done := shell(then)).returncode == 0, done.stderr
    assert "nothing to build from" in done.stdout
    # And again: what is there is not overwritten, and nothing is left to do
    marts = Path("marts.py").read_text()
    monkeypatch.chdir(tmp_path)
    done = shell(init)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    monkeypatch.chdir(tmp_path / "shop")
    assert Path("marts.py").read_text() == marts
    assert (done := shell(then)).returncode == 0, done.stderr
    command("alembic", "check")


def add_the_mart_of_the_readme() -> None:
    """Put the README's class after the marts that are there, as printed."""
    readme = (ROOT / "README.md").read_text()
    (declaration,) = re.findall(r"```python\n([^`]*\nclass \w+\(Mart\):\n.*?)```", readme, re.DOTALL)
    marts = Path("marts.py")
    marts.write_text(f"{marts.read_text()}\n\n{declaration}")


@pytest.mark.slow
def test_a_mart_of_ones_own_is_built_checked_verified_and_explained(shop: Path) -> None:
    # Given a warehouse with a batch in it
    command("minidw", "migrate")
    first = write_feed(
        shop / "1.csv", "order_id | order_timestamp | price\n1 | 2024-05-01 | 5\n2 | 2024-05-08 | 7"
    )
    command("minidw", "run", str(first))

    # When the class of the README is added and Alembic writes its table
    add_the_mart_of_the_readme()
    command("alembic", "revision", "--autogenerate", "-m", "weekly category revenue")
    command("minidw", "migrate")
    command("alembic", "check")

    # Then it is built in full, since it never was,
    (built,) = json.loads(command("minidw", "build", "--json"))["results"]
    weekly = built["built"][-1]
    assert (weekly["mart"], weekly["method"], weekly["reason"]) == (
        "weekly_category_revenue",
        "full",
        "never built",
    )

    # follows the next batch by its changes, is checked and verified,
    second = write_feed(
        shop / "2.csv", "order_id | order_timestamp | price\n1 | 2024-05-01 | 6\n2 | 2024-05-15 | 7"
    )
    preview = json.loads(command("minidw", "preview", "--json", str(second)))["results"][0]["marts"][-1]
    assert (preview["gained"], preview["lost"], preview["changed"]) == (1, 1, 1)
    (ran,) = json.loads(command("minidw", "run", "--json", str(second)))["results"]
    assert (ran["built"][-1]["method"], ran["built"][-1]["rows"]) == ("incremental", 2)
    assert "mart.weekly_category_revenue" in command("minidw", "verify")
    assert "all 11 checks passed" in command("minidw", "check")

    # and every row can be explained.
    why = command("minidw", "why", "weekly_category_revenue", "2024-04-29", "books", "--json")
    lines = json.loads(why)["lines"]
    assert [(line["order_id"], line["file_name"]) for line in lines] == [("1", "2.csv")]
    command("minidw", "why", "weekly_category_revenue", "2024-05-06", "books", code=1)
