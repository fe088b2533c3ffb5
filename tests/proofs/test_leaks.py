"""A password appears nowhere: not in output, logs, reprs or tracebacks, whatever form it was given in."""

import logging
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import URL, NullPool, create_engine

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
    "a secret of OAuth": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?oauth_client_secret={CANARY}"},
    "a password given twice": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?password={CANARY}&password=x"},
    "a password with an @ and a /": {"DATABASE_URL": f"postgresql://ada:x@{CANARY}/y@{NOWHERE}"},
    "a password with an @ and a ?": {"DATABASE_URL": f"postgresql://ada:x@y?{CANARY}@{NOWHERE}"},
    "a misspelt option": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?passwrod={CANARY}"},
    "the name of an option": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?{CANARY}=x"},
    "a setting of the session": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?options=-c%20a.b%3D{CANARY}"},
    "an argument of the driver": {"DATABASE_URL": f"postgresql://ada@{NOWHERE}?dsn=password%3D{CANARY}"},
    "a URL with an unknown option": {"DATABASE_URL": f"postgresql://ada:{CANARY}@{NOWHERE}?colour=red"},
    "a URL without a port": {"DATABASE_URL": f"postgresql://ada:{CANARY}@db:port/shop"},
    "a URL of another database": {"DATABASE_URL": f"mysql://ada:{CANARY}@{NOWHERE}"},
    "no URL": {"DATABASE_URL": f"ada:{CANARY}"},
    "the parts": {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "POSTGRES_PASSWORD": AWKWARD},
    "parts with a wrong port": {"POSTGRES_PORT": "one", "POSTGRES_PASSWORD": CANARY},
}
PLACES = [
    *((form, "environment") for form in FORMS),
    ("a URL with escapes", ".env"),
    *(pytest.param(form, ".env", marks=pytest.mark.slow) for form in FORMS if form != "a URL with escapes"),
]
COMMANDS = ("url", "status", "migrate", "run feed.csv", "verify", "psql -- -c SELECT")


@pytest.mark.parametrize(("form", "place"), PLACES)
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
    # Its own loggers say nothing below WARNING unless they are asked.
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy")

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
        shown += [repr(settings), str(settings), repr(engine), str(engine)]
        shown += [repr(engine.url), engine.url.render_as_string(hide_password=False), repr(vars(engine))]
        minidw.build_marts(settings=settings)
    except minidw.MinidwError as error:
        shown += [repr(error), *traceback.format_exception(error)]
    assert len(shown) > 1
    assert CANARY not in "".join(shown)


def test_the_log_of_the_pool_does_not_show_it(server: URL, caplog: pytest.LogCaptureFixture) -> None:
    # Given a connection that is made, though libpq has no key to open with it
    url = server.update_query_dict({"sslpassword": CANARY, "application_name": "etl"})
    # Its own loggers say nothing below WARNING unless they are asked.
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    engine = minidw.create_engine(Settings(url=url))
    with engine.connect() as conn:
        assert CANARY not in repr(conn.connection.driver_connection)
    engine.dispose()
    assert "Created new connection" in caplog.text
    assert CANARY not in caplog.text


def test_an_engine_of_the_caller_s_own_does_not_print_it() -> None:
    engine = create_engine(f"postgresql+psycopg2://ada@{NOWHERE}?{CANARY}=x", poolclass=NullPool)
    with pytest.raises(minidw.DatabaseError, match=r"invalid connection option") as caught:
        minidw.status(engine)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("form", ["a URL with escapes", "a URL with a bad escape", "the parts"])
def test_alembic_does_not_print_it(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FORMS[form].items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert CANARY not in done.stdout + done.stderr
