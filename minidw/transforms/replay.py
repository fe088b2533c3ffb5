"""All batches judged again: their fates from scratch, what staging must hold, and how it differs.

Works on the same temporary table as a stage, filled with every staged batch.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Subquery,
    Update,
    and_,
    case,
    delete,
    exists,
    func,
    not_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from minidw.schema.ledger import Batch
from minidw.schema.raw import OrderDelivered
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected
from minidw.schema.vocabulary import ADMITTED_FATES, STAGED_COLUMNS
from minidw.transforms.constructs import Query, both_ways, in_sample, insert_from, nfc, trimmed
from minidw.transforms.parse import Scope
from minidw.transforms.staging import LINE_KEY, ORIGIN, VALUES, admitted, change_of, incoming

to_replay = and_(Batch.staged_at.is_not(None), Batch.pruned_at.is_(None))
"""The batches whose rows can be judged again."""


def insert_pruned(scope: Scope) -> Insert:
    """What staging has of the batches whose raw rows were pruned: it stands as it was judged."""
    lines = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS))
    if scope is Scope.SAMPLE:
        lines = lines.where(in_sample(OrderLine.order_id.expression))
    return insert_from(incoming, lines.where(is_pruned(OrderLine)))


def is_pruned(table: type[OrderLine] | type[OrderRejected]) -> ColumnElement[bool]:
    """Whether a row came in a batch whose raw rows were pruned."""
    return table.batch_id.in_(select(Batch.batch_id).where(Batch.pruned_at.is_not(None)))


def delete_rejected() -> Delete:
    """Every reject that is going to be judged again."""
    return delete(OrderRejected).where(not_(is_pruned(OrderRejected)))


def fates() -> Subquery:
    """Every admitted row of every batch with its ``fate``, and its ``place`` among those that changed a line.

    The newest such row, of place 1, is what staging holds of the line.
    """
    line = [incoming.c[name] for name in LINE_KEY]
    delivery = [incoming.c[name] for name in ORIGIN]
    next_batch = func.lead(incoming.c.batch_id).over(partition_by=line, order_by=delivery)
    rows = (
        select(
            *(incoming.c[name] for name in STAGED_COLUMNS),
            (next_batch == incoming.c.batch_id).label("replaced"),
        )
        .where(admitted)
        .subquery("rows")
    )
    replaced = func.coalesce(rows.c.replaced, False)

    def before(name: str) -> ColumnElement[Any]:
        # Superseded rows come before the row that replaces them: they are set apart by the partition.
        return func.lag(rows.c[name]).over(
            partition_by=[*(rows.c[key] for key in LINE_KEY), replaced], order_by=rows.c.batch_id
        )

    same = and_(*(rows.c[name] == before(name) for name in VALUES))
    judged_rows = select(
        *(rows.c[name] for name in STAGED_COLUMNS),
        case(
            (replaced, "superseded"),
            (before("batch_id").is_(None), "inserted"),
            (same, "unchanged"),
            else_="updated",
        ).label("fate"),
    ).subquery("fates")
    changed = judged_rows.c.fate.in_(["inserted", "updated"])
    place = func.row_number().over(
        partition_by=[*(judged_rows.c[name] for name in LINE_KEY), changed],
        order_by=judged_rows.c.batch_id.desc(),
    )
    return select(judged_rows, case((changed, place)).label("place")).subquery("placed")


def recount_batches() -> Update:
    """The ledger's counts of every batch, as though the present rules had always held."""
    placed = fates()
    counts = (
        select(
            placed.c.batch_id,
            *(func.count(case((placed.c.fate == fate, 1))).label(fate) for fate in ADMITTED_FATES),
        )
        .group_by(placed.c.batch_id)
        .subquery("counts")
    )
    rejects = (
        select(OrderRejected.batch_id, func.count().label("rejected"))
        .group_by(OrderRejected.batch_id)
        .subquery("rejects")
    )
    ledger = aliased(Batch)
    found = (
        select(
            ledger.batch_id,
            *(func.coalesce(counts.c[name], 0).label(name) for name in ADMITTED_FATES),
            (func.coalesce(rejects.c.rejected, 0) + ledger.malformed).label("rejected"),
        )
        .join_from(ledger, counts, ledger.batch_id == counts.c.batch_id, isouter=True)
        .join(rejects, ledger.batch_id == rejects.c.batch_id, isouter=True)
        .where(ledger.staged_at.is_not(None), ledger.pruned_at.is_(None))
        .subquery("found")
    )
    return (
        update(Batch)
        .where(Batch.batch_id == found.c.batch_id)
        .values({name: found.c[name] for name in (*ADMITTED_FATES, "rejected")})
    )


def delete_outdated() -> Delete:
    """Of the rows of all batches, only the newest change of each order line stays."""
    placed = fates()
    newest = select(*(placed.c[name] for name in ORIGIN)).where(placed.c.place == 1).subquery("newest")
    stays = exists().where(*(newest.c[name] == incoming.c[name] for name in ORIGIN))
    return delete(incoming).where(admitted, not_(stays))


def insert_vanished() -> Insert:
    """-1 for every staged row whose order line no delivery supports any more."""
    supported = exists().where(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY), admitted)
    lines = change_of(OrderLine.__table__, -1)
    return insert_from(OrderChange, lines.where(not_(supported)))


def rejects_difference(scope: Scope) -> Query:
    """Rejects that judging does not lead to, and the other way round; before ``delete_outdated``."""
    held = select(OrderRejected.batch_id, OrderRejected.source_row, OrderRejected.reasons)
    held = held.where(not_(is_pruned(OrderRejected)))
    if scope is Scope.SAMPLE:
        ours = exists().where(
            OrderDelivered.batch_id == OrderRejected.batch_id,
            OrderDelivered.source_row == OrderRejected.source_row,
            in_sample(nfc(trimmed(OrderDelivered.order_id))),
        )
        held = held.where(ours)
    due = select(incoming.c.batch_id, incoming.c.source_row, incoming.c.reasons).where(not_(admitted))
    return both_ways(held, due, order_by=ORIGIN)


def lines_difference(scope: Scope) -> Query:
    """Order lines that raw does not lead to, and the other way round; after ``delete_outdated``."""
    held = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS))
    if scope is Scope.SAMPLE:
        held = held.where(in_sample(OrderLine.order_id.expression))
    due = select(*(incoming.c[name] for name in STAGED_COLUMNS)).where(admitted)
    return both_ways(held, due, order_by=LINE_KEY)
