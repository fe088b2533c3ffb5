"""What may be done to a table as a whole: lock it, if nobody is at it, and build its indexes again."""

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase

LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"


def lock_at_once(conn: Connection, table: type[DeclarativeBase]) -> bool:
    """Lock a table against everyone until the transaction ends, if nobody is at it and the account may."""
    try:
        with conn.begin_nested():
            conn.execute(sqlalchemy.text(f"LOCK TABLE {table.__table__} IN ACCESS EXCLUSIVE MODE NOWAIT"))
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in (LOCK_NOT_AVAILABLE, INSUFFICIENT_PRIVILEGE):
            raise
        return False
    return True


def may_rebuild(conn: Connection, table: type[DeclarativeBase], indexes: list[str]) -> bool:
    """Whether indexes can be dropped and built again as they were: by this account, and losing nothing.

    A foreign key to the table or a view grouped by its key depends on them; marks of CLUSTER and REPLICA
    IDENTITY, options, a place of its own or a comment would be gone.
    """
    found = sqlalchemy.text("""
        SELECT pg_has_role(t.relowner, 'USAGE') AND NOT EXISTS (
                 SELECT
                   FROM pg_index AS i
                   JOIN pg_class AS x ON x.oid = i.indexrelid
                   LEFT JOIN pg_constraint AS k ON k.conindid = x.oid AND k.conrelid = t.oid
                  WHERE i.indrelid = t.oid AND x.relname = ANY(:indexes)
                    AND (i.indisclustered OR i.indisreplident OR x.reltablespace <> 0
                         OR x.reloptions IS NOT NULL OR obj_description(x.oid, 'pg_class') IS NOT NULL
                         OR obj_description(k.oid, 'pg_constraint') IS NOT NULL
                         OR EXISTS (SELECT FROM pg_depend AS d
                                     WHERE d.deptype <> 'i' AND (d.refclassid, d.refobjid) IN (
                                             (CAST('pg_class' AS regclass), x.oid),
                                             (CAST('pg_constraint' AS regclass), k.oid)))))
          FROM pg_class AS t
         WHERE t.oid = CAST(:table AS regclass)""")
    return bool(conn.scalar(found, {"table": str(table.__table__), "indexes": indexes}))
