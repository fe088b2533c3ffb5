"""Staged batches judged again: because the rules changed, or because it was asked for."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from minidw.errors import SettingsError
from minidw.feed.declaration import from_dict
from minidw.feed.feed import AS_CONTRACTED, Translation
from minidw.schema.ledger import Batch
from minidw.settings import Settings
from minidw.steps.apply import apply_judged
from minidw.steps.check import Checked
from minidw.steps.losses import (
    tell_lost_to_pruning,
)
from minidw.transforms import replay, staging
from minidw.transforms.constructs import analyze
from minidw.transforms.judge import batches_by_feed, rules_fingerprint
from minidw.transforms.parse import Scope

log = logging.getLogger(__name__)


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
        need_currency(parameters, translation)
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


def need_currency(rules: Mapping[str, Any], translation: Translation) -> None:
    """A feed that delivers a currency is held against that of the warehouse."""
    if "currency" in dict(translation.columns) and rules["currency"] is None:
        raise SettingsError(
            "this feed says its currency, and the warehouse has none yet: say which it counts, CURRENCY=USD"
        )


def _replay(conn: Connection, settings: Settings, reason: str, warned: list[Checked]) -> Replayed:
    """Judge every staged batch again; what staging then holds differently becomes changes."""
    log.info("judge every batch again: %s", reason)
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
