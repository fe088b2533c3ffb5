"""Which steps follow which, in the transaction of the connection."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, func, select, update

from minidw.errors import CheckFailedError
from minidw.feed.survey import SurveyedFile
from minidw.pipeline.result import Result
from minidw.schema.ledger import Batch
from minidw.settings import Settings
from minidw.steps.build import build
from minidw.steps.check import Checked, execute_checks
from minidw.steps.erase import erase_customers
from minidw.steps.load import load
from minidw.steps.replay import replay_if_due
from minidw.steps.rules import Moved, counted_revenue
from minidw.steps.stage import stage
from minidw.steps.unload import remove_batches, take_back

Progress = Callable[[int], None]


def all_steps(
    conn: Connection,
    result: Result,
    file: SurveyedFile,
    settings: Settings,
    *,
    force: bool,
    number_lines: bool,
    replace: int | None = None,
    progress: Progress | None,
) -> None:
    """The steps of a run."""
    taken = [] if replace is None else take_back(conn, [replace])
    place = taken[0]["place"] if taken else None
    with result.step("load"):
        result.loaded = load(
            conn, file, force=force, number_lines=number_lines, in_place_of=place, progress=progress
        )
    if taken:
        with result.step("unload"):
            result.replayed = replay_if_due(conn, settings, result.checked)
            result.unloaded, result.staged = remove_batches(
                conn, settings, taken, result.checked, result.loaded.batch_id
            )
    remaining_steps(conn, result, settings)


def remaining_steps(conn: Connection, result: Result, settings: Settings) -> None:
    """Those that follow a load, or a change of the rules."""
    with result.step("stage"):
        is_loaded = result.file is not None and not result.loaded.skipped
        just_loaded = result.loaded.batch_id if is_loaded else None
        replayed, staged = stage(conn, settings, result.checked, just_loaded=just_loaded)
        result.replayed = result.replayed or replayed
        result.staged += staged
    with result.step("build"):
        result.built = build(conn, settings)
    with result.step("check"):
        # Other rules judge every batch again, not only what is new.
        result.checked += _check(conn, settings, all_batches=bool(result.rules))


def follow_rules(conn: Connection, result: Result, settings: Settings) -> None:
    """What a change of the rules leads to, and how much revenue that moves."""
    lines_before, revenue_before = counted_revenue(conn)
    remaining_steps(conn, result, settings)
    lines, revenue = counted_revenue(conn)
    result.moved = Moved(lines_before, lines, revenue_before, revenue)


def unload_steps(conn: Connection, result: Result, batch_ids: Sequence[int], settings: Settings) -> None:
    """The steps of an unload."""
    with result.step("unload"):
        result.replayed = replay_if_due(conn, settings, result.checked)
        result.unloaded, _ = remove_batches(conn, settings, take_back(conn, batch_ids), result.checked)
    with result.step("build"):
        result.built = build(conn, settings)
    with result.step("check"):
        result.checked += _check(conn, settings)


def erase_steps(conn: Connection, result: Result, customers: Sequence[str], settings: Settings) -> None:
    """The steps of an erasure."""
    with result.step("erase"):
        result.replayed = replay_if_due(conn, settings, result.checked)
        # What waits in the queue goes by the old names.
        waited = {built.mart: built for built in build(conn, settings)}
        result.erased = erase_customers(conn, customers)
    with result.step("build"):
        built = build(conn, settings)
        result.built = [waited.get(one.mart, one) if one.method == "none" else one for one in built]
    with result.step("check"):
        result.checked += _check(conn, settings)


def _check(conn: Connection, settings: Settings, *, all_batches: bool = False) -> list[Checked]:
    fresh = select(Batch.batch_id).where(Batch.built_at.is_not(None), Batch.checked_at.is_(None))
    batch_ids = list(conn.scalars(fresh))
    checked = execute_checks(conn, settings, None if all_batches else batch_ids)
    if failed := [outcome for outcome in checked if outcome.failed]:
        raise CheckFailedError(
            "; ".join(
                f"check {outcome.name}: {outcome.offending} offending rows, such as {outcome.samples[0]}"
                for outcome in failed
            )
            + "; nothing was stored"
        )
    conn.execute(update(Batch).where(Batch.batch_id.in_(batch_ids)).values(checked_at=func.clock_timestamp()))
    return checked
