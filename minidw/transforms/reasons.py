"""What a reason to reject a row says to the person who delivered it: the column, and what is allowed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from minidw.schema.vocabulary import STATUSES
from minidw.transforms.constructs import ASCII_WHITESPACE
from minidw.transforms.rules import INVISIBLE, LONGEST_FIELD, LONGEST_KEY

_KEYS = ("order_id", "customer_id", "product_id")
_NUMBERS = ("price", "quantity", "line_number")
_WHOLE, _WITH_POINT = re.compile(r"[+-]?\d+(\.0+)?", re.ASCII), re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Reason:
    """A reason to reject a row: the columns it can be about, and what is allowed in them.

    ``is_at_fault`` tells which of several columns it is, by name and trimmed text.
    """

    columns: tuple[str, ...]
    allowed: str
    is_at_fault: Callable[[str, str], bool] = lambda _column, _text: True


@dataclass(frozen=True)
class Fault:
    """Why a row was rejected: the reason, the column and the value delivered there, and what is allowed.

    ``column`` is None where the row as a whole is at fault, ``value`` where raw has it no more.
    """

    reason: str
    column: str | None
    value: str | None
    allowed: str


def faults(code: str, delivered: Mapping[str, str | None]) -> list[Fault]:
    """The columns of a delivered row that a reason is about, one at least."""
    reason = REASONS.get(code, Reason((), "see the catalogue of bad input"))
    texts = {column: (delivered.get(column) or "").strip(ASCII_WHITESPACE) for column in reason.columns}
    found = [column for column, text in texts.items() if reason.is_at_fault(column, text)]
    columns: tuple[str | None, ...] = tuple(found) or reason.columns[:1] or (None,)
    return [
        Fault(code, column, delivered.get(column) if column else None, reason.allowed) for column in columns
    ]


def _is_no_number(column: str, text: str) -> bool:
    if column == "line_number" and not text:
        return False
    return not (_WITH_POINT if column == "price" else _WHOLE).fullmatch(text)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text.isascii() else None
    except InvalidOperation:
        return None


def _is_not_positive(_: str, text: str) -> bool:
    number = _number(text)
    return number is not None and number.is_finite() and number <= 0


def _is_large(column: str, text: str) -> bool:
    number = _number(text)
    return number is not None and number.is_finite() and number >= (10**10 if column == "price" else 2**31)


def _is_long(column: str, text: str) -> bool:
    return len(text) > (LONGEST_KEY if column in (*_KEYS, "category") else LONGEST_FIELD)


REASONS = {
    "MISSING_KEY": Reason(_KEYS, "an identifier that is not blank", lambda _, text: not text),
    "INVISIBLE_CHARACTER": Reason(
        _KEYS,
        "an identifier without no-break spaces and characters that cannot be seen",
        lambda _, text: any(character in INVISIBLE for character in text),
    ),
    "FIELD_TOO_LONG": Reason(
        (*_KEYS, "category", "order_timestamp", "price", "quantity", "status"),
        f"{LONGEST_KEY} characters in an identifier or category, 1 MiB elsewhere",
        _is_long,
    ),
    "BAD_NUMBER": Reason(_NUMBERS, "plain digits, such as 12.50; a quantity is whole", _is_no_number),
    "NOT_FINITE": Reason(("price",), "a number, such as 12.50"),
    "OUT_OF_RANGE": Reason(_NUMBERS, "a price below 10000000000, a quantity below 2147483648", _is_large),
    "TOO_MANY_DECIMALS": Reason(("price",), "four decimals"),
    "NOT_POSITIVE": Reason(_NUMBERS, "a number above 0", _is_not_positive),
    "BAD_TIMESTAMP": Reason(("order_timestamp",), "ISO 8601, such as 2024-05-01 10:00:00"),
    "OUT_OF_RANGE_DATE": Reason(("order_timestamp",), "a day within the range that minidw rules shows"),
    "UNKNOWN_STATUS": Reason(("status",), f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}"),
    "REPEATED_HEADER": Reason((), "the header once, as the first line"),
}
"""By code. What stands here is for people: which rows are rejected is decided in ``rules`` alone."""

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
