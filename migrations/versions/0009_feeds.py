"""Feeds: the declaration of each batch, discounts, amounts that are stored, and lines that were returned."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OF_LINES = ("orders_stg", "orders_changes")
PRODUCT = "ck_orders_changes_total_amount_is_the_product"
COMMENTS = {  # table, column: after, before
    **{
        (table, column): comments
        for table in OF_LINES
        for column, comments in {
            "price": (
                "price of one unit; of the amount of a whole line, rounded to four decimals",
                "price of one unit",
            ),
            "quantity": ("units ordered; below zero where they came back", "units ordered"),
            "total_amount": (
                "price * quantity - discount, or what was delivered as the amount of the line",
                "price * quantity",
            ),
            "status": (
                "pending, shipped, delivered or cancelled; returned for a line that takes back",
                "pending, shipped, delivered or cancelled",
            ),
        }.items()
    },
    ("orders_totals", "status"): (
        "pending, shipped, delivered, cancelled or returned",
        "pending, shipped, delivered or cancelled",
    ),
    ("orders_totals", "quantity"): ("units ordered, less those returned", "units ordered"),
}
BEFORE = {
    "price_positive_and_finite": "price > 0 AND price < 'Infinity'",
    "quantity_positive": "quantity > 0",
    "status_known": "status IN ('pending', 'shipped', 'delivered', 'cancelled')",
}
AFTER = {
    "price_not_negative_and_finite": "price >= 0 AND price < 'Infinity'",
    "negative_if_returned": (
        "CASE status WHEN 'returned' THEN quantity < 0 AND total_amount < 0"
        " ELSE quantity > 0 AND total_amount >= 0 END"
    ),
    "total_amount_adds_up": (
        "total_amount = price * quantity - discount"
        " OR abs(total_amount - (price * quantity - discount)) <= 0.00005 * abs(quantity)"
    ),
    "status_known": "status IN ('pending', 'shipped', 'delivered', 'cancelled', 'returned')",
}

UNKNOWN_BEFORE = "status = 'returned' OR discount <> 0 OR total_amount <> price * quantity OR price = 0"
LINES = "SELECT status, discount, total_amount, price, quantity FROM staging."
HELD_HERE_ONLY = {
    # How the file was written matters no more: raw has its text.
    "raw.batches WHERE feed - 'file' <> '{}' AND unloaded_at IS NULL": "batches that were read by a declaration",
    f"({LINES}orders_stg UNION ALL {LINES}orders_changes) AS lines WHERE {UNKNOWN_BEFORE}": (
        "lines that were returned, or whose amount is another than price * quantity"
    ),
    "(SELECT DISTINCT ON (name) * FROM raw.rules ORDER BY name, version DESC) AS r"
    " WHERE name IN ('CURRENCY', 'TIME_ZONE') AND origin <> 'default'": "rules of currency or time zone",
}


def upgrade() -> None:
    op.add_column(
        "batches",
        sa.Column(
            "feed",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the declaration by which it is read, without the defaults; null where it keeps to the contract",
        ),
        schema="raw",
    )
    op.execute("ALTER TABLE staging.orders_stg ALTER COLUMN total_amount DROP EXPRESSION")
    op.drop_constraint(op.f(PRODUCT), "orders_changes", schema="staging", type_="check")
    for table in OF_LINES:
        op.add_column(
            table,
            sa.Column(
                "discount",
                sa.Numeric(precision=14, scale=4),
                server_default="0",
                nullable=False,
                comment="amount off the line",
            ),
            schema="staging",
        )
    replace(BEFORE, AFTER)
    # There is none yet, so that no number changes; where somebody decided otherwise, that stands.
    op.execute(
        "UPDATE raw.rules SET value = value || ',returned'"
        " WHERE name = 'REVENUE_STATUSES' AND value = 'pending,shipped,delivered' AND origin <> 'set'"
    )
    for (table, column), (after, _) in COMMENTS.items():
        comment(f"staging.{table}.{column}", after)
    comment_days("(in the zone TIME_ZONE)", "in the zone TIME_ZONE")


def downgrade() -> None:
    scripts = op.get_context().script
    for rows, what in HELD_HERE_ONLY.items():
        scripts.get_revision("0002").module.refuse_loss(down_revision, rows, what)
    for table in OF_LINES:
        # There are such on the way to base only, and there they go with all the others.
        op.execute(f"DELETE FROM staging.{table} WHERE {UNKNOWN_BEFORE}")
    comment_days("(UTC)", "UTC")
    for (table, column), (_, before) in COMMENTS.items():
        comment(f"staging.{table}.{column}", before)
    op.execute("UPDATE raw.rules SET value = replace(value, ',returned', '') WHERE name = 'REVENUE_STATUSES'")
    replace(AFTER, BEFORE)
    for table in OF_LINES:
        op.drop_column(table, "discount", schema="staging")
    scripts.get_revision("0008").module.generate_product("orders_stg")
    op.execute("UPDATE staging.orders_changes SET total_amount = price * quantity")
    op.create_check_constraint(
        op.f(PRODUCT), "orders_changes", "total_amount = price * quantity", schema="staging"
    )
    op.drop_column("batches", "feed", schema="raw")


def replace(old: dict[str, str], new: dict[str, str]) -> None:
    """Other constraints of staging.orders_stg."""
    for name in old:
        op.drop_constraint(op.f(f"ck_orders_stg_{name}"), "orders_stg", schema="staging", type_="check")
    for name, condition in new.items():
        op.create_check_constraint(op.f(f"ck_orders_stg_{name}"), "orders_stg", condition, schema="staging")


def comment_days(of_table: str, of_column: str) -> None:
    op.execute(
        f"COMMENT ON TABLE mart.daily_revenue IS 'Revenue per day. One row per order date {of_table}.'"
    )
    comment("mart.daily_revenue.order_date", f"day of the orders, {of_column}")


def comment(column: str, text: str) -> None:
    op.execute(f"COMMENT ON COLUMN {column} IS '{text}'")
