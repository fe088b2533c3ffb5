"""Commands on the database itself: migrate, psql, url."""

import argparse
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minidw.cli.options import Commands, add, destroying, reporting
from minidw.cli.output import Output, confirm
from minidw.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def add_migrate(commands: Commands) -> None:
    """minidw migrate [REVISION]"""
    text = "create or upgrade the tables, as alembic upgrade does"
    examples = """
        minidw migrate
        minidw migrate --check           # in CI: do the tables agree with the models?
        minidw migrate --down --yes      # drop everything
    """
    command = add(commands, "migrate", migrate, text, reporting(), destroying(), examples=examples)
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
    examples = "minidw psql\nminidw psql -c 'TABLE mart.daily_revenue'"
    command = add(commands, "psql", psql, text, prefix_chars="\0", add_help=False, examples=examples)
    command.add_argument("arguments", nargs="*", help="passed to psql")


def add_url(commands: Commands) -> None:
    """minidw url"""
    text = "print the URL of the database in use"
    command = add(commands, "url", url, text, only_reports=True, examples='psql "$(minidw url --password)"')
    command.add_argument("--password", action="store_true", help="show the password")


def migrate(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.database.own_migrations import migrate_own

    own: str | None = None
    engine = minidw.create_engine(create=not (arguments.check or arguments.down))
    try:
        if arguments.check:
            notes = minidw.check_schema(engine)
            output.show({"notes": notes}, lambda _: None)
            for note in notes:
                output.say(f"note: {note}")
            output.say("the tables are what the models say")
            return 0
        before = _revision(engine)
        if arguments.down:
            target = arguments.revision or "base"
            if not arguments.yes:
                confirm(output, f"this goes back to {target}, which drops tables{_what_is_there(engine)}")
            if target == "base":
                own = migrate_own(engine, "downgrade", "base")
            minidw.downgrade(engine, revision=target)
        else:
            minidw.upgrade(engine, revision=arguments.revision or "head")
            if arguments.revision is None:
                own = migrate_own(engine)
        after = _revision(engine)
    finally:
        engine.dispose()
    if before == after:
        done = f"nothing to do: the tables are at revision {after}" if after else "nothing to do: no tables"
    elif not after:
        done = f"the tables are gone; they were at revision {before}"
    else:
        done = f"the tables are at revision {after}" + (f"; they were at {before}" if before else "")
    if own:
        done += f"; the project's own at {own}"
    output.show({"before": before, "after": after, "own": own}, lambda _: output.say(done))
    return 0


def _revision(engine: "Engine") -> str | None:
    from minidw.database.connection import connection
    from minidw.database.revision import current

    with connection(engine) as conn:
        return " and ".join(sorted(current(conn) or ())) or None


def _what_is_there(engine: "Engine") -> str:
    from minidw.reports.data import holdings
    from minidw.reports.values import counted

    try:
        there = holdings(engine)
    except DatabaseError:  # no tables, or those of another revision
        return ""
    return (
        f": {counted(there.batches, 'batch')} with {counted(there.rows_read, 'row')},"
        f" {counted(there.order_lines, 'order line')} and the marts"
    )


def url(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.address import shown
    from minidw.database.engine import create_engine
    from minidw.settings import Settings

    settings = Settings.from_env()
    url = (settings.url or create_engine(settings, create=False).url).set(drivername="postgresql")
    if not arguments.password:
        url = shown(url).set(password=url.password)
    output.say(url.render_as_string(hide_password=not arguments.password))
    return 0


def psql(arguments: argparse.Namespace, output: Output) -> int:
    """Open psql on the database of the settings; returns its exit code."""
    from sqlalchemy import URL

    from minidw.address import HARMLESS, hidden
    from minidw.database.engine import connect_arguments, create_engine
    from minidw.embedded import find_binaries
    from minidw.errors import SettingsError
    from minidw.settings import Settings

    settings = Settings.from_env()
    engine = create_engine(settings, create=False)
    program = shutil.which("psql") if settings.url is not None else None
    url = settings.url or engine.url
    # In the environment, where only its owner can read it, not among the arguments.
    secrets = hidden(url)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGPASSWORD": secrets.pop("password", ""), "PGOPTIONS": secrets.pop("options", "")}
    if secrets:
        raise SettingsError("the URL has options that may not be seen, and psql takes them as arguments only")
    # The encoding is that of the terminal.
    names = HARMLESS - {"client_encoding"}
    query = {name: value for name, value in connect_arguments(url).items() if name in names and value}
    target = URL.create("postgresql", query=query)
    words: Sequence[str] = (target.render_as_string(), *arguments.arguments)
    command = [program or str(find_binaries() / "psql"), "--dbname", *words]
    code = subprocess.call(command, env=environment, cwd=_place())
    # As with any other command: a reader who has seen enough is no failure.
    return 0 if code == -signal.SIGPIPE else code if code >= 0 else 128 - code


def _place() -> str | None:
    """The working directory, which psql insists on: where it was deleted, another."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "/"
    return None
