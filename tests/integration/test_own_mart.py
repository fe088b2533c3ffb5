"""A user's own mart: eight lines and a revision, done for real in a copy of the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.feeds import write_feed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, empty_database: URL, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the checkout with the mart of the README in it, on a database of its own."""
    copy = tmp_path / "checkout"
    for name in ("minidw", "migrations"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", copy)
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))
    monkeypatch.setenv("PYTHONPATH", str(copy))
    monkeypatch.chdir(copy)
    return copy


def command(*arguments: str, code: int = 0) -> str:
    """Run a Python module as a user would; its output."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def add_the_mart_of_the_readme(checkout: Path) -> None:
    """Put the README's class after the marts that are there."""
    readme = (ROOT / "README.md").read_text()
    (declaration,) = re.findall(r"```python\n(class \w+\(Mart\):\n.*?)```", readme, re.DOTALL)
    module = checkout / "minidw" / "schema" / "marts.py"
    text = module.read_text().replace("def all_marts()", f"{declaration}\n\ndef all_marts()")
    module.write_text(re.sub(r"(from sqlalchemy import .*)", r"\1, func", text, count=1))


@pytest.mark.slow
def test_a_mart_of_ones_own_is_built_checked_verified_and_explained(checkout: Path) -> None:
    # Given a warehouse with a batch in it
    command("alembic", "upgrade", "head")
    first = write_feed(
        checkout / "1.csv", "order_id | order_timestamp | price\n1 | 2024-05-01 | 5\n2 | 2024-05-08 | 7"
    )
    command("minidw", "run", str(first))

    # When the class of the README is added and Alembic writes its table
    add_the_mart_of_the_readme(checkout)
    command("alembic", "revision", "--autogenerate", "-m", "weekly category revenue")
    command("alembic", "upgrade", "head")
    command("alembic", "check")

    # Then it is built in full, since it never was,
    (built,) = json.loads(command("minidw", "build", "--json"))
    weekly = built["built"][-1]
    assert (weekly["mart"], weekly["method"], weekly["reason"]) == (
        "weekly_category_revenue",
        "full",
        "never built",
    )

    # follows the next batch by its changes, is checked and verified,
    second = write_feed(
        checkout / "2.csv", "order_id | order_timestamp | price\n1 | 2024-05-01 | 6\n2 | 2024-05-15 | 7"
    )
    preview = json.loads(command("minidw", "preview", "--json", str(second)))[0]["marts"][-1]
    assert (preview["gained"], preview["lost"], preview["changed"]) == (1, 1, 1)
    (ran,) = json.loads(command("minidw", "run", "--json", str(second)))
    assert (ran["built"][-1]["method"], ran["built"][-1]["rows"]) == ("incremental", 2)
    assert "mart.weekly_category_revenue" in command("minidw", "verify")
    assert "10 of 10 found nothing" in command("minidw", "check")

    # and every row can be explained.
    why = json.loads(command("minidw", "why", "weekly_category_revenue", "2024-04-29", "books", "--json"))
    assert [(line["order_id"], line["file_name"]) for line in why] == [("1", "2.csv")]
    command("minidw", "why", "weekly_category_revenue", "2024-05-06", "books", code=1)
