"""Cheaper writes: summaries instead of a key on raw.orders_all, and free room in the pages of the marts."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MARTS = ("daily_revenue", "customer_ltv", "product_revenue", "customer_segments")


def upgrade() -> None:
    for mart in MARTS:
        op.execute(f"ALTER TABLE mart.{mart} SET (fillfactor = 50)")
    op.drop_constraint("pk_orders_all", "orders_all", schema="raw", type_="primary")
    op.create_index(
        "ix_orders_all_batch_id_source_row",
        "orders_all",
        ["batch_id", "source_row"],
        unique=False,
        schema="raw",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )


def downgrade() -> None:
    op.drop_index(
        "ix_orders_all_batch_id_source_row",
        table_name="orders_all",
        schema="raw",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )
    op.create_primary_key("pk_orders_all", "orders_all", ["batch_id", "source_row"], schema="raw")
    for mart in MARTS:
        op.execute(f"ALTER TABLE mart.{mart} RESET (fillfactor)")
