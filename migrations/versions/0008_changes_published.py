"""A publication can name a row of staging.orders_changes: its total_amount is stored, not generated.

The server refuses to delete a published row whose identity has a generated column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE staging.orders_changes ALTER COLUMN total_amount DROP EXPRESSION")
    op.create_check_constraint(
        op.f("ck_orders_changes_total_amount_is_the_product"),
        "orders_changes",
        "total_amount = price * quantity",
        schema="staging",
    )


def downgrade() -> None:
    generate_product("orders_changes")


def generate_product(table: str) -> None:
    """The amount of a table is price * quantity again, by the server."""
    op.drop_column(table, "total_amount", schema="staging")
    op.add_column(
        table,
        sa.Column(
            "total_amount",
            sa.Numeric(precision=38, scale=4),
            sa.Computed("price * quantity", persisted=True),
            nullable=False,
            comment="price * quantity",
        ),
        schema="staging",
    )
