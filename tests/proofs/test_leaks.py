"""A password appears nowhere: not in output, logs, reprs or tracebacks, whatever form it was given in."""

import logging
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

import minidw
from minidw import Settings
from minidw.cli import main
from tests.support.feeds import write_feed
from tests.support.servers import CANARY

ROOT = Path(__file__).parents[2]
AWKWARD = f"{CANARY} @:/%?#'\"\\"
NOWHERE = "127.0.0.1:1/shop"  # where nothing listens

FORMS = {
    "a URL": {"DATABASE_URL": f"postgresql://ada:{CANARY}@{NOWHERE}"},
    "a URL with escapes": {"DATABASE_URL": f"postgresql://ada:{quote(AWKWARD, safe='')}@{NOWHERE}"},
    "a URL with a bad escape": {"DATABASE_URL": f"postgresql://ada:{CANARY}%zz@{NOWHERE}"},
    "a URL with an unescaped @": {"DATABASE_URL": f"postgresql://ada:x@{CANARY}@{NOWHERE}"},
    "the query of a URL": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?password={CANARY}"},
    "the password of a key": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?sslpassword={CANARY}"},
    "a URL with an unknown option": {"DATABASE_URL": f"postgresql://ada:{CANARY}@{NOWHERE}?colour=red"},
    "a URL without a port": {"DATABASE_URL": f"postgresql://ada:{CANARY}@db:port/shop"},
    "a URL of another database": {"DATABASE_URL": f"mysql://ada:{CANARY}@{NOWHERE}"},
    "no URL": {"DATABASE_URL": f"ada:{CANARY}"},
    "the parts": {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "POSTGRES_PASSWORD": AWKWARD},
    "parts with a wrong port": {"POSTGRES_PORT": "one", "POSTGRES_PASSWORD": CANARY},
}
COMMANDS = ("url", "status", "migrate", "run feed.csv", "verify", "psql -- -c SELECT")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_no_command_prints_it(
    form: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in FORMS[form].items():
        if place == "environment":
            monkeypatch.setenv(name, value)
        else:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            with Path(".env").open("a") as file:
                file.write(f"{name}='{escaped}'\n")
    write_feed(Path("feed.csv"), "order_id\n1")
    caplog.set_level(logging.DEBUG)

    codes = {main(command.split()) for command in COMMANDS}

    output = capfd.readouterr()
    assert codes <= {0, 2}
    assert 2 in codes
    assert CANARY not in output.out + output.err + caplog.text


@pytest.mark.parametrize("form", FORMS)
def test_no_repr_or_traceback_shows_it(form: str) -> None:
    shown = []
    try:
        settings = Settings.from_env(FORMS[form])
        engine = minidw.create_engine(settings)
        shown += [repr(settings), str(settings), repr(engine), str(engine), repr(engine.url)]
        minidw.build_marts(settings=settings)
    except minidw.MinidwError as error:
        shown += [repr(error), *traceback.format_exception(error)]
    assert len(shown) > 1
    assert CANARY not in "".join(shown)


@pytest.mark.parametrize("form", ["a URL with escapes", "a URL with a bad escape", "the parts"])
def test_alembic_does_not_print_it(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FORMS[form].items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert CANARY not in done.stdout + done.stderr
