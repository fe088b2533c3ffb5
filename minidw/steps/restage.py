"""Some orders judged again, where the deliveries change: batches go, one takes the place of another."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Executable, RowMapping

from minidw.schema.vocabulary import ADMITTED_FATES, Fates
from minidw.settings import Settings
from minidw.steps.apply import apply_judged
from minidw.steps.check import Checked
from minidw.steps.losses import refuse_without_numbers, tell_erased_in, tell_lost_in, tell_lost_to_pruning
from minidw.steps.replay import judge_again
from minidw.steps.stage import Staged, judge_rejects, note_staged
from minidw.transforms import replay, restage, staging
from minidw.transforms.constructs import analyze
from minidw.transforms.parse import Scope, named_orders


@dataclass(frozen=True)
class Restaged:
    """What judging some orders again made of staging.

    ``ceased``: by batch, the order lines that ceased, and how many of them came back in another version.
    ``staged``: the batch that arrived.
    """

    ceased: dict[int, tuple[int, int]]
    staged: Staged | None = None


def restage_named(
    conn: Connection,
    settings: Settings,
    changes: Sequence[Executable],
    warned: list[Checked],
    *,
    gone: Sequence[int] = (),
    arrived: RowMapping | None = None,
) -> Restaged:
    """Judge the orders of ``orders_named`` again, and make of staging what the deliveries say after a change.

    ``changes`` do to the judged rows what happens to the deliveries. The ledger is counted again, save for
    the batches that are ``gone``, which keep their counts; the batch that ``arrived`` is staged.
    What would be lost without a word is added to ``warned``.
    Raises BadFileError where that batch is refused.
    """
    arriving = [] if arrived is None else [arrived["batch_id"]]
    conn.execute(analyze(named_orders))
    judge_again(conn, settings.rules | {"arrived": arriving}, Scope.NAMED)
    conn.execute(replay.create_fates(restage.fates_before, staging.incoming.c.batch_id.not_in(arriving)))
    for change in changes:
        conn.execute(change)
    tell_lost_to_pruning(conn, warned, restage.fates_before, Scope.NAMED)
    conn.execute(replay.create_fates())
    conn.execute(restage.shift_counts([*gone, *arriving]))
    found = None
    if arrived is not None:
        found = _note_arrived(conn, settings, arrived)
        refuse_without_numbers(conn, arrived, Scope.NAMED)
        tell_erased_in(conn, arrived, warned)
    conn.execute(replay.delete_outdated())
    applied = apply_judged(conn, Scope.NAMED)
    if arrived is not None and found is not None:
        tell_lost_in(conn, arrived, warned, rejected=found.rejected, ceased=applied.ceased, gone=gone)
    conn.execute(staging.drop_temporary(replay.fates, restage.fates_before, named_orders))
    ceased = conn.execute(restage.ceased_by_batch(), {"stage": applied.stage})
    return Restaged({batch_id: (lines, back) for batch_id, lines, back in ceased}, found)


def _note_arrived(conn: Connection, settings: Settings, batch: RowMapping) -> Staged:
    """What became of the rows of a batch that takes its place among the others."""
    own = staging.incoming.c.batch_id == batch["batch_id"]
    rejected = conn.execute(staging.insert_rejected(own)).rowcount + batch["malformed"]
    reasons, examples = judge_rejects(conn, settings, batch, rejected)
    counts: dict[str, int] = dict(conn.execute(restage.counts_of(batch["batch_id"])).all())
    fates = Fates(**(dict.fromkeys(ADMITTED_FATES, 0) | counts), rejected=rejected)
    return note_staged(conn, settings, batch, fates, reasons, examples)
