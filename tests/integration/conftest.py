"""The command line, called as a user calls it."""

from collections.abc import Callable

import pytest
from sqlalchemy import URL

from minidw.cli import main
from tests.support.terminal import Outcome


@pytest.fixture
def cli(
    database: URL, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """The command line on a migrated database of the test's own. A fault of minidw is a traceback here."""
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.setenv("MINIDW_DEBUG", "1")
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*arguments: str) -> Outcome:
        capfd.readouterr()
        return Outcome(main(arguments), *capfd.readouterr())

    return call
