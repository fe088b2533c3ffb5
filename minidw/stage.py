"""raw → staging: a batch staged once, or all of them judged again when the rules have changed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, func, select, update

from minidw.database import lock_at_once, owns
from minidw.errors import BadFileError
from minidw.schema.mart import MartBuild
from minidw.schema.raw import Batch
from minidw.schema.staging import OrderLine, OrderTotal
from minidw.settings import Settings
from minidw.transforms import replay as replay_sql
from minidw.transforms import staging as sql
from minidw.transforms.rules import rules_fingerprint
from minidw.transforms.sql import analyze


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
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """What judging every batch again made of staging: the order lines that appeared and ceased.

    ``pruned`` batches have no rows in raw any more; what staging has of them stands as it was judged.
    """

    reason: str
    batches: int
    appeared: int
    ceased: int
    rejected: int
    pruned: int


def stage(
    conn: Connection, settings: Settings, *, replay: bool = False, landed: int | None = None
) -> tuple[Replayed | None, list[Staged]]:
    """Stage every batch that is not staged yet, in the order of loading.

    Where the rules are no longer those by which earlier batches were judged, those are judged again first.
    ``landed``: the batch that this transaction brought into the landing table.
    Raises BadFileError where a batch has more rejects than the settings allow.
    """
    rules = rules_fingerprint(settings.rules)
    replayed = None
    if replay or conn.scalar(select(exists().where(replay_sql.to_replay, Batch.rules != rules))):
        replayed = _replay(conn, settings, rules, "asked for" if replay else "the rules of staging changed")
    waiting = select(*Batch.__table__.c).where(Batch.staged_at.is_(None)).order_by(Batch.batch_id)
    return replayed, [
        _stage_batch(conn, settings, rules, row, landed=row["batch_id"] == landed)
        for row in conn.execute(waiting).mappings().all()
    ]


def judge_again(conn: Connection, parameters: dict[str, Any], *, sample: bool = False) -> None:
    """Fill the temporary table of a stage with the judged rows of all staged batches, or of a sample."""
    conn.execute(sql.create_incoming(one_batch=False, sample=sample), parameters)
    conn.execute(replay_sql.insert_pruned(sample=sample), parameters)
    conn.execute(analyze(sql.incoming))


def _stage_batch(
    conn: Connection, settings: Settings, rules: str, batch: RowMapping, *, landed: bool
) -> Staged:
    parameters = {"batch_id": batch["batch_id"], **settings.rules}
    # Lines are numbered on the way from the landing table to the history.
    landed = landed and not batch["numbered_lines"]
    conn.execute(sql.create_incoming(one_batch=True, landed=landed), parameters)
    rejected = conn.execute(sql.insert_rejected()).rowcount + batch["malformed"]
    reasons: dict[str, int] = {}
    for query in (sql.malformed_codes(), sql.reject_reasons()) if rejected else ():
        reasons |= dict(conn.execute(query, parameters).all())
    if rejected > batch["rows_read"] * settings.max_reject_ratio:
        counts = ", ".join(f"{reason} {rows}" for reason, rows in reasons.items())
        raise BadFileError(
            batch["file_name"],
            "TOO_MANY_REJECTS",
            f"{rejected} of {batch['rows_read']} rows rejected ({counts}); nothing was stored;"
            f" MAX_REJECT_RATIO is {settings.max_reject_ratio}"
            + "".join(f"; {hint}" for hint in _date_hint(reasons, settings)),
        )
    # Before the statistics: with them the planner hashes here, and a large batch does not fit its memory.
    fates = {"rejected": rejected, "superseded": conn.execute(sql.delete_superseded()).rowcount}
    if conn.scalar(select(exists().select_from(OrderLine))):
        conn.execute(analyze(sql.incoming))
        appeared, ceased, unchanged = _apply(conn)
        fates |= {"inserted": appeared - ceased, "updated": ceased, "unchanged": unchanged}
    else:
        # The first lines of a warehouse need no queue: the marts have nothing yet and are built in full.
        fates |= {"inserted": _fill(conn), "updated": 0, "unchanged": 0}
        conn.execute(sql.analyze_lines())
        conn.execute(delete(OrderTotal))
        conn.execute(sql.count_totals())
        conn.execute(update(MartBuild).values(fingerprint=None))
    conn.execute(sql.drop_temporary())
    this_batch = update(Batch).where(Batch.batch_id == batch["batch_id"])
    conn.execute(this_batch.values(staged_at=func.clock_timestamp(), rules=rules, **fates))
    return Staged(
        batch_id=batch["batch_id"],
        file=batch["file_name"],
        rows_read=batch["rows_read"],
        **fates,
        reasons=reasons,
        hints=(*_date_hint(reasons, settings), *_line_hint(batch, fates["superseded"])),
    )


def _fill(conn: Connection) -> int:
    """The first lines of a warehouse: the indexes come after the rows, where we may and nobody is reading."""
    alone = owns(conn, OrderLine) and lock_at_once(conn, OrderLine)
    for statement in sql.drop_indexes() if alone else ():
        conn.execute(statement)
    rows = conn.execute(sql.insert_lines()).rowcount
    for statement in sql.create_indexes() if alone else ():
        conn.execute(statement)
    return rows


def _replay(conn: Connection, settings: Settings, rules: str, reason: str) -> Replayed:
    """Judge every staged batch again; what staging then holds differently becomes changes."""
    judge_again(conn, settings.rules)
    conn.execute(replay_sql.delete_rejected())
    rejected = conn.execute(sql.insert_rejected()).rowcount
    conn.execute(replay_sql.recount_batches())
    conn.execute(replay_sql.delete_outdated())
    appeared, ceased, _ = _apply(conn, replay=True)
    conn.execute(sql.drop_temporary())
    batches = conn.execute(update(Batch).where(replay_sql.to_replay).values(rules=rules)).rowcount
    pruned = conn.scalar(select(func.count()).where(Batch.pruned_at.is_not(None))) or 0
    return Replayed(reason, batches, appeared, ceased, rejected, pruned)


def _apply(conn: Connection, *, replay: bool = False) -> tuple[int, int, int]:
    """Queue what differs between staging and ``incoming`` as changes, and make them.

    Returns how many order lines appeared, ceased and were unchanged.
    """
    stage = {"stage": conn.scalar(select(sql.next_stage()))}
    # A replay may find the same values in another delivery: then that is where the line comes from.
    by = (*sql.VALUES, *sql.ORIGIN) if replay else sql.VALUES
    ceased = conn.execute(replay_sql.insert_vanished(), stage).rowcount if replay else 0
    unchanged = 0
    if conn.execute(sql.create_held()).rowcount:
        conn.execute(analyze(sql.held))
        unchanged = conn.execute(sql.delete_unchanged(by=by)).rowcount
        ceased += conn.execute(sql.insert_ceased(), stage).rowcount
    appeared = conn.execute(sql.insert_appeared(), stage).rowcount
    if ceased:
        conn.execute(sql.delete_ceased(), stage)
    conn.execute(sql.insert_lines())
    conn.execute(sql.merge_totals(), stage)
    return appeared, ceased, unchanged


def _date_hint(reasons: dict[str, int], settings: Settings) -> list[str]:
    if "OUT_OF_RANGE_DATE" not in reasons:
        return []
    first, last = settings.order_date_min, settings.order_date_max
    return [f"the range of dates is ORDER_DATE_MIN {first} to ORDER_DATE_MAX {last}"]


def _line_hint(batch: RowMapping, superseded: int) -> list[str]:
    if not superseded or "line_number" in batch["header"] or batch["numbered_lines"]:
        return []
    return [
        f"{superseded} rows were superseded by a later row of the same order;"
        " where the rows of an order are its lines, load with --number-lines"
    ]
