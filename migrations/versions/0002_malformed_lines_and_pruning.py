"""Lines set aside by --skip-malformed, and batches pruned from raw."""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lines_malformed",
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="the file it came in"),
        sa.Column(
            "line", sa.BigInteger(), nullable=False, comment="physical line of the file; 1 is the header"
        ),
        sa.Column("code", sa.Text(), nullable=False, comment="what is wrong with it, such as COLUMN_COUNT"),
        sa.Column(
            "text",
            sa.Text(),
            nullable=False,
            comment="the line as delivered; NUL and undecodable bytes as \\xNN",
        ),
        sa.PrimaryKeyConstraint("batch_id", "line", name=op.f("pk_lines_malformed")),
        schema="raw",
        comment="A structurally broken line of a file loaded with --skip-malformed. One row per such line.",
    )
    op.add_column(
        "batches",
        sa.Column(
            "pruned_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its rows were removed from raw to save space; null while they are there",
        ),
        schema="raw",
    )
    op.add_column(
        "batches",
        sa.Column(
            "malformed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="structurally broken lines set aside in raw.lines_malformed",
        ),
        schema="raw",
    )
    op.alter_column(
        "batches",
        "rows_read",
        existing_type=sa.BIGINT(),
        comment="rows of the file after the header, malformed lines among them",
        existing_comment="rows of the file after the header",
        existing_nullable=False,
        schema="raw",
    )
    op.alter_column(
        "batches",
        "rejected",
        existing_type=sa.BIGINT(),
        comment="rows set aside: malformed lines, and those with reasons in staging.orders_rejected",
        existing_comment="rows set aside, with reasons in staging.orders_rejected",
        existing_nullable=True,
        schema="raw",
    )
    op.alter_column(
        "runs",
        "command",
        existing_type=sa.TEXT(),
        comment="what was asked for: run, load, stage, build, check or prune",
        existing_comment="what was asked for: run, load, stage, build or check",
        existing_nullable=False,
        schema="raw",
    )


def downgrade() -> None:
    refuse_loss(down_revision, "raw.lines_malformed", "malformed lines that were set aside")
    refuse_loss(down_revision, "raw.batches WHERE pruned_at IS NOT NULL", "batches that were pruned")
    op.alter_column(
        "runs",
        "command",
        existing_type=sa.TEXT(),
        comment="what was asked for: run, load, stage, build or check",
        existing_comment="what was asked for: run, load, stage, build, check or prune",
        existing_nullable=False,
        schema="raw",
    )
    op.alter_column(
        "batches",
        "rejected",
        existing_type=sa.BIGINT(),
        comment="rows set aside, with reasons in staging.orders_rejected",
        existing_comment="rows set aside: malformed lines, and those with reasons in staging.orders_rejected",
        existing_nullable=True,
        schema="raw",
    )
    op.alter_column(
        "batches",
        "rows_read",
        existing_type=sa.BIGINT(),
        comment="rows of the file after the header",
        existing_comment="rows of the file after the header, malformed lines among them",
        existing_nullable=False,
        schema="raw",
    )
    op.drop_column("batches", "malformed", schema="raw")
    op.drop_column("batches", "pruned_at", schema="raw")
    op.drop_table("lines_malformed", schema="raw")


def refuse_loss(below: str, rows: str, what: str) -> None:
    """Refuse to go back to a revision that cannot hold what is there; on the way to base all of it goes."""
    number = op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {rows}"))
    if number and op.get_context().opts["destination_rev"] != "base":
        raise CommandError(
            f"revision {below} cannot hold what is there: {what} ({number}); --down goes to base"
        )
