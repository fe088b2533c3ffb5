"""The words that values may be: statuses, fates, segments, and the names of columns."""

from dataclasses import dataclass, fields
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


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
RETURNED = "returned"
"""What staging calls a line that takes back: no delivery says it, its minus does."""
NO_FAULTS = ("OTHER_CURRENCY", "NO_AMOUNT")
"""Reasons to set a row aside that was understood: it does not count towards MAX_REJECT_RATIO."""
CURRENCY_SIGNS = {"€": ("EUR",), "£": ("GBP", "EGP", "GIP", "FKP", "SHP", "SYP", "LBP"), "¥": ("JPY", "CNY")}
"""The currencies that a sign stands for; $ stands for many others."""
PUBLISHED = "published"
"""How a mart was built that was made elsewhere, and put here whole."""
SEGMENTS = ("VIP", "High", "Medium", "Low")


def is_time_zone(name: str) -> bool:
    """Whether there is a time zone of this name, such as America/New_York or UTC."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


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
    "discount",
    "total_amount",
    "status",
    "batch_id",
    "source_row",
)
"""What staging takes from a delivery."""
