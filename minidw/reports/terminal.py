"""What a person looks at in a terminal: the summary of a run, and tables of rows."""

from typing import Any

from rich.console import Console
from rich.table import Table

from minidw.pipeline import Result
from minidw.proofs.preview import Preview, RowChange
from minidw.proofs.verify import Verified
from minidw.reports.data import Rows
from minidw.schema.vocabulary import FATES
from minidw.steps.check import Checked
from minidw.steps.stage import Staged

LONGEST_LIST = 20


def print_result(console: Console, result: Result) -> None:
    """The summary of a command."""
    if result.file is not None:
        loaded = result.loaded
        if loaded.skipped:
            console.print(
                f"{loaded.file}: the same bytes were loaded before, as batch {loaded.batch_id}; skipped"
            )
        else:
            console.print(f"{loaded.file}: batch {loaded.batch_id}, {loaded.rows_read:,} rows")
            if loaded.malformed:
                console.print(f"  {loaded.malformed:,} malformed lines set aside in raw.lines_malformed")
            if not loaded.rows_read:
                console.print("  warning: the file has a header and no rows")
    if result.replayed is not None:
        again = result.replayed
        console.print(
            f"judged {again.batches} earlier batches again ({again.reason}):"
            f" {again.appeared:,} order lines appeared, {again.ceased:,} ceased,"
            f" {again.rejected:,} rows are rejected"
        )
        if again.pruned:
            console.print(f"  note: {again.pruned} pruned batches stand as they were judged before")
    for staged in result.staged:
        _print_fates(console, staged)
    if result.command == "stage" and not result.staged:
        console.print("nothing to stage")
    if result.built:
        rows = [
            {
                "mart": f"mart.{b.mart}",
                "rows": b.rows,
                "build": b.method,
                "because": b.reason,
                "seconds": f"{b.seconds:.2f}",
            }
            for b in result.built
        ]
        print_rows(console, rows)
    print_checks(console, result.checked)
    if result.command == "prune":
        batches = len(result.pruned.batch_ids)
        console.print(f"pruned {batches} batches: {result.pruned.rows:,} rows removed from raw")
    console.print("time: " + ", ".join(f"{step} {seconds:.2f} s" for step, seconds in result.seconds.items()))


def print_preview(console: Console, preview: Preview) -> None:
    """What a run would do, and the rows it would change, old and new values side by side."""
    print_result(console, preview.result)
    for mart in preview.marts:
        title = f"mart.{mart.mart}: {mart.gained:,} rows gained, {mart.lost:,} lost, {mart.changed:,} changed"
        rows = [change.key | _old_and_new(change) for change in mart.rows]
        if rows:
            print_rows(console, rows, title)
        else:
            console.print(title)
    console.print("a preview: nothing was stored")


def _old_and_new(change: RowChange) -> dict[str, str]:
    """Each value, and what it was where it differs; - where there is no row."""
    old, new = change.before or {}, change.after or {}
    return {
        name: _text(new[name])
        if old.get(name) == new.get(name)
        else f"{_text(old.get(name))} → {_text(new.get(name))}"
        for name in old or new
    }


def print_verified(console: Console, verified: Verified) -> None:
    """The differing rows of each table, or that there are none."""
    for table in verified.tables:
        rows = [{"side": d.side, **d.row} for d in verified.differences if d.table == table]
        shown = f", the first {LONGEST_LIST} of them" if len(rows) > LONGEST_LIST else ""
        print_rows(console, rows[:LONGEST_LIST], f"{table}: {len(rows):,} differing rows{shown}")
    if verified.changes_waiting:
        console.print(
            f"{verified.changes_waiting:,} changes wait: the marts are behind staging until a build"
        )
    if verified.lines_beyond_raw:
        lines = f"{verified.lines_beyond_raw:,} order lines"
        console.print(f"{lines} cannot be compared with raw any more: their batches were pruned")
    if not verified.differences:
        console.print(f"no differing rows in {', '.join(verified.tables)}")


def print_lines(console: Console, lines: Rows) -> None:
    """The order lines behind a row of a mart, each with its file and row, and what was delivered there."""
    if not lines:
        console.print("no such row")
        return
    staged = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
              "quantity", "total_amount", "status", "batch_id", "file_name", "source_row")  # fmt: skip
    print_rows(console, [{name: line[name] for name in staged} for line in lines], "order lines")
    delivered = [
        {"file": line["file_name"], "row": line["source_row"]}
        | {name.removeprefix("raw_"): value for name, value in line.items() if name.startswith("raw_")}
        for line in lines
    ]
    print_rows(console, delivered, "as delivered")


def print_checks(console: Console, checked: list[Checked]) -> None:
    """One line where all is well; a line for each check that found something."""
    found = [outcome for outcome in checked if outcome.offending]
    for outcome in found:
        samples = "; ".join(", ".join(f"{k} {v}" for k, v in sample.items()) for sample in outcome.samples)
        console.print(f"{outcome.severity}: {outcome.name}: {outcome.offending:,} offending rows: {samples}")
    if checked:
        console.print(f"checks: {len(checked) - len(found)} of {len(checked)} found nothing")


def print_rows(console: Console, rows: Rows, title: str | None = None) -> None:
    """A table of rows; numbers to the right."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console.print(table)


def _print_fates(console: Console, staged: Staged) -> None:
    fates = ", ".join(f"{getattr(staged, fate):,} {fate}" for fate in FATES)
    console.print(f"staged batch {staged.batch_id}: {staged.rows_read:,} rows = {fates}")
    if staged.reasons:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in staged.reasons.items())
        console.print(f"  rejected for: {reasons}")
    for hint in staged.hints:
        console.print(f"  note: {hint}")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) or hasattr(value, "as_tuple"):
        return f"{value:,}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else str(value)
