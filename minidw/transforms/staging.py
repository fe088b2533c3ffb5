"""raw → staging: judged rows in; rejects, changes, order lines and control totals out.

A stage works on a temporary table of judged rows, ``incoming``, so that each is parsed once. It is
reduced to one row per order line, compared with what is staged, and the differences become changes;
the changes are then applied. A batch and a replay of all batches differ only in how they fill and
reduce ``incoming``.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Delete,
    Insert,
    Integer,
    MetaData,
    Numeric,
    ScalarSelect,
    Table,
    Text,
    TextClause,
    and_,
    bindparam,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from minidw.schema.staging import STAGED_COLUMNS, OrderChange, OrderLine, OrderRejected, OrderTotal
from minidw.transforms.rules import judged
from minidw.transforms.sql import Merge, Query, insert_from, next_id

LINE_KEY = ("order_id", "line_number")
ORIGIN = ("batch_id", "source_row")
VALUES = tuple(name for name in STAGED_COLUMNS if name not in (*LINE_KEY, *ORIGIN))
"""The columns by which a delivery differs from what is staged."""

# A rejected row may carry a number that no column of staging has room for.
_WIDE: dict[str, TypeEngine[Any]] = {
    "line_number": BigInteger(),
    "price": Numeric(),
    "quantity": BigInteger(),
}
incoming = Table(
    "orders_incoming",
    MetaData(),
    *(Column(name, _WIDE.get(name) or OrderLine.__table__.c[name].type) for name in STAGED_COLUMNS),
    Column("reasons", ARRAY(Text)),
    prefixes=["TEMPORARY"],
)

admitted = incoming.c.reasons.is_(None)
same_line = and_(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY))
this_stage = bindparam("stage", type_=Integer)


def create_incoming() -> CreateTable:
    """A temporary table of judged rows."""
    return CreateTable(incoming)


def insert_incoming(*, one_batch: bool, sample: bool = False) -> Insert:
    """The judged rows of the batch bound as ``batch_id``, or of every staged batch, or of a sample."""
    return insert_from(incoming, judged(one_batch=one_batch, sample=sample))


def analyze_incoming() -> TextClause:
    """Statistics, which no background process gathers for a temporary table."""
    return text(f"ANALYZE {incoming.name}")


def drop_incoming() -> TextClause:
    """The temporary table has served; a caller's transaction may go on and stage again."""
    return text(f"DROP TABLE {incoming.name}")


def reject_reasons() -> Query:
    """Number of rejected rows by reason, most frequent first."""
    reason = func.unnest(incoming.c.reasons).label("reason")
    reasons = select(reason).select_from(incoming).where(not_(admitted)).subquery("reasons")
    rows = func.count().label("rows")
    return select(reasons.c.reason, rows).group_by(reasons.c.reason).order_by(rows.desc(), reasons.c.reason)


def insert_rejected() -> Insert:
    """Rejected rows with all their reasons."""
    query = select(incoming.c.batch_id, incoming.c.source_row, incoming.c.reasons)
    return insert_from(OrderRejected, query.where(not_(admitted)))


def count_admitted() -> Query:
    """How many rows are neither rejected nor removed from ``incoming``."""
    return select(func.count()).select_from(incoming).where(admitted)


def delete_superseded() -> Delete:
    """Of several admitted rows of an order line in one batch, only the last stays."""
    line = [incoming.c[name] for name in LINE_KEY]
    repeated = (
        select(*line, func.max(incoming.c.source_row).label("last_row"))
        .where(admitted)
        .group_by(*line)
        .having(func.count() > 1)
        .subquery("repeated")
    )
    return delete(incoming).where(
        *(incoming.c[name] == repeated.c[name] for name in LINE_KEY),
        incoming.c.source_row < repeated.c.last_row,
        admitted,
    )


def insert_all_lines() -> Insert:
    """Every admitted row, into a staging table that is empty."""
    return insert_from(OrderLine, select(*(incoming.c[name] for name in STAGED_COLUMNS)).where(admitted))


def next_stage() -> ScalarSelect[int]:
    """The number of a stage among the changes that wait."""
    return next_id(OrderChange.stage)


def insert_appeared(*, by: tuple[str, ...] = VALUES) -> Insert:
    """+1 for every admitted row that is new or differs from what is staged."""
    query = (
        select(
            this_stage.label("stage"),
            *(incoming.c[name] for name in STAGED_COLUMNS),
            literal(1).label("change"),
        )
        .join_from(incoming, OrderLine, same_line, isouter=True)
        .where(admitted, or_(OrderLine.order_id.is_(None), _differs(by)))
    )
    return insert_from(OrderChange, query)


def insert_replaced(*, by: tuple[str, ...] = VALUES) -> Insert:
    """-1 for every staged row that a differing one replaces."""
    query = ceasing().join_from(incoming, OrderLine, same_line).where(admitted, _differs(by))
    return insert_from(OrderChange, query)


def merge_lines() -> Merge:
    """The rows that appeared in this stage, brought into staging."""
    appeared = (
        select(*(getattr(OrderChange, name) for name in STAGED_COLUMNS))
        .where(OrderChange.stage == this_stage, OrderChange.change == 1)
        .subquery("appeared")
    )
    return Merge(
        OrderLine.__table__,
        appeared,
        on=LINE_KEY,
        update={name: appeared.c[name] for name in STAGED_COLUMNS if name not in LINE_KEY},
        insert=STAGED_COLUMNS,
    )


def merge_totals() -> Merge:
    """The changes of this stage, added to the control totals."""
    change = OrderChange.change
    changes = (
        select(
            OrderChange.status,
            func.sum(change).label("order_lines"),
            func.sum(change * OrderChange.quantity).label("quantity"),
            func.sum(change * OrderChange.total_amount).label("total_amount"),
        )
        .where(OrderChange.stage == this_stage)
        .group_by(OrderChange.status)
        .subquery("changes")
    )
    totals, sums = OrderTotal.__table__, ("order_lines", "quantity", "total_amount")
    return Merge(
        totals,
        changes,
        on=("status",),
        delete_when=totals.c.order_lines + changes.c.order_lines == 0,
        update={name: totals.c[name] + changes.c[name] for name in sums},
        insert=("status", *sums),
        insert_when=changes.c.order_lines > 0,
    )


def count_totals() -> Insert:
    """The control totals of a staging table that was filled at once."""
    return insert_from(OrderTotal, totals_of_lines())


def totals_of_lines() -> Query:
    """What the control totals must be."""
    return select(
        OrderLine.status,
        func.count().label("order_lines"),
        func.sum(OrderLine.quantity).label("quantity"),
        func.sum(OrderLine.total_amount).label("total_amount"),
    ).group_by(OrderLine.status)


def ceasing() -> Query:
    return select(
        this_stage.label("stage"),
        *(getattr(OrderLine, name) for name in STAGED_COLUMNS),
        literal(-1).label("change"),
    )


def _differs(by: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*(getattr(OrderLine, name) != incoming.c[name] for name in by))
