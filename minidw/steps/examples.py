"""Why rows of a batch were rejected: how many for each reason, and the first of them to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from minidw.errors import printable
from minidw.feed.feed import Feed
from minidw.transforms import rejects
from minidw.transforms.reasons import MALFORMED, faults

LONGEST_VALUE = 60


@dataclass(frozen=True)
class Example:
    """The first row of a batch that was rejected for a reason, or the first line that was set aside.

    reason: the reason, as a code
    row: its position among the rows of the file, from 1; None for a malformed line
    line: of a malformed line, its position among the lines of the file
    column: the column that is at fault; None where the row as a whole is
    value: what was delivered there, or the line, shortened
    allowed: what should be there
    advice: what could be declared of the feed instead; None where nothing could

    Example:
        >>> unloaded = minidw.unload(1)
        >>> example = minidw.run("orders.csv").staged[0].examples[0]
        >>> example.reason, example.row, example.column, example.value
        ('BAD_NUMBER', 5, 'price', '40,00')
    """

    reason: str
    row: int | None
    line: int | None
    column: str | None
    value: str | None
    allowed: str
    advice: str | None = None

    def __str__(self) -> str:
        """``BAD_NUMBER: row 2, price 'ten'; allowed: plain digits, such as 12.50``"""
        place = f"row {self.row}" if self.line is None else f"line {self.line}"
        value = f" '{printable(self.value or '')}'" if self.column else ""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.reason}: {place}, {self.column or 'all of it'}{value}; allowed: {self.allowed}{advice}"


def explain_rejects(conn: Connection, batch_id: int, feed: Feed) -> tuple[dict[str, int], list[Example]]:
    """The number of rows by reason, malformed lines first and then the most frequent; an example of each."""
    batch = {"batch_id": batch_id}
    codes = conn.execute(rejects.malformed_codes(), batch).all()
    reasons = conn.execute(rejects.reject_reasons(), batch).all()
    examples = []
    if codes:
        lines = conn.execute(rejects.malformed_lines({line for _, _, line in codes}), batch)
        for line, code, text in lines:
            allowed = MALFORMED.get(code, "")
            examples.append(Example(code, None, line, "line", shortened(text), allowed))
    if reasons:
        found = conn.execute(rejects.delivered_rows({row for _, _, row in reasons}), batch).mappings()
        delivered = {row["source_row"]: dict(row) for row in found}
        examples += [example_of(reason, row, delivered[row], feed) for reason, _, row in reasons]
    return {reason: rows for reason, rows, _ in (*codes, *reasons)}, examples


def example_of(reason: str, row: int, delivered: Mapping[str, Any], feed: Feed) -> Example:
    """A row, as it was delivered, as the example of a reason."""
    fault = faults(reason, delivered, feed)[0]
    value = shortened(fault.value) if fault.value is not None else None
    return Example(reason, row, None, fault.column, value, fault.allowed, fault.advice)


def shortened(text: str) -> str:
    """A value to look at: some are megabytes."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
