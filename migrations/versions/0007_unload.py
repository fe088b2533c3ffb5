"""A batch can be taken back, and another can take its place in the order of deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COMMENTS = {
    ("batches", "sha256"): (
        "SHA-256 of the CSV bytes, hexadecimal; unique among the loads that were not forced",
        "SHA-256 of the CSV bytes, hexadecimal; unique among the loads neither forced nor unloaded",
    ),
    ("runs", "command"): (
        "what was asked for: run, load, stage, build, check, prune or rules",
        "what was asked for: run, load, stage, build, check, prune, rules, unload or erase",
    ),
}


def upgrade() -> None:
    op.add_column(
        "batches",
        sa.Column(
            "in_place_of",
            sa.Integer(),
            nullable=True,
            comment="where it replaced another batch, the batch_id by which it wins: the place of that one",
        ),
        schema="raw",
    )
    op.add_column(
        "batches",
        sa.Column(
            "unloaded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was taken back and its rows removed; its counts are those of then; null until then",
        ),
        schema="raw",
    )
    index("uq_batches_sha256", "sha256", "NOT forced AND unloaded_at IS NULL", old="NOT forced")
    index("uq_batches_in_place_of", "in_place_of", "unloaded_at IS NULL")
    for (table, column), (_, comment) in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN raw.{table}.{column} IS '{comment}'")


def downgrade() -> None:
    earlier = op.get_context().script.get_revision("0002").module
    earlier.refuse_loss(
        down_revision,
        "raw.batches WHERE in_place_of IS NOT NULL AND unloaded_at IS NULL",
        "batches that took the place of another",
    )
    for (table, column), (comment, _) in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN raw.{table}.{column} IS '{comment}'")
    op.drop_index("uq_batches_in_place_of", table_name="batches", schema="raw")
    # What was taken back has no rows, and its bytes may have been loaded again: no earlier revision knows it.
    op.execute(
        "UPDATE raw.runs SET batch_id = NULL WHERE batch_id IN"
        " (SELECT batch_id FROM raw.batches WHERE unloaded_at IS NOT NULL)"
    )
    op.execute("DELETE FROM raw.batches WHERE unloaded_at IS NOT NULL")
    index("uq_batches_sha256", "sha256", "NOT forced", old="NOT forced AND unloaded_at IS NULL")
    op.drop_column("batches", "unloaded_at", schema="raw")
    op.drop_column("batches", "in_place_of", schema="raw")


def index(name: str, column: str, where: str, old: str | None = None) -> None:
    if old is not None:
        op.drop_index(name, table_name="batches", schema="raw", postgresql_where=sa.text(old))
    op.create_index(name, "batches", [column], unique=True, schema="raw", postgresql_where=sa.text(where))
