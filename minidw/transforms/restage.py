"""Some orders judged again: what all deliveries say of them, before and after a change of the deliveries.

An order is judged again with all its rows of every batch, so that each has the fate that it would have had.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Update,
    and_,
    case,
    cast,
    func,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased

from minidw.feed.feed import Translation
from minidw.schema.ledger import Batch
from minidw.schema.raw import OrderDelivered, OrderLanded
from minidw.schema.staging import OrderChange
from minidw.schema.vocabulary import ADMITTED_FATES, RAW_COLUMNS
from minidw.transforms.constructs import CreateTemporary, Query, insert_from
from minidw.transforms.judge import order_by_feed
from minidw.transforms.parse import named_orders
from minidw.transforms.replay import fates, fates_table
from minidw.transforms.staging import LINE_KEY, this_stage

fates_before = fates_table("orders_fates_before")
"""The fates before the change, as ``fates`` has those after it."""


def name_orders_of(
    batch_ids: Collection[int], translated: Mapping[Translation, Sequence[int]]
) -> CreateTemporary:
    """The orders that some batches name; ``translated``: what the feeds of all of them declare."""
    return CreateTemporary(named_orders.name, orders_of(batch_ids, translated))


def orders_of(batch_ids: Collection[int], translated: Mapping[Translation, Sequence[int]]) -> Query:
    """The orders that some batches name."""
    order_id = order_by_feed(translated).label("order_id")
    return select(order_id).where(OrderDelivered.batch_id.in_(batch_ids)).distinct()


def shift_counts(apart: Collection[int]) -> Update:
    """Into the ledger what the change makes of the rows of batches, save those set apart."""
    signed = union_all(
        *(
            select(table.c.batch_id, table.c.fate, (sign * func.count()).label("rows")).group_by(
                table.c.batch_id, table.c.fate
            )
            for table, sign in ((fates, 1), (fates_before, -1))
        )
    ).subquery("signed")
    moved = (
        select(
            signed.c.batch_id,
            *(
                func.sum(case((signed.c.fate == fate, signed.c.rows), else_=0)).label(fate)
                for fate in ADMITTED_FATES
            ),
        )
        .where(signed.c.batch_id.not_in(apart))
        .group_by(signed.c.batch_id)
        .subquery("moved")
    )
    return (
        update(Batch)
        .where(Batch.batch_id == moved.c.batch_id)
        .values({fate: getattr(Batch, fate) + cast(moved.c[fate], BigInteger) for fate in ADMITTED_FATES})
    )


def ceased_by_batch() -> Query:
    """Order lines of each batch that ceased in this stage, and those that came back in another version."""
    ceased, appeared = aliased(OrderChange, name="ceased"), aliased(OrderChange, name="appeared")
    same_line = and_(
        *(getattr(ceased, name) == getattr(appeared, name) for name in LINE_KEY),
        appeared.stage == this_stage,
        appeared.change == 1,
    )
    return (
        select(
            ceased.batch_id,
            func.count().label("ceased"),
            func.count(appeared.order_id).label("came_back"),
        )
        .join_from(ceased, appeared, same_line, isouter=True)
        .where(ceased.stage == this_stage, ceased.change == -1)
        .group_by(ceased.batch_id)
    )


def counts_of(batch_id: int) -> Query:
    """The rows of a batch by fate, after the change."""
    return (
        select(fates.c.fate, func.count().label("rows"))
        .where(fates.c.batch_id == batch_id)
        .group_by(fates.c.fate)
    )


def insert_landed() -> Insert:
    """The rows of the last batch as COPY left them, unless they were pruned or unloaded.

    Where minidw numbered the lines, the file had no numbers.
    """
    there = aliased(Batch)
    last = select(func.max(there.batch_id)).where(there.unloaded_at.is_(None)).scalar_subquery()
    columns: dict[str, ColumnElement[Any]] = {
        name: getattr(OrderDelivered, name).expression for name in ("source_row", *RAW_COLUMNS)
    }
    columns["line_number"] = case((Batch.numbered_lines, null()), else_=columns["line_number"])
    rows = select(*(value.label(name) for name, value in columns.items()))
    same_batch = OrderDelivered.batch_id == Batch.batch_id
    return insert_from(
        OrderLanded, rows.join_from(OrderDelivered, Batch, same_batch).where(Batch.batch_id == last)
    )
