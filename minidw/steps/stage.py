"""raw → staging: every batch that is not staged yet, in the order of deliveries."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, func, or_, select, update

from minidw.errors import BadFileError
from minidw.feed.declaration import from_dict
from minidw.schema.ledger import Batch, place_of
from minidw.schema.staging import OrderChange, OrderLine
from minidw.schema.vocabulary import NO_FAULTS, Fates
from minidw.settings import Settings
from minidw.steps.apply import apply_batch, fill
from minidw.steps.check import Checked
from minidw.steps.examples import Example, explain_rejects
from minidw.steps.losses import (
    has_numbers,
    refuse_without_numbers,
    tell_erased_in,
    tell_lost_in,
)
from minidw.steps.replay import Replayed, need_currency, replay_if_due
from minidw.transforms import rejects, replay, staging
from minidw.transforms.judge import rules_fingerprint
from minidw.transforms.parse import Scope

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Staged:
    """What a stage made of a batch.

    batch_id, file: the batch, and the name of its file
    rows_read: rows of the file, all of which have one fate
    inserted, updated, unchanged, superseded, rejected: rows by fate
    reasons: rejected rows by reason; a row may have several
    examples: the first row for each reason
    hints: what might be meant otherwise, one line each

    Example:
        >>> staged = minidw.run("corrections.csv").staged[0]
        >>> staged.rows_read, staged.inserted, staged.updated, staged.reasons
        (2, 1, 1, {})
    """

    batch_id: int
    file: str
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    reasons: dict[str, int]
    examples: list[Example]
    hints: tuple[str, ...] = ()


def stage(
    conn: Connection,
    settings: Settings,
    warned: list[Checked],
    *,
    again: bool = False,
    just_loaded: int | None = None,
) -> tuple[Replayed | None, list[Staged]]:
    """Stage every batch that is not staged yet, in the order of loading.

    Where the rules are no longer those by which earlier batches were judged, those are judged again first;
    ``again``: even where they are. ``just_loaded``: the batch that this transaction brought, which the
    landing table has. What would be lost without a word is added to ``warned``.
    Raises BadFileError where a batch has more rejects than the settings allow, or no line numbers where they
    are needed.
    """
    replayed = replay_if_due(conn, settings, warned, again=again)
    waiting = select(*Batch.__table__.c).where(Batch.staged_at.is_(None), replay.has_rows)
    return replayed, [
        _stage_batch(conn, settings, batch, _scope(batch, just_loaded), warned)
        for batch in conn.execute(waiting.order_by(place_of(Batch))).mappings().all()
    ]


def _scope(batch: RowMapping, just_loaded: int | None) -> Scope:
    """Where the rows of a batch are read: in the landing table, which is smaller, if it has them as they are.

    Lines are numbered on the way from there to the history.
    """
    has_landed = batch["batch_id"] == just_loaded and not batch["numbered_lines"]
    return Scope.LANDED if has_landed else Scope.BATCH


def _stage_batch(
    conn: Connection, settings: Settings, batch: RowMapping, scope: Scope, warned: list[Checked]
) -> Staged:
    log.info("stage batch %s: %s rows", batch["batch_id"], f"{batch['rows_read']:,}")
    translation = from_dict(batch["feed"]).translation
    need_currency(settings.rules, translation)
    parameters = {"batch_id": batch["batch_id"], **settings.rules}
    conn.execute(staging.create_incoming(scope, translation), parameters)
    rejected = conn.execute(staging.insert_rejected()).rowcount + batch["malformed"]
    reasons, examples = judge_rejects(conn, settings, batch, rejected)
    refuse_without_numbers(conn, batch, scope)
    tell_erased_in(conn, batch, warned)
    # Before the statistics: with them the planner hashes here, and a large batch does not fit its memory.
    superseded = conn.execute(staging.delete_superseded()).rowcount
    is_first = not conn.scalar(
        select(or_(*(exists().select_from(table) for table in (OrderLine, OrderChange))))
    )
    applied = fill(conn) if is_first else apply_batch(conn)
    tell_lost_in(conn, batch, warned, rejected=rejected, ceased=applied.ceased)
    conn.execute(staging.drop_temporary())
    fates = Fates(
        # A line that ceased was replaced by one of those that appeared.
        inserted=applied.appeared - applied.ceased,
        updated=applied.ceased,
        unchanged=applied.unchanged,
        superseded=superseded,
        rejected=rejected,
    )
    return note_staged(conn, settings, batch, fates, reasons, examples)


def note_staged(
    conn: Connection,
    settings: Settings,
    batch: RowMapping,
    fates: Fates,
    reasons: dict[str, int],
    examples: list[Example],
) -> Staged:
    """Note in the ledger what became of the rows of a batch."""
    rules = rules_fingerprint(settings.rules, from_dict(batch["feed"]).translation)
    this_batch = update(Batch).where(Batch.batch_id == batch["batch_id"])
    conn.execute(this_batch.values(staged_at=func.clock_timestamp(), rules=rules, **asdict(fates)))
    return Staged(
        batch_id=batch["batch_id"],
        file=batch["file_name"],
        rows_read=batch["rows_read"],
        **asdict(fates),
        reasons=reasons,
        examples=examples,
        hints=hints_of(batch, reasons, fates.superseded, settings),
    )


def judge_rejects(
    conn: Connection, settings: Settings, batch: RowMapping, rejected: int
) -> tuple[dict[str, int], list[Example]]:
    """Why rows of a batch were rejected. Raises BadFileError where that are more than the settings allow."""
    if not rejected:
        return {}, []
    reasons, examples = explain_rejects(conn, batch["batch_id"], from_dict(batch["feed"]))
    faults = rejected
    if reasons.keys() & set(NO_FAULTS):
        faults -= conn.scalar(rejects.count_set_aside(), {"batch_id": batch["batch_id"]}) or 0
    refuse_too_many(batch, rejected, faults, reasons, examples, settings)
    return reasons, examples


def refuse_too_many(
    batch: RowMapping | Mapping[str, Any],
    rejected: int,
    faults: int,
    reasons: dict[str, int],
    examples: list[Example],
    settings: Settings,
) -> None:
    """Raise BadFileError where more rows are rejected, for ``faults`` of theirs, than the settings allow.

    Its rows are rolled back with all else: what is to be seen of them has to be in the error.
    """
    nothing_left = rejected == batch["rows_read"] and settings.max_reject_ratio < 1
    if not nothing_left and faults <= batch["rows_read"] * settings.max_reject_ratio:
        return
    counts = ", ".join(f"{reason} {rows}" for reason, rows in reasons.items())
    raise BadFileError(
        batch["file_name"],
        "TOO_MANY_REJECTS",
        f"{rejected} of {batch['rows_read']} rows rejected ({counts}); nothing was stored;"
        f" MAX_REJECT_RATIO is {settings.max_reject_ratio}"
        + "".join(f"; {hint}" for hint in (*_date_hint(batch, reasons, settings), *examples)),
        examples=[{"rows": reasons[example.reason]} | asdict(example) for example in examples],
    )


def hints_of(
    batch: RowMapping | Mapping[str, Any], reasons: dict[str, int], superseded: int, settings: Settings
) -> tuple[str, ...]:
    """What might be meant otherwise in a batch."""
    return (*_date_hint(batch, reasons, settings), *_line_hint(batch, superseded))


def _date_hint(
    batch: RowMapping | Mapping[str, Any], reasons: dict[str, int], settings: Settings
) -> list[str]:
    if "OUT_OF_RANGE_DATE" not in reasons:
        return []
    rules = settings.rules
    first, last = f"ORDER_DATE_MIN {rules['order_date_min']}", f"ORDER_DATE_MAX {rules['order_date_max']}"
    if rules["order_date_max"] is None:
        last = f"{batch['load_date'] + timedelta(days=1)}, the day after the load"
    return [f"an order may lie from {first} to {last}; these are rules of the warehouse: minidw rules"]


def _line_hint(batch: RowMapping | Mapping[str, Any], superseded: int) -> list[str]:
    if not superseded or has_numbers(batch):
        return []
    return [
        f"{superseded} rows were superseded by a later row of the same order;"
        " where the rows of an order are its lines, load with --number-lines"
    ]
