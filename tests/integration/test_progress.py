"""Who watches sees which step is under way and for how long; a pipe sees nothing of it."""

import logging
import re
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from minidw.cli import output, progress
from tests.support.feeds import write_feed
from tests.support.terminal import Cli, converse


@pytest.fixture
def shop(warehouse: Engine, database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Given a warehouse with a batch, a second file, and a terminal that shows everything at once."""
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(output, "LARGE_FILE", 0)
    minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), warehouse)
    warehouse.dispose()
    return write_feed(tmp_path / "second.csv", "order_id\n3")


def test_the_steps_of_a_command_are_logged(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="minidw")
    checked = minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), warehouse).checked
    minidw.build_staging(warehouse, replay=True)
    said = [record.getMessage() for record in caplog.records]
    assert said[:4] == ["load", "stage", "stage batch 1: 2 rows", "build"]
    assert "build mart.customer_ltv: full" in said
    assert [step for step in said if step.startswith("check ")] == [f"check {one.name}" for one in checked]
    assert "judge every batch again: asked for" in said


def test_the_step_that_takes_long_is_shown_and_gone_in_the_end(shop: Path, warehouse: Engine) -> None:
    # Given somebody who holds a mart for a second
    with warehouse.connect() as other:
        other.execute(text("LOCK TABLE mart.customer_ltv IN ACCESS EXCLUSIVE MODE"))
        release = Timer(1, other.rollback)
        release.start()
        # When it is built on a terminal
        outcome = converse(["build", "--full"], "")
        release.join()
    # Then who watches sees what is under way and for how long,
    assert outcome.code == 0, outcome.out
    shown, report = outcome.out.rsplit("\x1b[2K", 1)
    assert "build mart.customer_ltv: full" in shown
    assert re.search(r"0:00:0\d", shown)
    # and in the end the report alone
    assert "0:00:0" not in report
    assert "customer_segments" in report


@pytest.mark.parametrize("words", ["run second.csv", "stage --replay", "verify", "generate --rows 60000"])
def test_what_is_left_on_a_terminal_is_the_report(shop: Path, words: str) -> None:
    outcome = converse(words.split(), "")
    assert outcome.code == 0, outcome.out
    assert "0:00:0" not in outcome.out.rsplit("\x1b[2K", 1)[-1]


def test_in_a_pipe_nothing_of_it_is_shown(cli: Cli, shop: Path) -> None:
    for words in ("run second.csv", "verify", "build --full", "generate --rows 50000"):
        outcome = cli(*words.split())
        assert (outcome.code, outcome.err) == (0, "")
        assert "0:00:0" not in outcome.out
    assert logging.getLogger("minidw").handlers == []


def test_a_question_is_asked_when_the_progress_is_gone(shop: Path) -> None:
    outcome = converse(["rules", "--set", "SEGMENT_VIP=20000"], "no\n")
    assert outcome.code == 2
    assert "Type yes: no\nminidw: nothing was done" in outcome.out
