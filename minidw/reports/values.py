"""Values as a person reads them; JSON has them as they are."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from minidw.errors import printable

NOTHING = "-"
NOT_SET = "not set"
NUMBERS_THAT_NAME = ("batch_id", "batch", "source_row", "row", "line_number", "line", "process")
"""Columns of whole numbers that are looked up, not added up: no thousands separators."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``2,000 rows``, ``3 batches``."""
    if number == 1:
        return f"1 {one}"
    return f"{number:,} {many or one + ('es' if one.endswith(('ch', 's', 'x')) else 's')}"


def texts(name: str, values: Sequence[Any]) -> list[str]:
    """The values of a column, alike: decimals as one of them needs, times no finer than the finest."""
    decimals = _decimals([value for value in values if isinstance(value, Decimal)])
    times = _time_format([value for value in values if isinstance(value, datetime)])

    def text(value: Any) -> str:
        match value:
            case None:
                return NOTHING
            case bool():
                return "yes" if value else "no"
            case int():
                return str(value) if name in NUMBERS_THAT_NAME else f"{value:,}"
            case Decimal():
                return f"{value:,.{decimals}f}"
            case float():
                return f"{value:,.2f}"
            case datetime():
                return _in_utc(value).strftime(times)
            case date():
                return value.isoformat()
            case list() | tuple():
                return printable(", ".join(map(str, value)))
            case _:
                return printable(str(value))

    return [text(value) for value in values]


def money(value: Decimal) -> str:
    """One amount: two decimals where no more are used."""
    return texts("", [value])[0]


def _decimals(values: Sequence[Decimal]) -> int:
    """Two, as money has; four, or more, where one of the values uses more than two."""
    used = max((_used_decimals(value) for value in values), default=0)
    return 2 if used <= 2 else max(4, used)


def _used_decimals(value: Decimal) -> int:
    _, _, point = f"{value:f}".rstrip("0").partition(".")
    return len(point) if "." in f"{value:f}" else 0


def _time_format(values: Sequence[datetime]) -> str:
    """Of what a clock wrote, the fraction of a second is noise; of what was delivered, it is not."""
    if any(value.microsecond for value in values if value.tzinfo is None):
        return "%Y-%m-%d %H:%M:%S.%f"
    if any(value.second for value in values):
        return "%Y-%m-%d %H:%M:%S"
    return "%Y-%m-%d %H:%M" if any(value.time() != time() for value in values) else "%Y-%m-%d"


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC)
