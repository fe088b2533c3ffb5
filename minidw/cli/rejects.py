"""minidw rejects."""

import argparse
import csv
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from minidw.cli.options import Commands, add, reporting, whole_number
from minidw.cli.output import Output
from minidw.errors import SettingsError, printable

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from minidw.reports.rejects import Reject

ROWS_SHOWN = 20
OF_OURS = ("reject_row", "reject_line", "reject_reasons", "reject_text")
"""What is added to the columns of the file; a file that is sent back with them loads all the same."""


def add_rejects(commands: Commands) -> None:
    """minidw rejects [FILE|BATCH]"""
    text = "the rows that were set aside, with the reasons"
    examples = """
        minidw rejects orders.csv                   # those of a file
        minidw rejects 17 --csv > to_correct.csv    # those of a batch, to send back
    """
    command = add(commands, "rejects", rejects, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("of", nargs="?", metavar="FILE|BATCH", help="a file by name, or a batch by number")
    command.add_argument(
        "--csv", action="store_true", help="print them as delivered, as CSV, with the reasons"
    )
    command.add_argument(
        "--limit",
        type=whole_number,
        metavar="N",
        help=f"at most so many rows ({ROWS_SHOWN}; as CSV or JSON all)",
    )


def rejects(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.reports import answers
    from minidw.reports.rejects import found_rejects

    with found_rejects(arguments.of) as (batches, found):
        total = sum(batch["rejected"] or 0 for batch in batches)
        if arguments.csv:
            _print_csv(output, batches, islice(found, arguments.limit))
        elif output.as_json:
            listed = [reject.as_dict() for reject in islice(found, arguments.limit)]
            output.document |= {"total": total, "rejects": listed}
        else:
            shown = list(islice(found, ROWS_SHOWN if arguments.limit is None else arguments.limit))
            answers.print_rejects(output.console, shown, total)
    return 0


def _print_csv(output: Output, batches: Sequence["RowMapping"], found: Iterable["Reject"]) -> None:
    """As delivered to the last character, but on a terminal: data must not control it."""
    headers = {tuple(batch["header"].items()) for batch in batches if batch["rejected"]}
    if len(headers) > 1:
        raise SettingsError("the batches have different headers: name one of them")
    found = iter(found)
    first = next(found, None)
    if first is None:
        return
    ours = [theirs for header in headers for _, theirs in header]
    writer = csv.writer(Exact(output), lineterminator="\n")
    names = list(first.delivered) or ours
    writer.writerow([*names, *OF_OURS])
    for reject in chain([first], found):
        if not reject.delivered.keys() <= set(names):
            raise SettingsError(
                f"batch {reject.batch_id} has other columns than those before: name one batch"
            )
        values = [reject.delivered.get(name) for name in names]
        writer.writerow([*values, reject.row, reject.line, " ".join(reject.reasons), reject.text])


class Exact:
    """Standard output for data: UTF-8 wherever it goes, and escaped on a terminal only."""

    def __init__(self, output: Output) -> None:
        self._out = output.out

    def write(self, text: str) -> int:
        if not self._out.isatty():
            return self._out.write_exactly(text)
        return self._out.write(printable(text.removesuffix("\n")) + "\n")
