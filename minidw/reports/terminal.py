"""What the commands that do something print in a terminal, and what they would do."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from minidw.pipeline.result import Result
from minidw.proofs.changes import MartChange, RowChange
from minidw.proofs.diff import Diff
from minidw.proofs.preview import Preview
from minidw.reports.tables import print_rows, print_text
from minidw.reports.values import NOT_SET, NOTHING, counted, texts
from minidw.schema.vocabulary import FATES
from minidw.steps.build import Built
from minidw.steps.check import Checked
from minidw.steps.erase import Erased
from minidw.steps.load import Loaded
from minidw.steps.replay import Replayed
from minidw.steps.stage import Staged
from minidw.steps.unload import Unloaded

LONGEST_LIST = 20
MANY_FILES = 4
"""From so many files on, each has one line, and a summary follows the last."""

STILL_THERE = (
    "what minidw does not hold keeps the name: the CSV files, backups, the write-ahead log, the logs of the"
    " server, and its own files until VACUUM; see docs/taking-back.md"
)


def print_result(console: Console, result: Result) -> None:
    """The summary of a command."""
    if result.file is not None:
        print_text(console, loaded_line(result.loaded))
        if result.loaded.malformed and not result.loaded.skipped:
            lines = counted(result.loaded.malformed, "malformed line")
            print_text(console, f"  {lines} set aside in raw.lines_malformed")
        if not result.loaded.rows_read:
            print_text(console, "  warning: the file has a header and no rows")
        for hint in result.loaded.hints:
            print_text(console, f"  warning: {hint}")
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
        print_staged(console, staged)
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
        print_text(console, "time: " + time_line(result.seconds))


def print_line(console: Console, result: Result) -> None:
    """The same in one line: of a file among many."""
    line = loaded_line(result.loaded)
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
    notes = [f"{one.file}: {hint}" for one in loaded for hint in one.hints]
    notes += [f"{one.file}: {hint}" for one in staged for hint in one.hints]
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
        print_text(console, "time: " + time_line(seconds))


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


def loaded_line(loaded: Loaded) -> str:
    """What a load came to."""
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


def print_staged(console: Console, staged: Staged) -> None:
    """The rows of a batch by fate, and why some were rejected."""
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
    print_marts(console, result.built)
    if result.command == "build" and all(built.method == "none" for built in result.built):
        print_text(console, "the marts are up to date with staging")


def print_marts(console: Console, marts: Sequence[Built]) -> None:
    """How each mart was brought up to date."""
    rows = [
        {
            "mart": f"mart.{built.mart}",
            "rows": built.rows,
            "build": built.method,
            "because": built.reason,
            "seconds": built.seconds,
        }
        for built in marts
    ]
    print_rows(console, rows)


def _fates(staged: Staged) -> str:
    fates = [f"{number:,} {fate}" for fate in FATES if (number := getattr(staged, fate))]
    return ", ".join(fates) or NOTHING


def time_line(seconds: dict[str, float]) -> str:
    """The time of each step."""
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
