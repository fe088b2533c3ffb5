"""Rows as a sheet of a workbook, so that what a person sees there is what the mart holds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from minidw.errors import SettingsError

MOST_ROWS, LONGEST_TEXT, LONGEST_NAME = 1_048_575, 32_767, 31
EXACT_DIGITS = 15
"""What a number of a workbook holds, which is a float; one of more digits is written as text."""
FIRST_YEAR = 1900
"""Of its calendar; an earlier day is written as text."""


def require_library() -> None:
    """Raise SettingsError where xlsxwriter is not installed."""
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise SettingsError("to write a workbook, pip install 'minidw[xlsx]'") from None


def write_sheet(path: Path, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows in bounded memory, under a header that stays in view; returns how many there were."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        formats = {
            Decimal: book.add_format({"num_format": "#,##0.00##"}),
            int: book.add_format({"num_format": "#,##0"}),
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
        }
        sheet = book.add_worksheet(name[:LONGEST_NAME])
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(columns) - 1, 18)
        for place, column in enumerate(columns):
            sheet.write_string(0, place, column, book.add_format({"bold": True}))
        number = 0
        for number, row in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise SettingsError(
                    f"{name} has more than {MOST_ROWS:,} rows, which a sheet holds: take csv or parquet"
                )
            for place, column in enumerate(columns):
                _write(sheet, (number, place), row[column], formats)
    return number


def _write(sheet: Any, cell: tuple[int, int], value: Any, formats: Mapping[type, Any]) -> None:
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(*cell, value)
        case int() | Decimal() if _is_exact(value):
            sheet.write_number(*cell, float(value), formats[type(value)])
        case datetime() if value.year >= FIRST_YEAR:
            utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            sheet.write_datetime(*cell, utc, formats[datetime])
        case date() if value.year >= FIRST_YEAR and not isinstance(value, datetime):
            sheet.write_datetime(*cell, value, formats[date])
        case _:
            # As a text, never as a formula, whatever it begins with.
            if len(str(value)) > LONGEST_TEXT:
                raise SettingsError(
                    f"a text of more than {LONGEST_TEXT:,} characters fits into no cell: take csv or parquet"
                )
            sheet.write_string(*cell, str(value))


def _is_exact(value: int | Decimal) -> bool:
    number = Decimal(value)
    return number.is_finite() and len(number.normalize().as_tuple().digits) <= EXACT_DIGITS
