"""The schema, brought to a revision by Alembic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from minidw.engine import Bind, connection, create_engine
from minidw.errors import DatabaseError
from minidw.settings import Settings


def upgrade(bind: Bind = None, revision: str = "head", *, settings: Settings | None = None) -> None:
    """Bring the schema to a revision, as ``alembic upgrade`` does; at ``head`` it changes nothing.

    Safe to call from several processes at once. Raises DatabaseError.
    """
    from alembic import command

    _with_alembic(bind, settings, lambda config: command.upgrade(config, revision))


def downgrade(bind: Bind = None, revision: str = "base", *, settings: Settings | None = None) -> None:
    """Take the schema back to a revision, as ``alembic downgrade`` does; at ``base`` nothing is left."""
    from alembic import command

    _with_alembic(bind, settings, lambda config: command.downgrade(config, revision))


def check_schema(bind: Bind = None, *, settings: Settings | None = None) -> None:
    """Compare the database with the models, as ``alembic check`` does; DatabaseError where they differ."""
    from alembic import command

    _with_alembic(bind, settings, command.check)


def _with_alembic(bind: Bind, settings: Settings | None, call: Callable[[Any], None]) -> None:
    """Call Alembic on our scripts, in a transaction that is committed unless it is the caller's."""
    from alembic.config import Config
    from alembic.util import CommandError

    settings = settings or Settings.from_env()
    if bind is None:
        # Not ``bound``: that upgrades the embedded database first.
        engine = create_engine(settings)
        try:
            _with_alembic(engine, settings, call)
        finally:
            engine.dispose()
        return
    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with connection(bind) as conn:
        if not conn.in_transaction():
            conn.begin()
        config.attributes["connection"] = conn
        try:
            call(config)
        except CommandError as error:
            raise DatabaseError(f"cannot migrate: {error}") from error
        if not isinstance(bind, Connection | Session):
            conn.commit()


def migrations() -> Path:
    """The Alembic scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
