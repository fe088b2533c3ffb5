"""The rules of the warehouse once more, in plain Python and from scratch: what every table must hold.

It shares no code with minidw. A delivered row is a dict of texts; the vocabulary of the tests is small
enough to be judged here by simple means.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

Row = dict[str, str]
Key = tuple[str, int]
STATUSES = {"pending", "shipped", "delivered", "cancelled"}


@dataclass(frozen=True)
class Rules:
    """The rules that the tests change. Where there is no last day, it is the one after the load."""

    first: date = date(2000, 1, 1)
    last: date | None = None
    revenue: frozenset[str] = frozenset({"pending", "shipped", "delivered", "returned"})
    vip: Decimal = Decimal(10000)


@dataclass(frozen=True)
class Line:
    """An order line as staging holds it."""

    time: datetime
    customer: str
    product: str
    category: str
    price: Decimal
    quantity: int
    status: str

    @property
    def amount(self) -> Decimal:
        return self.price * self.quantity


def judge(row: Row, rules: Rules, loaded: date) -> tuple[Key | None, Line | None, set[str]]:
    """The key and line of a row loaded on a day, or the reasons to reject it."""
    reasons = set()
    if not (row["order_id"].strip() and row["customer_id"].strip() and row["product_id"].strip()):
        reasons.add("MISSING_KEY")
    price = Decimal(1)
    try:
        price = Decimal(row["price"])
        if not price.is_finite():
            reasons.add("NOT_FINITE")
        elif price <= 0:
            reasons.add("NOT_POSITIVE")
        if price.is_finite() and price != round(price, 4):
            reasons.add("TOO_MANY_DECIMALS")
    except InvalidOperation:
        reasons.add("BAD_NUMBER")
    for text in (row["quantity"], row.get("line_number") or "1"):
        try:
            if whole(text) <= 0:
                reasons.add("NOT_POSITIVE")
        except ValueError:
            reasons.add("BAD_NUMBER")
    time = datetime.min
    try:
        time = datetime.fromisoformat(re.sub(" (?=[-+Z])", "", row["order_timestamp"].replace("UTC", "Z")))
        if time.tzinfo:
            time = time.astimezone(UTC).replace(tzinfo=None)
        if not rules.first <= time.date() <= (rules.last or loaded + timedelta(days=1)):
            reasons.add("OUT_OF_RANGE_DATE")
    except ValueError:
        reasons.add("BAD_TIMESTAMP")
    status = row["status"].strip().lower().replace("canceled", "cancelled")
    if status not in STATUSES:
        reasons.add("UNKNOWN_STATUS")
    if reasons:
        return None, None, reasons
    category = row["category"].strip().lower() or "unknown"
    line = Line(
        time,
        row["customer_id"].strip(),
        row["product_id"].strip(),
        category,
        price,
        whole(row["quantity"]),
        status,
    )
    return (row["order_id"].strip(), whole(row.get("line_number") or "1")), line, set()


def whole(text: str) -> int:
    """A whole number, which may be written with zeros for decimals; ValueError for any other text."""
    if set(text) - set("+-.0123456789"):
        raise ValueError(text)
    integer, _, zeros = text.partition(".")
    if zeros.strip("0") or (not zeros and "." in text):
        raise ValueError(text)
    return int(integer)


@dataclass
class Staging:
    """Everything that staging and the ledger hold after some batches."""

    lines: dict[Key, tuple[Line, int, int]] = field(default_factory=dict)
    rejected: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    fates: dict[int, dict[str, int]] = field(default_factory=dict)


def stage(batches: dict[int, list[Row]], rules: Rules, load_days: dict[int, date] | None = None) -> Staging:
    """All batches judged by the same rules, in the given order; one without a load day is of today."""
    staging = Staging()
    for batch_id, rows in batches.items():
        fates = dict.fromkeys(("inserted", "updated", "unchanged", "superseded", "rejected"), 0)
        delivered: dict[Key, tuple[Line, int]] = {}
        loaded = (load_days or {}).get(batch_id, datetime.now(UTC).date())
        for source_row, row in enumerate(rows, 1):
            key, line, reasons = judge(row, rules, loaded)
            if key is None or line is None:
                staging.rejected[batch_id, source_row] = reasons
                fates["rejected"] += 1
                continue
            fates["superseded"] += key in delivered
            delivered[key] = (line, source_row)
        for key, (line, source_row) in delivered.items():
            held = staging.lines.get(key)
            if held and held[0] == line:
                fates["unchanged"] += 1
                continue
            fates["updated" if held else "inserted"] += 1
            staging.lines[key] = (line, batch_id, source_row)
        staging.fates[batch_id] = fates
    return staging


def marts(staging: Staging, rules: Rules) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every mart."""
    lines = [line for line, _, _ in staging.lines.values() if line.status in rules.revenue]
    days, customers, products = defaultdict(list), defaultdict(list), defaultdict(list)
    for line in lines:
        days[line.time.date()].append(line)
        customers[line.customer].append(line)
        products[line.product, line.category].append(line)
    value = {customer: sum(line.amount for line in own) for customer, own in customers.items()}
    return {
        "daily_revenue": {(day, sum(o.amount for o in own), len(own)) for day, own in days.items()},
        "customer_ltv": {
            (customer, value[customer], len(own), min(o.time for o in own), max(o.time for o in own))
            for customer, own in customers.items()
        },
        "product_revenue": {
            (*key, sum(o.amount for o in own), sum(o.quantity for o in own), len(own))
            for key, own in products.items()
        },
        "customer_segments": {
            (customer, value[customer], segment(value[customer], rules)) for customer in value
        },
    }


def segment(value: Decimal | int, rules: Rules) -> str:
    """The segment of a lifetime value."""
    if value >= rules.vip:
        return "VIP"
    return "High" if value >= 3000 else "Medium" if value >= 500 else "Low"


__all__ = ["Line", "Row", "Rules", "Staging", "judge", "marts", "replace", "segment", "stage"]
