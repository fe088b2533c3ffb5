"""What inspect found of a file, for a person to look at."""

from shlex import quote

from rich.console import Console

from minidw.feed.evidence import rows
from minidw.feed.inspection import Inspection
from minidw.feed.known import known_feed, title
from minidw.feed.writing import value
from minidw.reports.tables import print_rows, print_text


def print_inspection(console: Console, found: Inspection, source: str, written: str | None) -> None:
    """What the file is, what its feed declares and why, what is open, and the feed itself or where it is."""
    print_text(console, _what_it_is(found), bold=True)
    if found.fault:
        print_text(console, f"A load would refuse it: {found.fault}")
    if found.looked_at < found.rows:
        print_text(console, f"What follows is of the first {rows(found.looked_at)}.")
    if found.known:
        known = title(known_feed(found.known))
        print_text(
            console,
            f"It looks like {known}; to read it as it is: minidw run {quote(source)} --feed {found.known}",
        )
    open_ones = [finding for finding in found.findings.values() if finding.is_question]
    settled = [finding for finding in found.findings.values() if not finding.is_question]
    table = [
        {"key": finding.key, "declare": _declared(finding.value), "why": finding.why} for finding in settled
    ]
    print_rows(console, table)
    statuses = [{"status": status, "rows": number} for status, number in found.statuses.items()]
    print_rows(console, statuses)
    print_rows(console, [{"question": finding.key, "what": finding.why} for finding in open_ones])
    if written is None:
        console.print(found.toml, end="", soft_wrap=True)
        return
    first = (
        f"Answer {len(open_ones)} question{'' if len(open_ones) == 1 else 's'} in {written}, then"
        if open_ones
        else "Now"
    )
    print_text(console, f"{first}: minidw run {quote(source)} --feed {quote(written)}")


def _what_it_is(found: Inspection) -> str:
    delimiter = found.delimiter if found.delimiter == "tab" else f"'{found.delimiter}'"
    return (
        f"{found.file}: {found.encoding}, {len(found.header)} columns by {delimiter},"
        f" lines end in {found.line_end}, {rows(found.rows)}"
    )


def _declared(declaring: object) -> str:
    return "" if declaring is None else value(declaring)
