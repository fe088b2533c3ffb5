"""Batches taken back: staging becomes what the other deliveries say, and the ledger keeps their lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, func, or_, select, update

from minidw.errors import SettingsError
from minidw.schema.ledger import Batch, place_of
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.schema.staging import OrderRejected
from minidw.settings import Settings
from minidw.steps.check import Checked
from minidw.steps.replay import translated_batches
from minidw.steps.restage import Restaged, restage_named
from minidw.steps.stage import Staged
from minidw.transforms import restage
from minidw.transforms.staging import incoming


@dataclass(frozen=True)
class Unloaded:
    """A batch that was taken back, and what that made of staging.

    batch_id, file: the batch, and the name of its file
    rows: the rows that left raw, malformed lines among them
    ceased: order lines that held, and ceased
    came_back: of these, those that came back in an earlier version, or in that of the batch in its place

    Example:
        >>> unloaded = minidw.unload(1).unloaded[0]
        >>> unloaded.rows, unloaded.ceased, unloaded.came_back
        (5, 4, 0)
    """

    batch_id: int
    file: str
    rows: int
    ceased: int
    came_back: int


def take_back(conn: Connection, batch_ids: Sequence[int]) -> list[RowMapping]:
    """Note in the ledger that batches are taken back; returns their lines, each with its ``place``.

    Raises SettingsError where one cannot be.
    """
    columns = (*Batch.__table__.c, place_of(Batch).label("place"))
    found = select(*columns).where(Batch.batch_id.in_(batch_ids)).order_by(Batch.batch_id)
    batches = conn.execute(found).mappings().all()
    if missing := sorted(set(batch_ids) - {batch["batch_id"] for batch in batches}):
        raise SettingsError(f"there is no batch {missing[0]}: minidw status lists the last ones")
    for batch in batches:
        name = f"batch {batch['batch_id']} ({batch['file_name']})"
        if batch["unloaded_at"]:
            raise SettingsError(f"{name} was unloaded already, at {batch['unloaded_at']:%Y-%m-%d %H:%M:%S}")
        if batch["pruned_at"]:
            raise SettingsError(
                f"{name} was pruned from raw at {batch['pruned_at']:%Y-%m-%d %H:%M:%S}:"
                " nothing tells any more which order lines it named, so it cannot be unloaded"
            )
    taken = update(Batch).where(Batch.batch_id.in_(batch_ids))
    conn.execute(taken.values(unloaded_at=func.clock_timestamp()))
    return list(batches)


def remove_batches(
    conn: Connection,
    settings: Settings,
    batches: Sequence[RowMapping],
    warned: list[Checked],
    arrived: int | None = None,
) -> tuple[list[Unloaded], list[Staged]]:
    """Remove the rows of batches that were taken back; staging becomes what the other deliveries say.

    ``arrived``: a batch that was loaded in place of one of them; it is staged, if that was. What would be
    lost without a word is added to ``warned``.
    """
    gone = [batch["batch_id"] for batch in batches]
    staged_before = [batch["batch_id"] for batch in batches if batch["staged_at"]]
    restaged = Restaged({})
    if staged_before:
        new = None
        if arrived is not None:
            new = conn.execute(select(Batch.__table__).where(Batch.batch_id == arrived)).mappings().one()
            staged_before.append(arrived)
        translated = translated_batches(conn, staged_before)
        conn.execute(restage.name_orders_of(staged_before, translated))
        they_go = delete(incoming).where(incoming.c.batch_id.in_(gone))
        restaged = restage_named(conn, settings, [they_go], warned, gone=gone, arrived=new)
    conn.execute(delete(OrderRejected).where(OrderRejected.batch_id.in_(gone)))
    unloaded = []
    for batch in batches:
        rows = sum(
            conn.execute(delete(table).where(table.batch_id == batch["batch_id"])).rowcount
            for table in (OrderDelivered, LineMalformed)
        )
        ceased = restaged.ceased.get(batch["batch_id"], (0, 0))
        unloaded.append(Unloaded(batch["batch_id"], batch["file_name"], rows, *ceased))
    last = select(func.max(Batch.batch_id)).where(or_(Batch.unloaded_at.is_(None), Batch.batch_id.in_(gone)))
    if conn.scalar(last) in gone:
        _land_last_batch(conn)
    return unloaded, [] if restaged.staged is None else [restaged.staged]


def _land_last_batch(conn: Connection) -> None:
    """The landing table has the last batch that is there, as before the one that is gone was loaded."""
    conn.execute(delete(OrderLanded))
    conn.execute(restage.insert_landed())
