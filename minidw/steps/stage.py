"""raw → staging: a batch staged once, or all of them judged again when the rules have changed."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, func, or_, select, update

from minidw.database.tables import lock_at_once, may_rebuild
from minidw.errors import BadFileError, SettingsError
from minidw.feed.declaration import from_dict
from minidw.feed.format import AS_CONTRACTED, Translation
from minidw.schema.ledger import Batch, MartBuild, place_of
from minidw.schema.staging import OrderChange, OrderLine, OrderTotal
from minidw.schema.vocabulary import NO_FAULTS, Fates
from minidw.settings import Settings
from minidw.steps.check import Checked
from minidw.steps.examples import Example, explain_rejects
from minidw.steps.losses import (
    has_numbers,
    refuse_without_numbers,
    tell_erased_in,
    tell_lost_in,
    tell_lost_to_pruning,
)
from minidw.transforms import rejects, replay, staging
from minidw.transforms.constructs import analyze
from minidw.transforms.judge import batches_by_feed, rules_fingerprint
from minidw.transforms.parse import Scope


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


@dataclass(frozen=True)
class Replayed:
    """What judging the batches again made of staging.

    reason: why they were judged again
    batches: how many
    appeared, ceased: order lines
    rejected: rows of theirs that are rejected now
    pruned: batches that have no rows in raw any more; what staging has of them stands as it was judged

    Example:
        >>> replayed = minidw.build_staging(replay=True).replayed
        >>> replayed.reason, replayed.batches, replayed.appeared, replayed.ceased
        ('asked for', 1, 0, 0)
    """

    reason: str
    batches: int
    appeared: int
    ceased: int
    rejected: int
    pruned: int


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


def replay_if_due(
    conn: Connection, settings: Settings, warned: list[Checked], *, again: bool = False
) -> Replayed | None:
    """Judge every staged batch again where the rules are no longer those it was judged by, or if asked to."""
    judged_by = conn.execute(select(Batch.feed, Batch.rules).where(replay.to_replay).distinct()).all()
    outdated = any(
        rules != rules_fingerprint(settings.rules, from_dict(feed).translation) for feed, rules in judged_by
    )
    if again or outdated:
        reason = "asked for" if again else "the rules of staging changed"
        return _replay(conn, settings, reason, warned)
    return None


def judge_again(conn: Connection, parameters: dict[str, Any], scope: Scope = Scope.ALL) -> None:
    """Fill the temporary table of a stage with the judged rows of all staged batches, or of a sample."""
    translated = translated_batches(conn, parameters.get("arrived", ()))
    for translation in translated:
        _need_currency(parameters, translation)
    parameters = parameters | batches_by_feed(translated)
    conn.execute(staging.create_incoming(scope, *translated), parameters)
    conn.execute(replay.insert_pruned(scope), parameters)
    conn.execute(analyze(staging.incoming))


def translated_batches(conn: Connection, more: Collection[int] = ()) -> dict[Translation, list[int]]:
    """The staged batches, and more, whose feeds do not keep to the contract, by what those declare."""
    feeds = select(Batch.batch_id, Batch.feed).where(
        or_(Batch.staged_at.is_not(None), Batch.batch_id.in_(more)), Batch.feed.is_not(None)
    )
    found: dict[Translation, list[int]] = {}
    for batch_id, feed in conn.execute(feeds.order_by(Batch.batch_id)):
        found.setdefault(from_dict(feed).translation, []).append(batch_id)
    found.pop(AS_CONTRACTED, None)
    return found


def _need_currency(rules: Mapping[str, Any], translation: Translation) -> None:
    """A feed that delivers a currency is held against that of the warehouse."""
    if "currency" in dict(translation.columns) and rules["currency"] is None:
        raise SettingsError(
            "this feed says its currency, and the warehouse has none yet: say which it counts, CURRENCY=USD"
        )


def _scope(batch: RowMapping, just_loaded: int | None) -> Scope:
    """Where the rows of a batch are read: in the landing table, which is smaller, if it has them as they are.

    Lines are numbered on the way from there to the history.
    """
    has_landed = batch["batch_id"] == just_loaded and not batch["numbered_lines"]
    return Scope.LANDED if has_landed else Scope.BATCH


def _stage_batch(
    conn: Connection, settings: Settings, batch: RowMapping, scope: Scope, warned: list[Checked]
) -> Staged:
    translation = from_dict(batch["feed"]).translation
    _need_currency(settings.rules, translation)
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
    applied = _fill(conn) if is_first else _apply_batch(conn)
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
        hints=(*_date_hint(batch, reasons, settings), *_line_hint(batch, fates.superseded)),
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
    nothing_left = rejected == batch["rows_read"] and settings.max_reject_ratio < 1
    if nothing_left or faults > batch["rows_read"] * settings.max_reject_ratio:
        raise _too_many_rejects(batch, rejected, reasons, examples, settings)
    return reasons, examples


def _too_many_rejects(
    batch: RowMapping,
    rejected: int,
    reasons: dict[str, int],
    examples: list[Example],
    settings: Settings,
) -> BadFileError:
    """Its rows are rolled back with all else: what is to be seen of them has to be in the error."""
    counts = ", ".join(f"{reason} {rows}" for reason, rows in reasons.items())
    return BadFileError(
        batch["file_name"],
        "TOO_MANY_REJECTS",
        f"{rejected} of {batch['rows_read']} rows rejected ({counts}); nothing was stored;"
        f" MAX_REJECT_RATIO is {settings.max_reject_ratio}"
        + "".join(f"; {hint}" for hint in (*_date_hint(batch, reasons, settings), *examples)),
        examples=[{"rows": reasons[example.reason]} | asdict(example) for example in examples],
    )


@dataclass(frozen=True)
class Applied:
    """How many order lines appeared, ceased, and were as staged already; ``stage``: of their changes."""

    appeared: int
    ceased: int = 0
    unchanged: int = 0
    stage: int = 0


def _apply_batch(conn: Connection) -> Applied:
    """Queue as changes what a batch differs in from staging, and make them."""
    conn.execute(analyze(staging.incoming))
    stage = _next_stage(conn)
    ceased, unchanged = _compare(conn, stage, by=staging.VALUES)
    return Applied(_carry_out(conn, stage, replaced=ceased), ceased, unchanged)


def apply_judged(conn: Connection, scope: Scope) -> Applied:
    """Queue as changes what batches, judged again, differ in from staging, and make them."""
    stage = _next_stage(conn)
    vanished = conn.execute(replay.insert_vanished(scope), stage).rowcount
    # The same values may now come from another delivery: then that is where the line comes from.
    replaced, unchanged = _compare(conn, stage, by=(*staging.VALUES, *staging.ORIGIN))
    appeared = _carry_out(conn, stage, replaced=replaced, vanished=vanished)
    return Applied(appeared, vanished + replaced, unchanged, **stage)


def _next_stage(conn: Connection) -> dict[str, int]:
    return {"stage": conn.execute(select(staging.next_stage())).scalar_one()}


def _compare(conn: Connection, stage: dict[str, int], *, by: tuple[str, ...]) -> tuple[int, int]:
    """Leave in ``incoming`` what is new or differs; returns how many lines cease and are unchanged."""
    if not conn.execute(staging.create_held()).rowcount:
        return 0, 0
    conn.execute(analyze(staging.held))
    unchanged = conn.execute(staging.delete_unchanged(by=by)).rowcount
    return conn.execute(staging.insert_ceased(), stage).rowcount, unchanged


def _carry_out(conn: Connection, stage: dict[str, int], *, replaced: int, vanished: int = 0) -> int:
    """Bring the lines of ``incoming`` in, and take out those that vanished; returns how many appeared."""
    appeared = conn.execute(staging.insert_appeared(), stage).rowcount
    if vanished:
        conn.execute(staging.delete_vanished(), stage)
    conn.execute(staging.merge_lines() if replaced else staging.insert_lines())
    conn.execute(staging.merge_totals(), stage)
    return appeared


def _fill(conn: Connection) -> Applied:
    """The first lines of a warehouse need no queue: the marts have nothing yet and are built in full.

    The indexes come after the rows, where we may build them, nobody is reading, and no view, foreign key or
    mark of somebody else's holds on to them.
    """
    alone = may_rebuild(conn, OrderLine, staging.INDEXES) and lock_at_once(conn, OrderLine)
    for statement in staging.drop_indexes() if alone else ():
        conn.execute(statement)
    appeared = conn.execute(staging.insert_lines()).rowcount
    for statement in staging.create_indexes() if alone else ():
        conn.execute(statement)
    conn.execute(staging.analyze_lines())
    conn.execute(delete(OrderTotal))
    conn.execute(staging.count_totals())
    conn.execute(update(MartBuild).values(fingerprint=None, reason="staging was filled at once"))
    return Applied(appeared)


def _replay(conn: Connection, settings: Settings, reason: str, warned: list[Checked]) -> Replayed:
    """Judge every staged batch again; what staging then holds differently becomes changes."""
    judge_again(conn, settings.rules)
    conn.execute(replay.delete_rejected())
    rejected = conn.execute(staging.insert_rejected()).rowcount
    conn.execute(replay.create_fates())
    tell_lost_to_pruning(conn, warned, replay.fates, Scope.ALL)
    conn.execute(replay.recount_batches())
    conn.execute(replay.delete_outdated())
    applied = apply_judged(conn, Scope.ALL)
    conn.execute(staging.drop_temporary(replay.fates))
    batches = _note_rules(conn, settings)
    pruned = conn.scalar(select(func.count()).where(Batch.pruned_at.is_not(None))) or 0
    return Replayed(reason, batches, applied.appeared, applied.ceased, rejected, pruned)


def _note_rules(conn: Connection, settings: Settings) -> int:
    """Note by which rules the batches were judged again; returns how many these are."""
    contracted = rules_fingerprint(settings.rules)
    batches = conn.execute(update(Batch).where(replay.to_replay).values(rules=contracted)).rowcount
    for translation, batch_ids in translated_batches(conn).items():
        theirs = update(Batch).where(replay.to_replay, Batch.batch_id.in_(batch_ids))
        conn.execute(theirs.values(rules=rules_fingerprint(settings.rules, translation)))
    return batches


def _date_hint(batch: RowMapping, reasons: dict[str, int], settings: Settings) -> list[str]:
    if "OUT_OF_RANGE_DATE" not in reasons:
        return []
    rules = settings.rules
    first, last = f"ORDER_DATE_MIN {rules['order_date_min']}", f"ORDER_DATE_MAX {rules['order_date_max']}"
    if rules["order_date_max"] is None:
        last = f"{batch['load_date'] + timedelta(days=1)}, the day after the load"
    return [f"an order may lie from {first} to {last}; these are rules of the warehouse: minidw rules"]


def _line_hint(batch: RowMapping, superseded: int) -> list[str]:
    if not superseded or has_numbers(batch):
        return []
    return [
        f"{superseded} rows were superseded by a later row of the same order;"
        " where the rows of an order are its lines, load with --number-lines"
    ]
