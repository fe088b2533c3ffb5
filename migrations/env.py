"""Alembic's entry point. It works on the connection it is given, or on the database of the settings."""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from minidw.database import lock_statement
from minidw.engine import create_engine
from minidw.schema import Base

SCHEMAS = {table.schema for table in Base.metadata.tables.values()}


def include_name(name: str | None, type_: str, _parents: Any) -> bool:
    """Compare our schemas alone: the database may have others."""
    return type_ != "schema" or name in SCHEMAS


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_schemas=True,
        include_name=include_name,
        version_table_schema="public",
    )
    with context.begin_transaction():
        # Several upgrades at once: the second waits here, then finds nothing to do.
        connection.execute(lock_statement())
        context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("minidw migrates over a connection; --sql is not supported")
if "connection" in context.config.attributes:
    migrate(context.config.attributes["connection"])
else:
    engine = create_engine()
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()
