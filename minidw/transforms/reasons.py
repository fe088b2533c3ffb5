"""What a reason to reject a row says to the person who delivered it: the column, and what is allowed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from minidw.feed.advice import declare, declare_status
from minidw.feed.column import ASCII_WHITESPACE
from minidw.feed.feed import Dates, Feed, Mark
from minidw.feed.reading import read_number, read_time
from minidw.schema.vocabulary import STATUSES
from minidw.transforms.judge import INVISIBLE, LONGEST_FIELD, LONGEST_KEY

_KEYS = ("order_id", "customer_id", "product_id")
_NUMBERS = ("price", "quantity", "line_number", "discount")


@dataclass(frozen=True)
class Reason:
    """A reason to reject a row: the columns it can be about, and what is allowed in them.

    ``is_at_fault`` tells which of several columns it is, by name, trimmed text and feed; ``advice`` what
    could be declared that would make something of the text.
    """

    columns: tuple[str, ...]
    allowed: str
    is_at_fault: Callable[[str, str, Feed], bool] = lambda *_: True
    advice: Callable[[str, str, Feed], str | None] = lambda *_: None


@dataclass(frozen=True)
class Fault:
    """Why a row was rejected.

    reason: the reason, as a code
    column: the column; None where the row as a whole is at fault
    value: what was delivered there; None where raw has it no more
    allowed: what is allowed there
    advice: what could be declared of the feed instead; None where nothing could

    Example:
        >>> fault = minidw.rejects()[0].faults[0]
        >>> fault.reason, fault.column, fault.value
        ('BAD_NUMBER', 'price', '40,00')
    """

    reason: str
    column: str | None
    value: str | None
    allowed: str
    advice: str | None = None


def faults(code: str, row: Mapping[str, Any], feed: Feed | None = None) -> list[Fault]:
    """The columns of a delivered row that a reason is about, one at least."""
    feed = feed or Feed()
    reason = REASONS.get(code, Reason((), "see the catalogue of bad input"))
    delivered = _as_read(row, feed)
    texts = {column: (delivered.get(column) or "").strip(ASCII_WHITESPACE) for column in reason.columns}
    texts = {column: text for column, text in texts.items() if column in delivered}
    found = [column for column, text in texts.items() if reason.is_at_fault(column, text, feed)]
    columns: tuple[str | None, ...] = tuple(found) or reason.columns[:1] or (None,)
    return [
        Fault(code, column, delivered.get(column), reason.allowed, reason.advice(column, texts[column], feed))
        if column in texts
        else Fault(code, column, None, reason.allowed)
        for column in columns
    ]


def _as_read(row: Mapping[str, Any], feed: Feed) -> dict[str, str | None]:
    """The values of our columns, of which some are made of what ``extra`` keeps."""
    made = {ours: column.text(row.get("extra") or {}) for ours, column in feed.translation.columns}
    return {**row, **made}


def _is_no_number(column: str, text: str, feed: Feed) -> bool:
    if not text and column in ("line_number", "discount"):
        return False
    number = read_number(text, None if column == "line_number" else feed.decimal)
    return number is None or (column in ("quantity", "line_number") and number % 1 != 0)


def _number(column: str, text: str, feed: Feed) -> Decimal | None:
    if column != "line_number" and feed.decimal:
        return read_number(text, feed.decimal)
    try:
        number = Decimal(text) if text.isascii() else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _is_not_positive(column: str, text: str, feed: Feed) -> bool:
    number = _number(column, text, feed)
    return number is not None and (number < 0 if column == "discount" else number <= 0)


def _is_large(column: str, text: str, feed: Feed) -> bool:
    number = _number(column, text, feed)
    return number is not None and abs(number) >= (10**10 if column in ("price", "discount") else 2**31)


def _has_many_decimals(column: str, text: str, feed: Feed) -> bool:
    number = _number(column, text, feed)
    return number is not None and number != round(number, 4)


def _is_long(column: str, text: str, _: Feed) -> bool:
    return len(text) > (LONGEST_KEY if column in (*_KEYS, "category") else LONGEST_FIELD)


def _says_a_currency(column: str, text: str, feed: Feed) -> bool:
    if column == "price":
        return feed.decimal is not None and text.strip("0123456789.,+-() ") != ""
    return column in feed.columns


def _other_mark(column: str, text: str, feed: Feed) -> str | None:
    """Which decimal mark would make a number of a text."""
    marks: tuple[Mark, ...] = (".", ",")
    others = (mark for mark in marks if mark != feed.decimal)
    readings = {mark: number for mark in others if (number := read_number(text, mark)) is not None}
    if column == "line_number" or not readings:
        return None
    return " or ".join(f"{declare('decimal', mark)} reads {number}" for mark, number in readings.items())


def _other_order(_: str, text: str, feed: Feed) -> str | None:
    """Which way of writing times would make one of a text."""
    orders: tuple[Dates, ...] = ("iso", "dmy", "mdy", "ymd", "epoch", "excel")
    readings = {order: time for order in orders if (time := read_time(text, order)) and order != feed.dates}
    if not readings:
        return None
    return " or ".join(f"{declare('dates', order)} reads {time}" for order, time in readings.items())


def _returns_or_gifts(column: str, text: str, feed: Feed) -> str | None:
    number = _number(column, text, feed)
    if number is not None and number < 0 and column in ("price", "quantity") and feed.returns == "reject":
        return f"{declare('returns', 'subtract')} takes it as a return"
    if number == 0 and column == "price" and not feed.free:
        return "free = true (--free) takes it as a gift"
    return None


def _meant(_: str, text: str, __: Feed) -> str | None:
    return f"say what it means: {declare_status(text, '…')}" if len(text) <= 40 else None


REASONS = {
    "MISSING_KEY": Reason(_KEYS, "an identifier that is not blank", lambda _, text, __: not text),
    "INVISIBLE_CHARACTER": Reason(
        _KEYS,
        "an identifier without no-break spaces and characters that cannot be seen",
        lambda _, text, __: any(character in INVISIBLE for character in text),
    ),
    "FIELD_TOO_LONG": Reason(
        (*_KEYS, "category", "order_timestamp", "price", "quantity", "status"),
        f"{LONGEST_KEY} characters in an identifier or category, 1 MiB elsewhere",
        _is_long,
    ),
    "BAD_NUMBER": Reason(
        _NUMBERS, "plain digits, such as 12.50; a quantity is whole", _is_no_number, _other_mark
    ),
    "NOT_FINITE": Reason(("price",), "a number, such as 12.50"),
    "OUT_OF_RANGE": Reason(_NUMBERS, "a price below 10000000000, a quantity below 2147483648", _is_large),
    "TOO_MANY_DECIMALS": Reason(("price", "discount"), "four decimals", _has_many_decimals),
    "NOT_POSITIVE": Reason(_NUMBERS, "a number above 0", _is_not_positive, _returns_or_gifts),
    "BAD_TIMESTAMP": Reason(
        ("order_timestamp",), "ISO 8601, such as 2024-05-01 10:00:00", advice=_other_order
    ),
    "OUT_OF_RANGE_DATE": Reason(("order_timestamp",), "a day within the range that minidw rules shows"),
    "UNKNOWN_STATUS": Reason(("status",), f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}", advice=_meant),
    "OTHER_CURRENCY": Reason(
        ("currency", "price"), "the currency of the warehouse, CURRENCY", _says_a_currency
    ),
    "NO_AMOUNT": Reason(("price",), "an amount, where an order was not cancelled"),
    "REPEATED_HEADER": Reason((), "the header once, as the first line"),
}
"""By code. What stands here is for people: which rows are rejected is decided in ``judge`` alone."""

MALFORMED = {
    "BLANK_LINE": "no blank line between the rows",
    "COLUMN_COUNT": "as many values as the header has columns",
    "ENCODING": "text in the encoding that the file was loaded with",
    "END_MARKER": r"\. within quotes only",
    "MIXED_EOL": "one kind of line end throughout",
    "NUL_BYTE": "no NUL byte",
    "STRAY_QUOTE": "quotes around a whole value, and doubled within it",
    "TRUNCATED": "a last line that is whole",
    "UNTERMINATED_QUOTE": "a closing quote for each that opens",
}
"""What is allowed in a line, by the code of the fault for which it was set aside."""
