"""Two roles for the least privilege: minidw_loader runs, minidw_reader reads staging and the marts.

A role belongs to the whole server, so it is created where the account may and where it is not there yet,
and it stays when the revision is undone. Give a login one of them: GRANT minidw_loader TO etl.
"""

import sys

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LOADER, READER = "minidw_loader", "minidw_reader"

INSUFFICIENT_PRIVILEGE = "42501"
DUPLICATE = ("42710", "23505")  # another database of the server was quicker

# By name: others may have tables in the schemas, which are none of our business.
RAW = "raw.batches, raw.check_results, raw.lines_malformed, raw.orders_all, raw.orders_raw, raw.runs"
STAGING = "staging.orders_changes, staging.orders_rejected, staging.orders_stg, staging.orders_totals"
MART = "mart.builds, mart.customer_ltv, mart.customer_segments, mart.daily_revenue, mart.product_revenue"

# Tables that later revisions create have the same privileges: a mart of one's own, say.
GRANTS = {
    LOADER: (
        "GRANT USAGE ON SCHEMA raw, staging, mart TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {RAW}, {STAGING}, {MART} TO {{role}}",
        "GRANT SELECT, UPDATE ON SEQUENCE raw.orders_raw_source_row_seq TO {role}",
        "GRANT TRUNCATE ON raw.orders_raw TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA raw, staging, mart"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    ),
    READER: (
        "GRANT USAGE ON SCHEMA staging, mart TO {role}",
        f"GRANT SELECT ON {STAGING}, {MART} TO {{role}}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA staging, mart GRANT SELECT ON TABLES TO {role}",
    ),
}
REVOKES = (
    "ALTER DEFAULT PRIVILEGES IN SCHEMA raw, staging, mart REVOKE ALL ON TABLES FROM {role}",
    f"REVOKE ALL ON {RAW}, {STAGING}, {MART} FROM {{role}}",
    "REVOKE ALL ON SEQUENCE raw.orders_raw_source_row_seq FROM {role}",
    "REVOKE ALL ON SCHEMA raw, staging, mart FROM {role}",
)


def upgrade() -> None:
    for role in (LOADER, READER):
        if exists(role) or create(role):
            for statement in GRANTS[role]:
                op.execute(statement.format(role=role))


def downgrade() -> None:
    for role in (LOADER, READER):
        if exists(role):
            for statement in REVOKES:
                op.execute(statement.format(role=role))


def exists(role: str) -> bool:
    query = sa.text("SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = :role")
    return op.get_bind().scalar(query, {"role": role}) == 1


def create(role: str) -> bool:
    try:
        with op.get_bind().begin_nested():
            op.execute(f"CREATE ROLE {role} NOLOGIN")
    except sa.exc.DBAPIError as error:
        code = getattr(error.orig, "pgcode", None)
        if code == INSUFFICIENT_PRIVILEGE:
            print(
                f"notice: role {role} was not created: this account may not. Everything else is there. To have it,"
                f" let an administrator CREATE ROLE {role}, then migrate down to {down_revision} and up again.",
                file=sys.stderr,
            )
            return False
        if code not in DUPLICATE:
            raise
    return True
