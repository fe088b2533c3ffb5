"""A customer can be erased; that one was is known by a keyed hash alone."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column(
            "customer_hash",
            sa.Text(),
            nullable=False,
            comment="HMAC-SHA-256 of the customer id under the key of raw.erasure_key, hexadecimal",
        ),
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the customer was erased last",
        ),
        sa.PrimaryKeyConstraint("customer_hash", name=op.f("pk_erasures")),
        schema="raw",
        comment="A customer that was erased, known by a keyed hash alone. One row per customer. A later delivery of the same customer is noticed by it.",
    )
    op.create_table(
        "erasure_key",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False, comment="1"),
        sa.Column(
            "inner_key",
            sa.LargeBinary(),
            nullable=False,
            comment="the key, 64 bytes, each xored with 0x36",
        ),
        sa.Column(
            "outer_key",
            sa.LargeBinary(),
            nullable=False,
            comment="the key, each byte xored with 0x5c",
        ),
        sa.CheckConstraint("key_id = 1", name=op.f("ck_erasure_key_only_one")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_erasure_key")),
        schema="raw",
        comment="The key of the hashes of raw.erasures, in the two forms that HMAC takes it. One row per warehouse. Who has it can try whether somebody was erased: minidw_reader may not read it. Made by the first erasure.",
    )


def downgrade() -> None:
    # What was erased stays so, but nobody would notice a later delivery of the customer any more.
    op.get_context().script.get_revision("0002").module.refuse_loss(
        down_revision, "raw.erasures", "customers that were erased, of whom a later delivery is told"
    )
    op.drop_table("erasure_key", schema="raw")
    op.drop_table("erasures", schema="raw")
