"""Beside others in the database: a version table that only migrations write, and rows a publication can name.

Where an application publishes all tables, the server refuses to delete from one that has no key and no other
replica identity. Nothing more is written for it unless the server's log is a logical one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WITHOUT_KEY = ("raw.orders_all", "staging.orders_changes")
LOADER = "minidw_loader"


def upgrade() -> None:
    for table in WITHOUT_KEY:
        op.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
    if exists(LOADER):
        # It reads which revision the tables are at; what later tables are granted would let it write.
        op.execute(f"REVOKE ALL ON raw.minidw_version FROM {LOADER}")
        op.execute(f"GRANT SELECT ON raw.minidw_version TO {LOADER}")


def downgrade() -> None:
    if exists(LOADER):
        op.execute(f"REVOKE ALL ON raw.minidw_version FROM {LOADER}")
    for table in WITHOUT_KEY:
        op.execute(f"ALTER TABLE {table} REPLICA IDENTITY DEFAULT")


def exists(role: str) -> bool:
    query = sa.text("SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = :role")
    return op.get_bind().scalar(query, {"role": role}) == 1
