"""The order lines that held after a batch: what the deliveries up to it say, of those that are there."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Insert,
    TableClause,
    and_,
    cast,
    column,
    func,
    not_,
    select,
    table,
    text,
    union,
    union_all,
)
from sqlalchemy.orm import aliased

from minidw.feed.feed import Translation
from minidw.schema.ledger import Batch
from minidw.schema.mart import Mart
from minidw.schema.staging import OrderLine
from minidw.transforms.constructs import CreateTemporary, Query, insert_from
from minidw.transforms.marts import query_over
from minidw.transforms.parse import is_named, named_orders
from minidw.transforms.replay import fates, is_pruned
from minidw.transforms.restage import orders_of
from minidw.transforms.staging import ORIGIN, incoming


def name_orders_since(
    batch_id: int, later: Collection[int], translated: Mapping[Translation, Sequence[int]]
) -> CreateTemporary:
    """The orders that may have changed since a batch: later ones name them, or did until they were pruned."""
    pruned = select(OrderLine.order_id).where(OrderLine.batch_id > batch_id, is_pruned(OrderLine))
    return CreateTemporary(named_orders.name, select(union(orders_of(later, translated), pruned).subquery()))


def lines_after(held: TableClause) -> Any:
    """The order lines after the batch up to which ``held`` has the fates."""
    names = [column.name for column in OrderLine.__table__.c]
    others = select(*(getattr(OrderLine, name) for name in names))
    newest = and_(*(held.c[name] == incoming.c[name] for name in ORIGIN), held.c.recency == 1)
    named = select(*(incoming.c[name] for name in names)).join_from(incoming, held, newest)
    others = others.where(not_(is_named(OrderLine.order_id.expression)))
    return aliased(OrderLine, union_all(others, named).subquery(f"lines_{held.name}"))


def mart_table(mart: type[Mart], state: str) -> TableClause:
    """A temporary table with the columns of a mart."""
    columns = (column(made.name, made.type) for made in mart.__table__.c)
    return table(f"{mart.__tablename__}_{state}", *columns)


def fill(mart: type[Mart], state: str, lines: Any) -> tuple[Any, Insert]:
    """Make that table and fill it: from order lines, or from the table of the mart that it derives from."""
    target = mart_table(mart, state)
    source = lines
    if issubclass(mart.source, Mart):
        source = aliased(mart.source, mart_table(mart.source, state), adapt_on_names=True)
    # With the columns that the database computes: another mart may derive from them.
    create = text(f"CREATE TEMPORARY TABLE {target.name} (LIKE {mart.__table__} INCLUDING GENERATED)")
    return create, insert_from(target, query_over(mart, source))


def lines_with_pruned_past(later: Collection[int]) -> Query:
    """How many lines of later batches were there before in a version that was pruned: it is not known."""
    found = (
        select(fates.c.batch_id, func.count().label("rows"))
        .where(fates.c.fate == "inserted", fates.c.batch_id.in_(later))
        .group_by(fates.c.batch_id)
        .subquery("found")
    )
    lost = func.greatest(found.c.rows - Batch.inserted, 0)
    total = cast(func.coalesce(func.sum(lost), 0), BigInteger)
    return select(total).join_from(found, Batch, found.c.batch_id == Batch.batch_id)
