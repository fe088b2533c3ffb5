"""The rules of the warehouse once more, in plain Python and from scratch: what every table must hold.

It shares no code with minidw. A delivered row is a dict of texts; what a text says is read by ``plain``.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.support import plain

Row = dict[str, str]
Key = tuple[str, int]
UNSEEN = "\u00a0\u202f\u200b"
STATUSES = {"pending", "shipped", "delivered", "cancelled"}


@dataclass(frozen=True)
class Rules:
    """The rules that the tests change. Where there is no last day, it is the one after the load."""

    first: date = date(2000, 1, 1)
    last: date | None = None
    revenue: frozenset[str] = frozenset({"pending", "shipped", "delivered", "returned"})
    vip: Decimal = Decimal(10000)
    currency: str | None = None
    zone: str = "UTC"


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
    discount: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Batch:
    """Rows of our columns as texts, and the declaration by which they are read."""

    rows: list[Row]
    feed: dict[str, Any] = field(default_factory=dict)


def judge(
    row: Row, rules: Rules, loaded: date, feed: dict[str, Any] | None = None
) -> tuple[Key | None, Line | None, set[str]]:
    """The key and line of a row loaded on a day, or the reasons to reject it."""
    feed = feed or {}
    values = feed.get("values", {})
    statuses = {theirs.lower(): ours for theirs, ours in feed.get("status", {}).items()}
    texts = {name: text.strip(plain.BLANK) for name, text in row.items()}
    status = texts["status"].lower()
    status = statuses.get(status, status).replace("canceled", "cancelled")
    if is_translated(feed) and status == "cancelled" and not texts["price"]:
        return None, None, {"NO_AMOUNT"}
    reasons = set()
    if not (texts["order_id"] and texts["customer_id"] and texts["product_id"]):
        reasons.add("MISSING_KEY")
    if any(unseen in texts[name] for name in ("order_id", "customer_id", "product_id") for unseen in UNSEEN):
        reasons.add("INVISIBLE_CHARACTER")
    mark = values.get("decimal")
    price, discount = (plain.number(texts.get(name, ""), mark) for name in ("price", "discount"))
    quantity = _quantity(texts["quantity"], mark)
    number = plain.whole(texts["line_number"]) if texts.get("line_number") else 1
    if not texts.get("discount"):
        discount = Decimal(0)
    if price is None and texts["price"].lstrip("+-").lower() in ("nan", "inf", "infinity"):
        reasons.add("NOT_FINITE")
    elif None in (price, quantity, number, discount):
        reasons.add("BAD_NUMBER")
    if None in (quantity, number, discount):
        reasons.add("BAD_NUMBER")
    if any(amount is not None and amount != round(amount, 4) for amount in (price, discount)):
        reasons.add("TOO_MANY_DECIMALS")
    size = abs if values.get("returns") == "subtract" else Decimal
    if any(amount is not None and size(amount) >= 10**10 for amount in (price, discount)) or any(
        count is not None and size(count) >= 2**31 for count in (quantity, number)
    ):
        reasons.add("OUT_OF_RANGE")
    if not _is_positive(price, quantity, discount, values) or (number is not None and number <= 0):
        reasons.add("NOT_POSITIVE")
    order, zone = values.get("dates", "iso"), values.get("time_zone", "UTC")
    time = plain.time(texts["order_timestamp"], order, zone)
    if time is None:
        reasons.add("BAD_TIMESTAMP")
    elif not rules.first <= time.date() <= (rules.last or loaded + timedelta(days=1)):
        reasons.add("OUT_OF_RANGE_DATE")
    if status not in STATUSES:
        reasons.add("UNKNOWN_STATUS")
    if rules.currency and mark and price is not None and not plain.may_be(texts["price"], rules.currency):
        reasons.add("OTHER_CURRENCY")
    if "currency" in texts and texts["currency"].lower() != (rules.currency or "").lower():
        reasons.add("OTHER_CURRENCY")
    if reasons or price is None or quantity is None or number is None or discount is None or time is None:
        return None, None, reasons
    category = texts["category"].lower() or "unknown"
    amounts = _amounts(price, quantity, discount, status, values)
    line = Line(time, texts["customer_id"], texts["product_id"], category, *amounts)
    return (texts["order_id"], number), line, set()


def is_translated(feed: dict[str, Any]) -> bool:
    """Whether a feed says anything of the values of a row."""
    columns = feed.get("columns", {})
    kept = [column for column in columns.values() if not isinstance(column, str) and column != {"value": ""}]
    values = {key for key in feed.get("values", {}) if key != "lines"}
    return bool(kept or values or feed.get("status") or {"discount", "currency"} & columns.keys())


def _quantity(text: str, mark: str | None) -> int | None:
    """A whole number, written as numbers are in the feed."""
    if mark is None:
        return plain.whole(text)
    number = plain.number(text, mark)
    return int(number) if number is not None and number == number.to_integral_value() else None


def _is_positive(
    price: Decimal | None, quantity: int | None, discount: Decimal | None, values: dict[str, Any]
) -> bool:
    """Whether what a row comes to may be so; what is no number is no fault here."""
    free, subtracts = values.get("free", False), values.get("returns") == "subtract"
    back = subtracts and ((price or 0) < 0 or (quantity or 0) < 0)
    if quantity is not None and (quantity == 0 or (quantity < 0 and not subtracts)):
        return False
    if price is not None and (price == 0 and not (free and not back)):
        return False
    if price is not None and price < 0 and not subtracts:
        return False
    if values.get("price_is") != "line" and back and min(price or 0, 0) < 0 and min(quantity or 0, 0) < 0:
        return False
    if discount is not None and discount < 0 and not back:
        return False
    of_line = values.get("price_is") == "line"
    if discount is None or price is None or (quantity is None and not of_line):
        return True
    *_, amount = _amounts(price, quantity or 1, discount, "", values)
    if back:
        return amount < 0
    return amount > 0 or (free and amount == 0)


def _amounts(
    price: Decimal, quantity: int, discount: Decimal, status: str, values: dict[str, Any]
) -> tuple[Decimal, int, str, Decimal, Decimal]:
    """Price of a unit, quantity, status, discount and amount as they are staged."""
    of_line = values.get("price_is") == "line"
    if values.get("returns") == "subtract" and (price < 0 or quantity < 0):
        price, quantity, status = abs(price), -abs(quantity), "returned"
        gross = -price if of_line else price * quantity
    else:
        gross = price if of_line else price * quantity
    unit = (price / abs(quantity)).quantize(Decimal("0.0001"), ROUND_HALF_UP) if of_line else price
    return unit, quantity, status, discount, gross - discount


@dataclass
class Staging:
    """Everything that staging and the ledger hold after some batches."""

    lines: dict[Key, tuple[Line, int, int]] = field(default_factory=dict)
    rejected: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    fates: dict[int, dict[str, int]] = field(default_factory=dict)


def stage(
    batches: Mapping[int, list[Row] | Batch], rules: Rules, load_days: dict[int, date] | None = None
) -> Staging:
    """All batches judged by the same rules, each by its feed, in the given order.

    One without a load day is of today.
    """
    staging = Staging()
    for batch_id, delivery in batches.items():
        batch = delivery if isinstance(delivery, Batch) else Batch(delivery)
        fates = dict.fromkeys(("inserted", "updated", "unchanged", "superseded", "rejected"), 0)
        delivered: dict[Key, tuple[Line, int]] = {}
        loaded = (load_days or {}).get(batch_id, datetime.now(UTC).date())
        for source_row, row in enumerate(batch.rows, 1):
            key, line, reasons = judge(row, rules, loaded, batch.feed)
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
        there = line.time.replace(tzinfo=UTC).astimezone(ZoneInfo(rules.zone))
        days[there.date()].append(line)
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


__all__ = ["Batch", "Line", "Row", "Rules", "Staging", "judge", "marts", "replace", "segment", "stage"]
