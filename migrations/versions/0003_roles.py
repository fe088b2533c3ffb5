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

# Tables that later revisions create have the same privileges: a mart of one's own, say.
GRANTS = {
    LOADER: (
        "GRANT USAGE ON SCHEMA raw, staging, mart TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA raw, staging, mart TO {role}",
        "GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA raw TO {role}",
        "GRANT TRUNCATE ON raw.orders_raw TO {role}",
        "GRANT SELECT ON public.alembic_version TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA raw, staging, mart"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    ),
    READER: (
        "GRANT USAGE ON SCHEMA staging, mart TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA staging, mart TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA staging, mart GRANT SELECT ON TABLES TO {role}",
    ),
}
REVOKES = (
    "ALTER DEFAULT PRIVILEGES IN SCHEMA raw, staging, mart REVOKE ALL ON TABLES FROM {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA raw, staging, mart FROM {role}",
    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA raw FROM {role}",
    "REVOKE ALL ON SCHEMA raw, staging, mart FROM {role}",
    "REVOKE ALL ON public.alembic_version FROM {role}",
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
