"""raw → staging: judged rows in; rejects, changes, order lines and control totals out.

A stage works on a temporary table of judged rows, ``incoming``, so that each is parsed once. It is
reduced to one row per order line, compared with what is staged, and the differences become changes;
the changes are then applied. A batch and a replay of all batches differ only in how they fill and
reduce ``incoming``.
"""

from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Integer,
    Numeric,
    ScalarSelect,
    Table,
    TableClause,
    Text,
    TextClause,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    not_,
    select,
    table,
    text,
)
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex, ExecutableDDLElement
from sqlalchemy.types import TypeEngine

from minidw.feed.feed import Translation
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected, OrderTotal
from minidw.schema.vocabulary import STAGED_COLUMNS
from minidw.transforms.constructs import CreateTemporary, Merge, Query, analyze, insert_from, next_id
from minidw.transforms.judge import judged, judged_by_feed
from minidw.transforms.parse import Scope

LINE_KEY = ("order_id", "line_number")
ORIGIN = ("batch_id", "source_row")
VALUES = tuple(name for name in STAGED_COLUMNS if name not in (*LINE_KEY, *ORIGIN))
"""The columns by which a delivery differs from what is staged."""

# A rejected row may carry a number that no column of staging has room for.
_WIDE: dict[str, TypeEngine[Any]] = {
    "line_number": BigInteger(),
    "price": Numeric(),
    "discount": Numeric(),
    "total_amount": Numeric(),
    "quantity": BigInteger(),
}
incoming = table(
    "orders_incoming",
    *(column(name, _WIDE.get(name) or OrderLine.__table__.c[name].type) for name in STAGED_COLUMNS),
    column("reasons", ARRAY(Text)),
)
held = table("orders_held", *(column(name, OrderLine.__table__.c[name].type) for name in STAGED_COLUMNS))
_LINES = cast("Table", OrderLine.__table__)
_KEY, _INDEXES = _LINES.primary_key, sorted(_LINES.indexes, key=lambda index: str(index.name))
INDEXES = [str(_KEY.name), *(str(index.name) for index in _INDEXES)]
"""The indexes of staging.orders_stg, that of its key first."""

admitted = incoming.c.reasons.is_(None)
this_stage = bindparam("stage", type_=Integer)


def create_incoming(scope: Scope, *translations: Translation) -> CreateTemporary:
    """The judged rows of a scope, each parsed once: of one batch by its feed, of all each by its own."""
    if scope in (Scope.LANDED, Scope.BATCH):
        return CreateTemporary(incoming.name, judged(scope, *translations))
    return CreateTemporary(incoming.name, judged_by_feed(scope, translations))


def analyze_lines() -> TextClause:
    """Statistics of a staging table that was filled at once, as autovacuum would gather them later."""
    return text(f"SET LOCAL default_statistics_target TO DEFAULT; {analyze(_LINES)}")


def drop_temporary(*more: TableClause) -> TextClause:
    """They have served; a caller's transaction may go on and stage again."""
    return text(f"DROP TABLE IF EXISTS {', '.join(table.name for table in (incoming, held, *more))}")


def insert_rejected(*where: ColumnElement[bool]) -> Insert:
    """Rejected rows with all their reasons; ``where`` leaves rows out."""
    query = select(incoming.c.batch_id, incoming.c.source_row, incoming.c.reasons)
    return insert_from(OrderRejected, query.where(not_(admitted), *where))


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


def next_stage() -> ScalarSelect[int]:
    """The number of a stage among the changes that wait."""
    return next_id(OrderChange.stage)


def create_held() -> CreateTemporary:
    """What is staged of the order lines that ``incoming`` brings: the one look at the history."""
    lines = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS))
    same_line = and_(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY))
    return CreateTemporary(held.name, lines.join_from(incoming, OrderLine, same_line).where(admitted))


def delete_unchanged(*, by: tuple[str, ...] = VALUES) -> Delete:
    """What is staged already needs no change; what stays in ``incoming`` is new or differs."""
    return delete(incoming).where(*(held.c[name] == incoming.c[name] for name in (*LINE_KEY, *by)), admitted)


def insert_ceased() -> Insert:
    """-1 for every staged row that a row of ``incoming`` replaces."""
    same_line = and_(*(held.c[name] == incoming.c[name] for name in LINE_KEY))
    return insert_from(OrderChange, change_of(held, -1).join_from(held, incoming, same_line).where(admitted))


def insert_appeared() -> Insert:
    """+1 for every admitted row."""
    return insert_from(OrderChange, change_of(incoming, 1).where(admitted))


def change_of(lines: FromClause, sign: int) -> Query:
    """The rows of a table as changes of this stage."""
    columns = (lines.c[name] for name in STAGED_COLUMNS)
    return select(this_stage.label("stage"), *columns, literal(sign).label("change"))


def delete_vanished() -> Delete:
    """The staged rows that ceased to hold in this stage, and that nothing replaces."""
    replaced = exists().where(*(incoming.c[name] == getattr(OrderLine, name) for name in LINE_KEY), admitted)
    return delete(OrderLine).where(
        *(getattr(OrderLine, name) == getattr(OrderChange, name) for name in LINE_KEY),
        OrderChange.stage == this_stage,
        OrderChange.change == -1,
        not_(replaced),
    )


def insert_lines() -> Insert:
    """Every admitted row, where none of their order lines is staged."""
    return insert_from(OrderLine, select(*(incoming.c[name] for name in STAGED_COLUMNS)).where(admitted))


def merge_lines() -> Merge:
    """Every admitted row: into its order line where that is staged, which others may refer to."""
    lines = select(*(incoming.c[name] for name in STAGED_COLUMNS)).where(admitted).subquery("lines")
    values = {name: lines.c[name] for name in STAGED_COLUMNS if name not in LINE_KEY}
    return Merge(_LINES, lines, on=LINE_KEY, update=values, insert=STAGED_COLUMNS)


def drop_indexes() -> list[ExecutableDDLElement]:
    """Take the indexes off staging.orders_stg, to build them after its first rows."""
    return [DropConstraint(_KEY), *map(DropIndex, _INDEXES)]


def create_indexes() -> list[ExecutableDDLElement]:
    """Build the indexes of staging.orders_stg."""
    return [AddConstraint(_KEY, isolate_from_table=False), *map(CreateIndex, _INDEXES)]


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
