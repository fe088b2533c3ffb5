"""Old batches out of raw: their rows go, the ledger's line, staging and the marts stay."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from minidw.schema.ledger import Batch
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.transforms.replay import has_rows


@dataclass(frozen=True)
class Pruned:
    """What was removed from raw.

    batch_ids: the batches
    rows: the rows that they had

    Example:
        >>> minidw.prune(date(2020, 1, 1)).pruned
        Pruned(batch_ids=[], rows=0)
    """

    batch_ids: list[int]
    rows: int


def prunable(before: date) -> tuple[ColumnElement[bool], ...]:
    """The batches that were loaded before a day (UTC), have reached the marts, and are still in raw."""
    return Batch.load_date < before, Batch.built_at.is_not(None), has_rows


def remove_rows(conn: Connection, before: date) -> Pruned:
    """Remove the raw rows of the batches that were loaded before a day (UTC) and have reached the marts."""
    due = select(Batch.batch_id).where(*prunable(before))
    batch_ids = list(conn.scalars(due.order_by(Batch.batch_id)))
    rows = conn.execute(delete(OrderDelivered).where(OrderDelivered.batch_id.in_(batch_ids))).rowcount
    conn.execute(delete(LineMalformed).where(LineMalformed.batch_id.in_(batch_ids)))
    if conn.scalar(select(func.max(Batch.batch_id)).where(Batch.unloaded_at.is_(None))) in batch_ids:
        conn.execute(delete(OrderLanded))
    pruned = update(Batch).where(Batch.batch_id.in_(batch_ids))
    conn.execute(pruned.values(pruned_at=func.clock_timestamp()))
    return Pruned(batch_ids, rows)
