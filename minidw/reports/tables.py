"""Rows as a table where it fits into the width, otherwise a card for each."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from minidw.errors import printable
from minidw.reports.values import texts

Rows = Sequence[Mapping[str, Any]]
_INDENT = "  "
_BETWEEN = " · "


def print_text(console: Console, text: str, *, bold: bool = False) -> None:
    """A line: what of it would control the terminal is shown escaped."""
    console.print(Text(printable(text), style="bold" if bold else ""))


def print_rows(console: Console, rows: Rows, title: str | None = None) -> None:
    """Rows of the same columns, numbers to the right; nothing where there are none."""
    if not rows:
        return
    if title:
        print_text(console, title, bold=True)
    names = list(rows[0])
    columns = {name: texts(name, [row[name] for row in rows]) for name in names}
    width = sum(3 + max(map(cell_len, (name, *columns[name]))) for name in names) + 1
    if width <= console.width:
        console.print(_table(columns, rows))
        return
    for values in zip(*columns.values(), strict=True):
        for line in _card(
            [f"{name} {value}" for name, value in zip(names, values, strict=True)], console.width
        ):
            console.print(Text(line), soft_wrap=True)


def _table(columns: dict[str, list[str]], rows: Rows) -> Table:
    table = Table(header_style="bold")
    for name in columns:
        is_number = any(isinstance(row[name], Number) for row in rows)
        table.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
    for values in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, values))
    return table


def _card(pairs: list[str], width: int) -> Iterator[str]:
    """Name and value, as many to a line as fit; the lines after the first are indented."""
    room = max(width, 20) - len(_INDENT)
    pieces = [
        piece for pair in pairs for piece in (chop_cells(pair, room) if cell_len(pair) > room else [pair])
    ]
    line = ""
    for piece in pieces:
        if line and cell_len(line + _BETWEEN + piece) > room:
            yield line
            line = _INDENT + piece
        else:
            line = line + _BETWEEN + piece if line else piece
    yield line
