"""The README is true: its commands and its code are run here."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, text

import minidw
from minidw.cli import parser
from tests.support.feeds import write_feed
from tests.support.servers import reachable_directory

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Every line of a console block, without its comment."""
    lines = [line.split("#")[0].strip() for block in blocks("console") for line in block.splitlines()]
    return [line for line in lines if line]


def test_the_first_screen_says_what_it_is_and_gives_two_commands() -> None:
    screen = README.splitlines()[:25]
    assert screen[2].startswith("A small, exact data warehouse that is imported, not operated.")
    assert sum("python3 -m venv .venv" in line for line in screen) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_first_command_on_a_fresh_machine() -> None:
    with reachable_directory() as directory:
        run_the_first_command(directory / "clone")


def run_the_first_command(clone: Path) -> None:
    """As a new user does, and its last part again."""
    # Given a fresh clone
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", ".venv", ".minidw", "data", "*cache*"))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COLUMNS"))
    }
    # When its first command is run, and its last part again
    first = commands()[0]
    for line in (first, first.split("&&")[-1]):
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        # Then four marts are filled
        assert done.returncode == 0, done.stdout + done.stderr
        for mart in ("daily_revenue", "customer_ltv", "product_revenue", "customer_segments"):
            assert re.search(rf"mart\.{mart} +│ +[1-9]", done.stdout), done.stdout


def test_the_second_command_is_what_ci_runs() -> None:
    assert commands()[1].endswith(".venv/bin/pytest")
    assert "\ntests() {\n  pytest\n}\n" in (ROOT / ".ci" / "run").read_text()


def test_every_command_exists_with_its_options() -> None:
    for line in commands():
        if not line.startswith("minidw "):
            continue
        words = shlex.split(re.sub(r"\[(--\w+)( \w+)?\]", r"\1\2", line).replace("FILE...", "FILE"))
        numbers = {"N": "1", "D": "2025-01-01", "S": "1", "P": "0.1"}
        parser().parse_args([numbers.get(word, word) for word in words[1:]])


def test_every_command_is_in_the_readme() -> None:
    names = re.findall(r"^    (\w+) ", parser().format_help(), re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"minidw {name}" not in README] == []


def test_the_code_runs(database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    write_feed(tmp_path / "orders.csv", "order_id\n1\n2")
    programs = [block for block in blocks("python") if block.startswith("import minidw")]
    assert len(programs) >= 2
    # As printed, and once more: the second time the files are there already.
    for program in (*programs, *programs):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_queries_run(conn: Connection, tmp_path: Path) -> None:
    minidw.run(write_feed(tmp_path / "orders.csv", "order_id\n1\n2"), conn)
    queries = [query for block in blocks("sql") for query in block.split(";") if query.strip()]
    assert len(queries) == 4
    assert all(conn.execute(text(query)).all() for query in queries)


def test_the_settings_are_those_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE):
        short = name.removeprefix("POSTGRES")
        assert f"`{name}`" in README or f"`{short}`" in README, name


def test_docker_compose_matches_the_example() -> None:
    compose, example = (ROOT / "docker-compose.yml").read_text(), (ROOT / ".env.example").read_text()
    for name in re.findall(r"\$\{(POSTGRES_\w+)", compose):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name
    assert re.search(r"image: postgres:18\.\d+$", compose, re.MULTILINE)
    assert "healthcheck:" in compose


def test_the_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"minidw\[(\w+)\]", README)) <= set(extras)
