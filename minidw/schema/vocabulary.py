"""The words that values may be: statuses, fates, segments, and the names of columns."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Fates:
    """What became of the rows of a batch: each row has one fate, so they add up to the rows read."""

    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int


FATES = tuple(field.name for field in fields(Fates))
ADMITTED_FATES = tuple(fate for fate in FATES if fate != "rejected")
STATUSES = ("pending", "shipped", "delivered", "cancelled")
SEGMENTS = ("VIP", "High", "Medium", "Low")

REQUIRED_COLUMNS = (
    "order_id",
    "order_timestamp",
    "customer_id",
    "product_id",
    "category",
    "price",
    "quantity",
    "status",
)

FEED_COLUMNS = (*REQUIRED_COLUMNS, "line_number")
RAW_COLUMNS = (*FEED_COLUMNS, "extra")

CONTRACT_COLUMNS = (*FEED_COLUMNS, "discount", "currency")
"""What a feed may deliver; the last two only where it says which column they are."""

OPTIONAL_COLUMNS = ("category", "line_number", "discount", "currency")
"""Those that may be blank throughout."""

STAGED_COLUMNS = (
    "order_id",
    "line_number",
    "order_timestamp",
    "customer_id",
    "product_id",
    "category",
    "price",
    "quantity",
    "status",
    "batch_id",
    "source_row",
)
"""What staging takes from a delivery; ``total_amount`` follows from it."""
