"""Rows of a program, mappings or a data frame → the CSV text that they are surveyed, hashed and loaded as.

The text is RFC 4180 in UTF-8, so that the same rows are recognised however they came.
"""

import csv
import io
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any, Protocol
from uuid import UUID

from minidw.errors import BadFileError, printable

CHUNK = 128 * 1024  # characters
ROWS_AT_ONCE = 10_000  # of a frame, as Python values


class ArrowStream(Protocol):
    """What hands itself over as Arrow: a frame of pandas or polars, a table of pyarrow, and more."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


class _RowError(Exception):
    """Why a row cannot be written."""


def mappings_as_csv(rows: Iterable[Mapping[str, Any]], file: str, mark: str) -> Generator[bytes, None, None]:
    """Mappings from column to value. Their columns are those of the first; where a later one lacks one, it is
    blank. Raises BadFileError for what is no such row."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return
    header = list(_mapping(first, 1, file))
    columns = set(header)

    def values() -> Iterator[list[Any]]:
        for number, row in enumerate(chain([first], remaining), 1):
            if unknown := _mapping(row, number, file).keys() - columns:
                shown = ", ".join(sorted(printable(str(name)) for name in unknown))
                raise _refusal(file, number, f"the first row has no column {shown}")
            yield [row.get(name) for name in header]

    yield from _csv(header, values(), file, mark)


def frame_as_csv(frame: ArrowStream, file: str, mark: str) -> Generator[bytes, None, None]:
    """A frame, by Arrow. The unnamed index of pandas is no column. Raises BadFileError."""
    try:
        import pyarrow
    except ImportError:
        message = "to read a data frame, pip install 'minidw[arrow]'"
        raise BadFileError(file, "UNREADABLE", message) from None
    try:
        reader = pyarrow.RecordBatchReader.from_stream(frame)
        header = [name for name in reader.schema.names if not name.startswith("__index_level_")]
        yield from _csv(header, _values(reader, header), file, mark)
    except (pyarrow.ArrowException, pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as error:
        message = f"no table for Arrow: {printable(str(error).splitlines()[0])}"
        raise BadFileError(file, "NOT_A_ROW", message) from None


def _values(reader: Any, header: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    import pyarrow

    for batch in reader:
        columns = []
        for name in header:
            column = batch.column(batch.schema.get_field_index(name))
            if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
                # Python's times have microseconds; what would lose digits is refused.
                column = column.cast(pyarrow.timestamp("us", column.type.tz))
            columns.append(column)
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            yield from zip(*(part.slice(start, ROWS_AT_ONCE).to_pylist() for part in columns), strict=True)


def _csv(
    header: Sequence[str], rows: Iterable[Sequence[Any]], file: str, mark: str
) -> Generator[bytes, None, None]:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)

    for number, row in enumerate(rows, 1):
        try:
            writer.writerow([_text(value, mark) for value in row])
        except _RowError as error:
            raise _refusal(file, number, str(error)) from None
        if buffer.tell() >= CHUNK:
            yield _taken(buffer, file)
    yield _taken(buffer, file)


def _taken(buffer: io.StringIO, file: str) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"a text has {printable(text[error.start])}, which UTF-8 cannot spell"
        raise BadFileError(file, "NOT_A_ROW", message) from None


def _text(value: Any, mark: str) -> str:
    """A value as a CSV has it: numbers with all their digits and the decimal mark of the feed, ISO times."""
    match value:
        case Enum():
            return _text(value.value, mark)
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | UUID():
            return str(value)
        case float():
            text = float.__repr__(value)
            return (format(Decimal(text), "f") if "e" in text else text).replace(".", mark)
        case Decimal():
            return format(value, "f").replace(".", mark)
        case datetime():
            return value.isoformat(sep=" ")
        case date():
            return value.isoformat()
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return _text(value.item(), mark)
    raise _RowError(f"{printable(repr(value))[:60]} is no text, number, time or None")


def _mapping(row: Any, number: int, file: str) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        message = f"{printable(repr(row))[:60]} is no mapping from column to value"
        raise _refusal(file, number, message)
    if names := [name for name in row if not isinstance(name, str)]:
        raise _refusal(file, number, f"a column is named {printable(repr(names[0]))[:60]}, which is no text")
    return row


def _refusal(file: str, number: int, message: str) -> BadFileError:
    return BadFileError(file, "NOT_A_ROW", f"row {number}: {message}")
