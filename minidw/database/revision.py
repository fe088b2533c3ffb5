"""Which revision the tables are at and which one this minidw needs, read without Alembic.

The revision stands in a table of minidw's own, ``raw.minidw_version``. Warehouses made before it existed
kept it in ``public.alembic_version``, which an application's own Alembic uses too; the next upgrade
takes it over from there.
"""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text

from minidw.errors import DatabaseError

VERSION_SCHEMA, VERSION_TABLE = "raw", "minidw_version"

# What each revision of that time made, the newest first; 0003 made roles alone: to repeat it does no harm.
_FORMER = {
    "0004": "raw.ix_orders_all_batch_id_source_row",
    "0002": "raw.lines_malformed",
    "0001": "raw.orders_all",
}
_MADE_FIRST = {"raw.batches", "raw.orders_all", "staging.orders_stg", "mart.builds"}


def migrations() -> Path:
    """The Alembic scripts: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


@cache
def scripts() -> dict[str, list[str]]:
    """Every revision that there is a script of, and those it follows; the first follows none."""
    found = {}
    for script in (migrations() / "versions").glob("*.py"):
        lines = re.findall(r"^(revision|down_revision)\b[^=\n]*=(.*)$", script.read_text("utf-8"), re.M)
        said = {name: re.findall(r"['\"]([^'\"]+)['\"]", value) for name, value in lines}
        found[said["revision"][0]] = said["down_revision"]
    return found


def heads() -> frozenset[str]:
    """The revisions that this minidw needs: one, unless somebody's own branch is beside it."""
    return frozenset(scripts().keys() - {former for follows in scripts().values() for former in follows})


def current(conn: Connection) -> frozenset[str] | None:
    """The revisions the tables are at: empty where there are none, None where the account may not know."""
    readable: bool | None = conn.scalar(
        text(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND c.relname = :table"
        ),
        {"schema": VERSION_SCHEMA, "table": VERSION_TABLE},
    )
    if readable is None:
        return frozenset(former(conn)[:1])
    if not readable:
        return None
    return frozenset(conn.scalars(text(f"SELECT version_num FROM {VERSION_SCHEMA}.{VERSION_TABLE}")))


def former(conn: Connection) -> tuple[str, ...]:
    """The revision of a warehouse made before ``raw.minidw_version`` existed; nothing where there is none.

    A second item, where there is one, is its row in ``public.alembic_version``. What the tables show
    decides: an application may have rows there too, or may have overwritten ours.
    """
    relations = text(
        "SELECT n.nspname || '.' || c.relname, has_table_privilege(c.oid, 'SELECT')"
        " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('raw', 'staging', 'mart')"
        " OR n.nspname = 'public' AND c.relname = 'alembic_version'"
    )
    there: dict[str, bool] = dict(conn.execute(relations).all())
    if not there.keys() >= _MADE_FIRST:
        return ()
    shown = next(revision for revision, made in _FORMER.items() if made in there)
    if there.get("public.alembic_version"):
        rows = set(conn.scalars(text("SELECT version_num FROM public.alembic_version")))
        for row in rows & ({"0002", "0003"} if shown == "0002" else {shown}):
            return row, row
    return (shown,)


def require_head(conn: Connection) -> None:
    """Refuse tables that are not those of this minidw, saying what to do; DatabaseError."""
    found = current(conn)
    if found is not None and found != heads():
        raise DatabaseError(mismatch(found))


def mismatch(found: frozenset[str]) -> str:
    """What to do about tables at other revisions than this minidw needs."""
    needed = " and ".join(sorted(heads()))
    if not found:
        return "the warehouse has no tables here yet: run minidw migrate, or alembic upgrade head"
    at = f"the warehouse is at revision {' and '.join(sorted(found))}"
    if found <= scripts().keys():
        return f"{at}, this minidw needs {needed}: run minidw migrate"
    return f"{at}, which this minidw does not know (it needs {needed}): install the newer minidw that made it"
