"""Alembic's entry point. It works on the connection it is given, or on the database of the settings."""

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from minidw.database.connection import connection
from minidw.database.engine import create_engine
from minidw.database.migrate import OPTIONS, prepare, tidy
from minidw.errors import MinidwError

# Commands that only read wait for no runner, and take over nothing.
READING = ("check", "current", "revision")


def migrate(conn: Connection, *, reads: bool = False) -> None:
    context.configure(connection=conn, dont_mutate=reads, **OPTIONS)
    if not reads:
        prepare(conn)
    context.run_migrations()
    if not reads:
        tidy(conn)


def migrate_database_of_the_settings() -> None:
    asked = context.config.cmd_opts
    engine = create_engine()
    try:
        with connection(engine) as conn, conn.begin():
            migrate(conn, reads=asked is not None and asked.cmd[0].__name__ in READING)
    finally:
        engine.dispose()


if context.is_offline_mode():
    raise CommandError("minidw migrates over a connection; --sql is not supported")
if "connection" in context.config.attributes:
    migrate(context.config.attributes["connection"])
else:
    try:
        migrate_database_of_the_settings()
    except MinidwError as error:
        raise CommandError(str(error)) from error
