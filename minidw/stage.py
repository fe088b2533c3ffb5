"""raw → staging: a batch staged once, or all of them judged again when the rules have changed."""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, exists, func, select, update

from minidw.errors import BadFileError
from minidw.schema.mart import MartBuild
from minidw.schema.raw import Batch
from minidw.schema.staging import OrderLine, OrderRejected, OrderTotal
from minidw.settings import Settings
from minidw.transforms import replay as replay_sql
from minidw.transforms import staging as sql
from minidw.transforms.rules import rules_fingerprint


@dataclass(frozen=True)
class Staged:
    """What a stage made of a batch: rows by fate, and rejected rows by reason."""

    batch_id: int
    file: str
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    reasons: dict[str, int]
    hint: str | None = None


@dataclass(frozen=True)
class Replayed:
    """What judging every batch again made of staging: the order lines that appeared and ceased."""

    reason: str
    batches: int
    appeared: int
    ceased: int
    rejected: int


def stage(
    conn: Connection, settings: Settings, *, replay: bool = False
) -> tuple[Replayed | None, list[Staged]]:
    """Stage every batch that is not staged yet, in the order of loading.

    Where the rules are no longer those by which earlier batches were judged, those are judged again first.
    Raises BadFileError where a batch has more rejects than the settings allow.
    """
    rules = rules_fingerprint(settings.rules)
    replayed = None
    if replay or conn.scalar(select(exists().where(Batch.staged_at.is_not(None), Batch.rules != rules))):
        replayed = _replay(conn, settings, rules, "asked for" if replay else "the rules of staging changed")
    waiting = select(*Batch.__table__.c).where(Batch.staged_at.is_(None)).order_by(Batch.batch_id)
    return replayed, [
        _stage_batch(conn, settings, rules, row) for row in conn.execute(waiting).mappings().all()
    ]


def _stage_batch(conn: Connection, settings: Settings, rules: str, batch: RowMapping) -> Staged:
    conn.execute(sql.create_incoming())
    conn.execute(sql.insert_incoming(one_batch=True), {"batch_id": batch["batch_id"], **settings.rules})
    conn.execute(sql.analyze_incoming())
    reasons: dict[str, int] = dict(conn.execute(sql.reject_reasons()).all())
    rejected = conn.execute(sql.insert_rejected()).rowcount
    if rejected > batch["rows_read"] * settings.max_reject_ratio:
        counts = ", ".join(f"{reason} {rows}" for reason, rows in reasons.items())
        raise BadFileError(
            batch["file_name"],
            "TOO_MANY_REJECTS",
            f"{rejected} of {batch['rows_read']} rows rejected ({counts}); nothing was stored;"
            f" MAX_REJECT_RATIO is {settings.max_reject_ratio}",
        )
    superseded = conn.execute(sql.delete_superseded()).rowcount
    admitted = conn.scalar(sql.count_admitted()) or 0
    if conn.scalar(select(exists().select_from(OrderLine))):
        appeared, updated = _apply_changes(conn)
    else:
        # The first lines of a warehouse need no queue: the marts have nothing yet and are built in full.
        appeared, updated = conn.execute(sql.insert_all_lines()).rowcount, 0
        conn.execute(delete(OrderTotal))
        conn.execute(sql.count_totals())
        conn.execute(update(MartBuild).values(fingerprint=None))
    conn.execute(sql.drop_incoming())
    fates = {
        "inserted": appeared - updated,
        "updated": updated,
        "unchanged": admitted - appeared,
        "superseded": superseded,
        "rejected": rejected,
    }
    this_batch = update(Batch).where(Batch.batch_id == batch["batch_id"])
    conn.execute(this_batch.values(staged_at=func.clock_timestamp(), rules=rules, **fates))
    return Staged(
        batch_id=batch["batch_id"],
        file=batch["file_name"],
        rows_read=batch["rows_read"],
        **fates,
        reasons=reasons,
        hint=_hint(batch, superseded),
    )


def _replay(conn: Connection, settings: Settings, rules: str, reason: str) -> Replayed:
    """Judge every staged batch again; what staging then holds differently becomes changes."""
    conn.execute(sql.create_incoming())
    conn.execute(sql.insert_incoming(one_batch=False), settings.rules)
    conn.execute(sql.analyze_incoming())
    conn.execute(delete(OrderRejected))
    rejected = conn.execute(sql.insert_rejected()).rowcount
    conn.execute(replay_sql.recount_batches())
    conn.execute(replay_sql.delete_outdated())
    appeared, ceased = _apply_changes(conn, replay=True)
    conn.execute(sql.drop_incoming())
    staged = Batch.staged_at.is_not(None)
    conn.execute(update(Batch).where(staged).values(rules=rules))
    batches = conn.scalar(select(func.count()).where(staged)) or 0
    return Replayed(reason, batches, appeared, ceased, rejected)


def _apply_changes(conn: Connection, *, replay: bool = False) -> tuple[int, int]:
    """Queue the changes between staging and the admitted rows, then make them; returns +1s and -1s."""
    stage = {"stage": conn.scalar(select(sql.next_stage()))}
    by = (*sql.VALUES, *sql.ORIGIN) if replay else sql.VALUES
    appeared = conn.execute(sql.insert_appeared(by=by), stage).rowcount
    ceased = conn.execute(sql.insert_replaced(by=by), stage).rowcount
    if replay:
        ceased += conn.execute(replay_sql.insert_vanished(), stage).rowcount
        conn.execute(replay_sql.delete_vanished(), stage)
    conn.execute(sql.merge_lines(), stage)
    conn.execute(sql.merge_totals(), stage)
    return appeared, ceased


def _hint(batch: RowMapping, superseded: int) -> str | None:
    if not superseded or "line_number" in batch["header"] or batch["numbered_lines"]:
        return None
    return (
        f"{superseded} rows were superseded by a later row of the same order;"
        " where the rows of an order are its lines, load with --number-lines"
    )
