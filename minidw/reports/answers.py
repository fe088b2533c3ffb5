"""What the commands that only look print in a terminal."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from rich.console import Console

from minidw.proofs.verify import Verified
from minidw.proofs.why import Explanation, Row
from minidw.reports.rejects import Reject
from minidw.reports.tables import Rows, print_rows, print_text
from minidw.reports.values import NOT_SET, counted, money, texts
from minidw.schema.vocabulary import FATES
from minidw.steps.examples import shortened
from minidw.steps.rules import RuleInForce

TO_BEGIN = "minidw run FILE brings orders in; minidw generate writes some to try it with"


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


def print_shown(console: Console, rows: Rows, total: int) -> None:
    """Rows of a mart, and how many there are."""
    print_rows(console, rows)
    print_text(console, f"{len(rows):,} of {counted(total, 'row')}" if total else "no rows")
