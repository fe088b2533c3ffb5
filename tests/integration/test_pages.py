"""The pages about what users build on minidw are true: their code runs, and their commands are there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

import minidw
from minidw.cli import parser
from tests.support import own_marts
from tests.support.feeds import write_feed

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("own-marts", "own-checks", "programs")
# It imports pandas, polars and DuckDB.
RUN = [*PAGES[:2], pytest.param("programs", marks=pytest.mark.slow)]


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.filterwarnings("ignore:The distribution or module")
@pytest.mark.parametrize("page", RUN)
def test_the_code_runs(
    page: str, database: URL, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    engine = minidw.create_engine()
    minidw.run(write_feed(Path("orders.csv"), "order_id | price\n1 | 60\n2 | 70"), engine)
    with own_marts.for_a_while():
        exec("\n".join(blocks(page, "python")), {"__name__": "page"})  # noqa: S102
        with engine.begin() as conn:
            own_marts.create_tables(conn)
        minidw.build_marts(engine)
        assert minidw.verify(engine).differences == []
    assert capsys.readouterr().out or page == "own-marts"
    engine.dispose()


@pytest.mark.slow
def test_the_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "test_marts.py").write_text("\n".join(blocks("own-tests", "python")))
    done = subprocess.run([sys.executable, "-m", "pytest"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("page", [*PAGES, "own-tests"])
def test_every_command_exists_with_its_options(page: str) -> None:
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("minidw "):
            parser().parse_args(shlex.split(line.split("|")[0])[1:])
