"""Commands on the database itself: migrate, psql, url."""

import argparse
import os
import shutil
import subprocess
from collections.abc import Sequence

from minidw.cli.options import Commands, add


def add_migrate(commands: Commands) -> None:
    """minidw migrate [REVISION]"""
    command = add(commands, "migrate", migrate, "create or upgrade the tables, as alembic upgrade does")
    command.add_argument("revision", nargs="?", help="the revision to go to (head; with --down, base)")
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--down", action="store_true", help="go back, as alembic downgrade does: this drops tables"
    )
    how.add_argument(
        "--check", action="store_true", help="compare the database with the models, as alembic check does"
    )


def add_psql(commands: Commands) -> None:
    """minidw psql [ARGUMENT...]"""
    # No character starts an option here: all of them are psql's own.
    text = "open a prompt on the database in use"
    command = add(commands, "psql", psql, text, prefix_chars="\0", add_help=False)
    command.add_argument("arguments", nargs="*", help="passed to psql")


def add_url(commands: Commands) -> None:
    """minidw url"""
    command = add(commands, "url", url, "print the URL of the database in use")
    command.add_argument("--password", action="store_true", help="show the password")


def migrate(arguments: argparse.Namespace) -> int:
    import minidw

    if arguments.check:
        for note in minidw.check_schema():
            print(f"note: {note}")
    elif arguments.down:
        minidw.downgrade(revision=arguments.revision or "base")
    else:
        minidw.upgrade(revision=arguments.revision or "head")
    return 0


def url(arguments: argparse.Namespace) -> int:
    from minidw.address import shown
    from minidw.engine import create_engine
    from minidw.settings import Settings

    settings = Settings.from_env()
    url = (settings.url or create_engine(settings).url).set(drivername="postgresql")
    if not arguments.password:
        url = shown(url).set(password=url.password)
    print(url.render_as_string(hide_password=not arguments.password))
    return 0


def psql(arguments: argparse.Namespace) -> int:
    """Open psql on the database of the settings; returns its exit code."""
    from minidw.address import hidden, shown
    from minidw.embedded import find_binaries
    from minidw.engine import connect_arguments, create_engine
    from minidw.errors import SettingsError
    from minidw.settings import Settings

    settings = Settings.from_env()
    engine = create_engine(settings)
    program = shutil.which("psql") if settings.url is not None else None
    url = settings.url or engine.url
    # In the environment, where only its owner can read it, not among the arguments.
    secrets = hidden(url)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {
        "PGSSLMODE": connect_arguments(url).get("sslmode", ""),
        "PGPASSWORD": secrets.pop("password", ""),
        "PGOPTIONS": secrets.pop("options", ""),
    }
    if secrets:
        raise SettingsError("the URL has options that may not be seen, and psql takes them as arguments only")
    target = shown(url).set(drivername="postgresql")
    words: Sequence[str] = (target.render_as_string(), *arguments.arguments)
    return subprocess.call([program or str(find_binaries() / "psql"), "--dbname", *words], env=environment)
