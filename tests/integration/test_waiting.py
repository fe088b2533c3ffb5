"""Nobody waits who only reads: at head nothing is locked, and Alembic is not even imported."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import URL, Engine, text

import minidw
from minidw import Settings, WarehouseBusyError
from minidw.cli import main
from minidw.database.revision import migrations
from minidw.database.transaction import transaction
from tests.support.servers import reachable_directory

WriteFeed = Callable[..., Path]

BUSY = r"the warehouse is in use by process \d+ \(\w+, minidw, since \d\d:\d\d:\d\d UTC\)"


@contextmanager
def a_running_load(engine: Engine) -> Iterator[None]:
    """Another runner holds the warehouse for as long as this lasts."""
    with transaction(engine, Settings()):
        yield


@pytest.fixture
def embedded_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The embedded warehouse, which minidw migrates itself, at head."""
    with reachable_directory() as directory:
        monkeypatch.setenv("MINIDW_HOME", str(directory / "home"))
        monkeypatch.chdir(directory)
        minidw.upgrade()
        yield directory / "home"


@pytest.mark.timeout(60)
def test_on_the_embedded_server_only_writers_wait_for_a_load(
    embedded_home: Path, feed: WriteFeed, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(feed("order_id\n1"))
    engine = minidw.create_engine()
    with a_running_load(engine):
        # Given a running load, what reads does not wait for it,
        for arguments in (["report"], ["status"], ["verify"], ["migrate"], ["migrate", "--check"]):
            assert main(arguments) == 0, arguments
        capsys.readouterr()
        # and what would write says who is at work where it is not to wait
        for arguments in (["run", path], ["load", path], ["preview", path], ["stage"], ["build"], ["check"]):
            assert main([*arguments, "--no-wait"]) == 2, arguments
            assert "the warehouse is in use by process " in capsys.readouterr().err
    # When the load is done, it runs
    assert main(["run", path, "--no-wait"]) == 0
    engine.dispose()


@pytest.mark.timeout(60)
def test_at_head_nothing_is_locked(warehouse: Engine, feed: WriteFeed) -> None:
    with a_running_load(warehouse):
        minidw.upgrade(warehouse)
        minidw.check_schema(warehouse)
        minidw.report(warehouse)
        with pytest.raises(WarehouseBusyError, match=BUSY):
            minidw.run(feed("order_id\n1"), warehouse, wait=False)


@pytest.mark.timeout(60)
def test_an_upgrade_that_is_not_to_wait_says_who_is_at_work(warehouse: Engine) -> None:
    minidw.downgrade(warehouse, revision="0004")
    with warehouse.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": minidw.database.lock.LOCK_KEY})
        for call in (minidw.upgrade, minidw.downgrade):
            with pytest.raises(WarehouseBusyError, match=BUSY):
                call(warehouse, wait=False)


@pytest.mark.timeout(60)
def test_commands_of_alembic_that_read_do_not_wait(
    database: URL, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    ini = migrations().parent / "alembic.ini"
    with a_running_load(warehouse):
        for name in ("current", "check"):
            alembic("-c", str(ini), name)


def alembic(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_at_head_alembic_is_not_imported(
    database: URL, feed: WriteFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    program = (
        "import sys, minidw;"
        f"minidw.upgrade(); minidw.run({str(feed('order_id'))!r}); minidw.report(); minidw.status();"
        "minidw.verify();"
        "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_head_is_what_alembic_says_it_is() -> None:
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations()))
    directory = ScriptDirectory.from_config(config)
    assert minidw.database.revision.heads() == frozenset(directory.get_heads())
    assert minidw.database.revision.scripts().keys() == {
        script.revision for script in directory.walk_revisions()
    }
