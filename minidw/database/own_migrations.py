"""The tables of the user's own marts, brought to a revision by Alembic scripts of the user's own.

They have a history and a version table apart from ours, which goes first: whatever order the two are
migrated in, a table of the user's finds ours at their newest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from minidw.database.connection import connection
from minidw.database.engine import Target, create_engine
from minidw.database.lock import hold
from minidw.database.migrate import alembic_alone, opened, upgrade
from minidw.database.pins import pin
from minidw.database.revision import VERSION_SCHEMA
from minidw.errors import DatabaseError, MinidwError
from minidw.schema import OURS, Base, MartBuild
from minidw.schema.own import find_project, load_own

# Commands that only read wait for no runner, and upgrade nothing.
_READING = ("check", "current", "revision")


def run_own_migrations() -> None:
    """What the ``env.py`` of a project of one's own calls, and all that it needs to do.

    It brings minidw's tables to their newest revision, then the project's own by its scripts; for
    ``alembic check`` and ``alembic revision --autogenerate`` it compares the project's own tables alone. The
    revision stands in a table of schema ``raw`` that ``version_table`` in alembic.ini names. A mart whose
    table was migrated is built in full by the next build.

    Raises:
        CommandError: of Alembic, for whatever minidw refuses; a NameError where Alembic did not call it

    Example:
        >>> minidw.init_project("shop")[3].read_text().splitlines()[-1]
        'run_own_migrations()'
    """
    from alembic import context
    from alembic.util import CommandError

    if context.is_offline_mode():
        raise CommandError("minidw migrates over a connection; --sql is not supported")
    try:
        load_own()
        if "connection" in context.config.attributes:
            _run(context.config.attributes["connection"], reads=False)
            return
        asked = context.config.cmd_opts
        reads = asked is not None and asked.cmd[0].__name__ in _READING
        engine = create_engine(create=not reads)
        try:
            with connection(engine) as conn, conn.begin():
                pin(conn)
                _run(conn, reads=reads)
        finally:
            engine.dispose()
    except MinidwError as error:
        raise CommandError(str(error)) from error


def migrate_own(bind: Target, command: str = "upgrade", revision: str = "head") -> str | None:
    """Call Alembic on the project's own scripts; the revision they are at then.

    None where there is no project, or none without scripts of its own. Raises DatabaseError.
    """
    project = find_project()
    if project is None or project.alembic is None:
        return None
    if not project.alembic.is_file():
        raise DatabaseError(f"{project.directory / 'pyproject.toml'}: there is no {project.alembic}")
    with opened(bind, None) as conn:
        # As with ours: the warehouse first and Alembic second.
        hold(conn, wait=True)
        with _configured(project.alembic, conn) as (commands, config, version_table):
            getattr(commands, command)(config, revision)
            return _revision(conn, version_table)


@contextmanager
def _configured(path: Path, conn: Connection) -> Iterator[tuple[Any, Any, str]]:
    with alembic_alone() as commands:
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config(path)
        config.attributes["connection"] = conn
        try:
            yield commands, config, _version_table(config)
        except CommandError as error:
            raise DatabaseError(f"cannot migrate {path.parent}: {error}") from error


def _run(conn: Connection, *, reads: bool) -> None:
    from alembic import context

    version_table = _version_table(context.config)
    if not reads:
        upgrade(conn)
        hold(conn, wait=True)
    before = _revision(conn, version_table)
    context.configure(
        connection=conn,
        target_metadata=Base.metadata,
        include_schemas=True,
        include_name=_names_of_own(conn),
        include_object=_is_own,
        version_table=version_table,
        version_table_schema=VERSION_SCHEMA,
        dont_mutate=reads,
    )
    context.run_migrations()
    if not reads and _revision(conn, version_table) != before:
        # Whatever their tables were, and hold now: only a full build makes them exact.
        own = [table.name for table in _own_tables()]
        values = {"fingerprint": None, "reason": "its table was migrated"}
        conn.execute(update(MartBuild).where(MartBuild.mart.in_(own)).values(values))


def _names_of_own(conn: Connection) -> Any:
    """For Alembic: the tables of the project alone, and those of its marts that are declared no more."""
    there = conn.scalar(select(func.to_regclass(str(MartBuild.__table__))))
    built = set(conn.scalars(select(MartBuild.mart))) if there else set()
    own = {table.fullname for table in _own_tables()} | ({f"mart.{mart}" for mart in built} - OURS)
    schemas = {name.split(".")[0] for name in own}

    def include_name(name: str | None, type_: str, parents: Any) -> bool:
        if type_ == "schema":
            return name in schemas
        return type_ != "table" or f"{parents['schema_name']}.{name}" in own

    return include_name


def _is_own(item: Any, _name: str | None, type_: str, reflected: bool, _other: Any) -> bool:
    """For Alembic: of the models, the tables of the project; ``include_name`` is asked of the others."""
    return type_ != "table" or reflected or item.fullname not in OURS


def _own_tables() -> list[Any]:
    return [table for name, table in Base.metadata.tables.items() if name not in OURS]


def _revision(conn: Connection, version_table: str) -> str | None:
    name = f"{VERSION_SCHEMA}.{conn.dialect.identifier_preparer.quote(version_table)}"
    if conn.scalar(select(func.to_regclass(name))) is None:
        return None
    found = conn.exec_driver_sql(f"SELECT version_num FROM {name} ORDER BY 1").scalars()
    return " and ".join(found) or None


def own_version_table() -> str | None:
    """The table of schema ``raw`` that holds the project's own revision, or None without a project."""
    project = find_project()
    if project is None or project.alembic is None:
        return None
    from alembic.config import Config

    return _version_table(Config(project.alembic))


def _version_table(config: Any) -> str:
    return config.get_main_option("version_table") or "own_version"
