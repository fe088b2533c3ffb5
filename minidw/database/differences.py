"""What the tables are otherwise than this minidw needs them, in plain words."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import CheckConstraint, Table, text

from minidw.database.engine import Bind
from minidw.database.migrate import OPTIONS, SCHEMAS
from minidw.database.own_migrations import own_version_table
from minidw.database.revision import VERSION_SCHEMA, VERSION_TABLE
from minidw.database.transaction import reading
from minidw.errors import DatabaseError
from minidw.schema import Base
from minidw.schema.own import load_own
from minidw.settings import Settings

_OTHERS = """
    SELECT n.nspname || '.' || c.relname AS name, CASE c.relkind
             WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
             WHEN 'p' THEN 'partitioned table' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('raw', 'staging', 'mart') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'i'
                          AND d.classid = CAST('pg_class' AS regclass) AND c.relkind = 'S')
     ORDER BY 1
"""
"""What lies in our schemas; a sequence that numbers a column is a part of its table."""


_CONSTRAINTS = """
    SELECT n.nspname || '.' || c.relname, k.conname
      FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
"""


def check_schema(bind: Bind = None, *, settings: Settings | None = None) -> list[str]:
    """Compare the database with the models. Writes nothing and waits for nobody.

    Args:
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        What others have in our schemas, in plain words: minidw leaves it alone.

    Raises:
        DatabaseError: a table of ours is otherwise than it must be

    Example:
        >>> with minidw.create_engine().begin() as conn:
        ...     created = conn.exec_driver_sql("CREATE TABLE mart.notes (note text)")
        >>> minidw.check_schema()
        ["the table mart.notes is not minidw's"]
    """
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    load_own()
    with reading(bind, settings or Settings.from_env()) as conn:
        if (schema := conn.dialect.default_schema_name) in SCHEMAS:
            # Alembic would take its tables for those of no schema.
            raise DatabaseError(
                f"the search_path of this connection begins with {schema}:"
                " give an engine of minidw.create_engine()"
            )
        found = compare_metadata(MigrationContext.configure(conn, opts=OPTIONS), Base.metadata)
        ours = {*Base.metadata.tables, f"{VERSION_SCHEMA}.{VERSION_TABLE}"}
        if own := own_version_table():
            ours.add(f"{VERSION_SCHEMA}.{own}")
        notes = [
            f"the {kind} {name} is not minidw's"
            for name, kind in conn.execute(text(_OTHERS))
            if name not in ours
        ]
        there = {(table, name) for table, name in conn.execute(text(_CONSTRAINTS))}
    faults = []
    missing = set()
    for difference in found:
        # What differs in one column comes as a list.
        for one in difference if isinstance(difference, list) else [difference]:
            what, about = one[0], one[1]
            if what == "add_table":
                missing.add(about.fullname)
            if what == "remove_index" and not about.unique:
                notes.append(f"the index {about.name} of {about.table.fullname} is not minidw's")
            elif what not in ("add_index", "add_constraint") or about.table.fullname not in missing:
                faults.append(_in_words(*one))
    faults += [
        f"{table.fullname} lacks {name}"
        for table in Base.metadata.sorted_tables
        for name in sorted(_unseen_by_alembic(table))
        if table.fullname not in missing and (table.fullname, name) not in there
    ]
    if faults:
        raise DatabaseError(f"the warehouse is not as minidw needs it: {'; '.join(faults)}")
    return notes


def _unseen_by_alembic(table: Table) -> Iterator[str]:
    """The names of the constraints that Alembic does not compare."""
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) or (
            constraint is table.primary_key and constraint.columns
        ):
            yield str(constraint.name)


def _in_words(what: str, *about: Any) -> str:
    """One of Alembic's differences, as a sentence."""
    match what:
        case "add_table":
            return f"{about[0].fullname} is missing"
        case "add_column":
            return f"{about[0]}.{about[1]} lacks the column {about[2].name}"
        case "remove_column":
            return f"{about[0]}.{about[1]} has a column {about[2].name}, which is not minidw's"
        case "add_index" | "add_constraint" | "add_fk":
            return f"{about[0].table.fullname} lacks {about[0].name}"
        case "remove_index" | "remove_constraint" | "remove_fk":
            return f"{about[0].table.fullname} has {about[0].name}, which is not minidw's"
        case "modify_type":
            return f"{'.'.join(about[:3])} is of type {about[4]}, not {about[5]}"
        case "modify_nullable":
            return f"{'.'.join(about[:3])} {'may' if about[4] else 'must not'} be null"
        case "modify_default" | "modify_comment":
            return f"{'.'.join(about[:3])} has another {what.removeprefix('modify_')}"
        case "add_table_comment" | "remove_table_comment":
            return f"{about[0].fullname} has another comment"
        case _:
            return f"{what.replace('_', ' ')}: {', '.join(str(part) for part in about)}"
