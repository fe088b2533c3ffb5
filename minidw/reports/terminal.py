"""What a person looks at in a terminal: what was done, and what was found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from rich.console import Console

from minidw.pipeline.result import Result
from minidw.proofs.changes import MartChange, RowChange
from minidw.proofs.diff import Diff
from minidw.proofs.preview import Preview
from minidw.proofs.verify import Verified
from minidw.proofs.why import Explanation, Row
from minidw.reports.rejects import Reject
from minidw.reports.tables import Rows, print_rows, print_text
from minidw.reports.values import NOTHING, counted, money, texts
from minidw.schema.vocabulary import FATES
from minidw.steps.check import Checked
from minidw.steps.erase import Erased
from minidw.steps.examples import shortened
from minidw.steps.load import Loaded
from minidw.steps.rules import RuleInForce
from minidw.steps.stage import Replayed, Staged
from minidw.steps.unload import Unloaded

LONGEST_LIST = 20
MANY_FILES = 4
"""From so many files on, each has one line, and a summary follows the last."""

NOT_SET = "not set"
STILL_THERE = (
    "what minidw does not hold keeps the name: the CSV files, backups, the write-ahead log, the logs of the"
    " server, and its own files until VACUUM; see docs/taking-back.md"
)
TO_BEGIN = (
    "the warehouse is empty: minidw run FILE brings orders in; minidw generate writes some to try it with"
)


def print_result(console: Console, result: Result) -> None:
    """The summary of a command."""
    if result.file is not None:
        print_text(console, _loaded(result.loaded))
        if result.loaded.malformed and not result.loaded.skipped:
            lines = counted(result.loaded.malformed, "malformed line")
            print_text(console, f"  {lines} set aside in raw.lines_malformed")
        if not result.loaded.rows_read:
            print_text(console, "  warning: the file has a header and no rows")
    for unloaded in result.unloaded:
        _print_unloaded(console, unloaded)
    for erased in result.erased:
        _print_erased(console, erased)
    for rule in result.rules:
        print_text(console, f"rule {rule.name}: {rule.before or NOT_SET} → {rule.after or NOT_SET}")
        if rule.said is not None:
            print_text(
                console, f"  note: the settings say {rule.said} still, and are refused as long as they do"
            )
    if result.replayed is not None:
        _print_replayed(console, result.replayed)
    for staged in result.staged:
        _print_staged(console, staged)
    if result.command == "stage" and not result.staged:
        print_text(console, "nothing to stage: every batch that was loaded is staged")
    _print_built(console, result)
    if result.moved is not None:
        _print_moved(console, result)
    print_checks(console, result.checked)
    if result.command == "prune":
        batches = counted(len(result.pruned.batch_ids), "batch")
        rows = counted(result.pruned.rows, "row")
        print_text(console, f"pruned {batches}: {rows} removed from raw")
    if result.erased:
        print_text(console, STILL_THERE)
    if any(seconds >= 0.005 for seconds in result.seconds.values()):
        print_text(console, "time: " + _time(result.seconds))


def print_line(console: Console, result: Result) -> None:
    """The same in one line: of a file among many."""
    line = _loaded(result.loaded)
    for staged in result.staged:
        line += f" = {_fates(staged)}"
    print_text(console, line)


def print_sum(console: Console, results: Sequence[Result], files: int) -> None:
    """What many files came to."""
    staged = [staged for result in results for staged in result.staged]
    loaded = [result.loaded for result in results]
    skipped = sum(one.skipped for one in loaded)
    done = counted(files, "file") if len(loaded) == files else f"{len(loaded):,} of {counted(files, 'file')}"
    print_text(console, f"{done}: {len(loaded) - skipped:,} loaded, {skipped:,} skipped", bold=True)
    if staged:
        sums = {name: sum(getattr(one, name) for one in staged) for name in ("rows_read", *FATES)}
        print_rows(console, [{"batches": len(staged)} | sums])
    reasons: Counter[str] = Counter()
    for one in staged:
        reasons.update(one.reasons)
    if reasons:
        counts = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common())
        print_text(console, f"rejected for: {counts}; minidw rejects lists the rows")
    notes = [f"{one.file}: {hint}" for one in staged for hint in one.hints]
    for note in notes[:LONGEST_LIST]:
        print_text(console, f"note: {note}")
    if len(notes) > LONGEST_LIST:
        print_text(console, f"and {counted(len(notes) - LONGEST_LIST, 'more note')}")
    if results and results[-1].built:
        print_rows(
            console, [{"mart": f"mart.{built.mart}", "rows": built.rows} for built in results[-1].built]
        )
    print_checks(console, [outcome for result in results for outcome in result.checked])
    seconds: dict[str, float] = {}
    for result in results:
        for step, taken in result.seconds.items():
            seconds[step] = seconds.get(step, 0) + taken
    if seconds:
        print_text(console, "time: " + _time(seconds))


def print_preview(console: Console, preview: Preview) -> None:
    """What a run would do, and the rows it would change, old and new values side by side."""
    print_result(console, preview.result)
    _print_marts(console, preview.marts)
    print_text(console, "a preview: nothing was stored")


def print_diff(console: Console, diff: Diff) -> None:
    """What changed between two batches, old and new values side by side."""
    batches = counted(len(diff.batches), "batch")
    print_text(console, f"from batch {diff.first} to batch {diff.last}: {batches} that are there")
    _print_marts(console, diff.marts)
    if diff.unknown:
        lines = counted(diff.unknown, "order line")
        print_text(console, f"{lines} had an earlier version that was pruned, and seem to be gained")


def _print_marts(console: Console, marts: Sequence[MartChange]) -> None:
    for mart in marts:
        gained = counted(mart.gained, "row")
        title = f"mart.{mart.mart}: {gained} gained, {mart.lost:,} lost, {mart.changed:,} changed"
        rows = [change.key | _old_and_new(change) for change in mart.rows]
        if rows:
            print_rows(console, rows, title)
        else:
            print_text(console, title)


def print_preview_line(console: Console, preview: Preview) -> None:
    """The same in one line: of a file among many."""
    marts = "; ".join(
        f"{mart.mart} {mart.gained:,} gained, {mart.lost:,} lost, {mart.changed:,} changed"
        for mart in preview.marts
        if mart.gained or mart.lost or mart.changed
    )
    print_text(console, f"{preview.result.file}: {marts or 'nothing would change'}")


def _old_and_new(change: RowChange) -> dict[str, str]:
    """Each value, and what it was where it differs; - where there is no row."""
    old, new = change.before or {}, change.after or {}
    pairs = {name: texts(name, [old.get(name), new.get(name)]) for name in old or new}
    return {
        name: texts(name, [new[name]])[0] if name in new and old.get(name) == new[name] else f"{was} → {is_}"
        for name, (was, is_) in pairs.items()
    }


def print_verified(console: Console, verified: Verified) -> None:
    """The differing rows of each table, or that there are none."""
    for table, differing in verified.tables.items():
        if not differing:
            continue
        rows = [difference for difference in verified.differences if difference.table == table]
        shown = f", the first {len(rows)} of them" if differing > len(rows) else ""
        print_text(console, f"{table}: {counted(differing, 'differing row')}{shown}")
        # Comparisons of one table may look at other columns.
        for _, alike in groupby(rows, key=lambda difference: tuple(difference.row)):
            print_rows(console, [{"side": difference.side} | difference.row for difference in alike])
    if verified.changes_waiting:
        changes = counted(verified.changes_waiting, "change")
        print_text(console, f"{changes} waiting for a build: the marts are compared as of the last one")
    if verified.full_builds_waiting:
        marts = ", ".join(f"mart.{mart}" for mart in verified.full_builds_waiting)
        print_text(console, f"the next build makes in full: {marts}")
    if verified.lines_beyond_raw:
        lines = counted(verified.lines_beyond_raw, "order line")
        print_text(console, f"{lines} beyond comparison with raw: their batches were pruned")
    if not verified.differences:
        print_text(console, f"no differing rows in {', '.join(verified.tables)}")


def print_rules(console: Console, rules: Sequence[RuleInForce], versions: Rows) -> None:
    """The rules in force, each with where it is from and since when; what was set when, and by whom."""
    rows = [
        {"rule": rule.name, "value": rule.value or NOT_SET, "from": rule.origin}
        | {"since": None if rule.since is None else rule.since.astimezone(UTC).date()}
        for rule in rules
    ]
    print_rows(console, rows)
    history = [
        {"set at": row["set_at"], "rule": row["name"], "value": row["value"] or NOT_SET}
        | {"from": row["origin"], "by": row["set_by"]}
        for row in versions
    ]
    print_rows(console, history, "what was changed")
    for rule in rules:
        print_text(console, f"{rule.name}: {rule.meaning}")
    if any(rule.since is None for rule in rules):
        print_text(
            console, "those without a day are not kept yet: the first batch takes them as they are then"
        )
    for rule in rules:
        if rule.disputed:
            said = (
                f"note: {rule.name} is {rule.said} in the settings: what writes, verify and why are refused"
            )
            print_text(console, said)


def print_explanation(console: Console, lines: Explanation) -> None:
    """A row of a mart, whether its order lines add up to it, these with their files, and what is left out."""
    name = f"mart.{lines.mart} {', '.join(map(str, lines.key.values()))}"
    if lines.row is None and not lines.order_lines:
        print_text(console, f"{name}: no such row")
    elif lines.row is None:
        print_text(console, f"{name}: no such row yet")
    else:
        print_rows(console, [{k: v for k, v in lines.row.items() if k not in lines.key}], name)
    if lines.order_lines or lines.row:
        print_text(console, _sum(lines))
    shown = f", the first {len(lines):,}" if len(lines) < lines.order_lines else ""
    print_rows(console, _lines(lines), f"{counted(lines.order_lines, 'order line')}{shown}")
    if lines.left_out:
        statuses = ", ".join(
            f"{counted(row['order_lines'], 'order line')} {row['status']} ({money(row['total_amount'])})"
            for row in lines.left_out
        )
        print_text(console, f"left out, as they do not count towards this mart: {statuses}")


def _sum(lines: Explanation) -> str:
    if lines.agrees:
        return (
            f"✓ {counted(lines.order_lines, 'order line')} add up to it"
            if lines.order_lines != 1
            else ("✓ 1 order line adds up to it")
        )
    sums = {name: value for name, value in (lines.sums or {}).items() if name not in lines.key}
    is_ = ", ".join(f"{name} {texts(name, [value])[0]}" for name, value in sums.items()) or "nothing"
    why = "changes wait: minidw build" if lines.changes_waiting else "minidw verify shows every difference"
    return f"✗ the order lines add up to {is_}; {why}"


def _lines(lines: Explanation) -> list[Row]:
    """Each line as it is staged; of what was delivered, that which staging changed."""
    names = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
             "quantity", "total_amount", "status")  # fmt: skip
    found = []
    for line in lines:
        delivered = [
            f"{name} '{shortened(line[f'raw_{name}'])}'"
            for name in names
            if line.get(f"raw_{name}") and not _says(line[f"raw_{name}"], line[name])
        ]
        found.append(
            {name: line[name] for name in names if name not in lines.key}
            | {"file": line["file_name"], "row": line["source_row"]}
            | {"delivered as": ", ".join(delivered) or None}
        )
    return _without_empty_columns(found, "delivered as")


def _says(delivered: str, value: Any) -> bool:
    """Whether a delivered text is the value, as it stands or in another usual spelling."""
    if isinstance(value, Decimal | int):
        with suppress(InvalidOperation):
            return Decimal(delivered) == value
    if isinstance(value, datetime):
        return delivered.replace("T", " ") in (str(value), str(value).removesuffix(" 00:00:00"))
    return delivered == str(value)


def _without_empty_columns(rows: list[Row], *names: str) -> list[Row]:
    empty = {name for name in names if all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]


def print_history(console: Console, deliveries: Rows) -> None:
    """Every delivery of an order, and why a row of it was rejected."""
    if not deliveries:
        print_text(console, "no such order")
        return
    shown = ("batch_id", "file_name", "source_row", "line_number", "fate", "product_id", "price", "quantity",
             "status", "total_amount", "held_from", "held_until")  # fmt: skip
    print_rows(console, [{name: row[name] for name in shown} for row in deliveries])
    for row in deliveries:
        if row["reasons"]:
            place = f"batch {row['batch_id']}, row {row['source_row']}"
            print_text(console, f"{place} was rejected for {', '.join(row['reasons'])}")


def print_rejects(console: Console, rejects: Sequence[Reject], total: int) -> None:
    """A line for each thing that is wrong with a row, and what is allowed instead."""
    if not rejects:
        print_text(console, "no rejected rows" if not total else counted(total, "rejected row"))
        return
    several = len({reject.batch_id for reject in rejects}) > 1
    rows = [
        ({"batch": reject.batch_id, "file": reject.file} if several else {})
        | {"row": f"line {reject.line}" if reject.row is None else f"{reject.row}"}
        | {"reason": fault.reason, "column": fault.column}
        | {"value": None if fault.value is None else f"'{shortened(fault.value)}'"}
        for reject in rejects
        for fault in reject.faults
    ]
    of = "" if several else f" of {rejects[0].file}, batch {rejects[0].batch_id}"
    shown = f"; the first {len(rejects):,}" if len(rejects) < total else ""
    print_rows(console, rows, f"{counted(total, 'rejected row')}{of}{shown}")
    allowed = {fault.reason: fault.allowed for reject in rejects for fault in reject.faults}
    for reason, text in allowed.items():
        print_text(console, f"{reason}: allowed is {text}")


def print_checks(console: Console, checked: Sequence[Checked]) -> None:
    """One line where all is well; a line for each check that found something."""
    found = [outcome for outcome in checked if outcome.offending]
    for outcome in found:
        samples = "; ".join(", ".join(f"{k} {v}" for k, v in sample.items()) for sample in outcome.samples)
        rows = counted(outcome.offending, "offending row")
        print_text(console, f"{outcome.severity}: {outcome.name}: {rows}: {samples}")
    if found:
        print_text(console, f"{len(checked) - len(found):,} of {counted(len(checked), 'check')} passed")
    elif checked:
        print_text(console, f"all {len(checked):,} checks passed")


def print_report(console: Console, tables: Mapping[str, Rows], *, longest: int | None = None) -> None:
    """The marts at a glance."""
    if not any(tables.values()):
        print_text(console, f"the marts are empty: {TO_BEGIN}")
    for title, rows in tables.items():
        print_rows(console, rows[:longest], title)


def print_status(console: Console, tables: Mapping[str, Rows]) -> None:
    """The state of the warehouse; times are UTC."""
    if not any(tables[title] for title in ("batches", "failed runs", "in use")):
        print_text(console, f"the warehouse is empty: {TO_BEGIN}")
        return
    batches = [
        {
            "batch": row["batch_id"],
            "file": row["file_name"],
            "loaded": row["loaded_at"],
            "rows": row["rows_read"],
        }
        | {fate: row[fate] for fate in FATES}
        | ({"unloaded": row["unloaded_at"]} if any(one["unloaded_at"] for one in tables["batches"]) else {})
        for row in tables["batches"]
    ]
    print_rows(console, batches, "batches")
    for title in ("failed runs", "marts"):
        print_rows(console, tables[title], title)
    for row in tables["warnings"]:
        sample = ", ".join(f"{name} {value}" for found in row["samples"][:1] for name, value in found.items())
        where = f" in {row['file_name']}" if row["file_name"] else ""
        rows = counted(row["offending"], "offending row")
        print_text(console, f"warning: {row['name']}: {rows}{where}, such as {sample}")
    (waiting,) = tables["waiting"]
    if waiting["batches_to_stage"]:
        print_text(console, f"{counted(waiting['batches_to_stage'], 'batch')} to stage: minidw stage")
    if waiting["changes_to_build"]:
        print_text(console, f"{counted(waiting['changes_to_build'], 'change')} to build: minidw build")
    for row in tables["in use"]:
        print_text(console, f"in use by {row['by']}; {counted(row['waiting'], 'runner')} waiting")


def _loaded(loaded: Loaded) -> str:
    if loaded.skipped:
        skipped = f"{loaded.file}: the same bytes were loaded before, as batch {loaded.batch_id}; skipped"
        if not loaded.otherwise:
            return skipped
        # What was asked for is not what is there: the numbers are those of the earlier declaration.
        differing = "; ".join(loaded.otherwise)
        again = f"to read it as asked for: --replace {loaded.batch_id} --force"
        return f"{skipped}, though it was read otherwise ({differing}); {again}"
    return f"{loaded.file}: batch {loaded.batch_id}, {counted(loaded.rows_read, 'row')}"


def _print_replayed(console: Console, again: Replayed) -> None:
    print_text(
        console,
        f"judged {counted(again.batches, 'earlier batch')} again ({again.reason}):"
        f" {counted(again.appeared, 'order line')} appeared, {again.ceased:,} ceased,"
        f" {counted(again.rejected, 'row')} rejected",
    )
    if again.pruned:
        batches = counted(again.pruned, "pruned batch")
        print_text(console, f"  note: what was staged of {batches} stays as it was judged before")


def _print_unloaded(console: Console, gone: Unloaded) -> None:
    print_text(
        console,
        f"took back batch {gone.batch_id} ({gone.file}): {counted(gone.rows, 'row')} removed from raw;"
        f" {counted(gone.ceased, 'order line')} ceased, {gone.came_back:,} of them came back otherwise",
    )


def _print_erased(console: Console, erased: Erased) -> None:
    print_text(
        console,
        f"erased a customer, now {erased.pseudonym}: {counted(erased.order_lines, 'order line')},"
        f" {counted(erased.rows, 'delivered row')}, {counted(erased.mentions, 'mention')} elsewhere",
    )


def _print_staged(console: Console, staged: Staged) -> None:
    fates = ", ".join(f"{getattr(staged, fate):,} {fate}" for fate in FATES)
    print_text(console, f"staged batch {staged.batch_id}: {counted(staged.rows_read, 'row')} = {fates}")
    if staged.reasons:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in staged.reasons.items())
        print_text(console, f"  rejected for: {reasons}; minidw rejects {staged.batch_id} lists them")
    for example in staged.examples:
        print_text(console, f"  {example}")
    for hint in staged.hints:
        print_text(console, f"  note: {hint}")


def _print_built(console: Console, result: Result) -> None:
    if not result.built:
        return
    if result.command == "build" and not any(built.rows for built in result.built):
        print_text(console, "nothing to build from: staging has no order lines that count as revenue")
        return
    rows = [
        {
            "mart": f"mart.{built.mart}",
            "rows": built.rows,
            "build": built.method,
            "because": built.reason,
            "seconds": built.seconds,
        }
        for built in result.built
    ]
    print_rows(console, rows)
    if result.command == "build" and all(built.method == "none" for built in result.built):
        print_text(console, "the marts are up to date with staging")


def _fates(staged: Staged) -> str:
    fates = [f"{number:,} {fate}" for fate in FATES if (number := getattr(staged, fate))]
    return ", ".join(fates) or NOTHING


def _time(seconds: dict[str, float]) -> str:
    return ", ".join(f"{step} {value:.2f} s" for step, value in seconds.items())


def _print_moved(console: Console, result: Result) -> None:
    """The revenue before and after a change of rules; that nothing changed, where nothing did."""
    moved = result.moved
    if not result.rules:
        print_text(console, "the rules are so already: nothing changed")
    elif moved is not None:
        revenue = " → ".join(texts("", [moved.revenue_before, moved.revenue]))
        lines = f"{moved.order_lines_before:,} → {counted(moved.order_lines, 'order line')}"
        print_text(console, f"revenue: {revenue}, of {lines}")
