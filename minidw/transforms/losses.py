"""Ways of losing order lines in silence: each a select of the lines that are, or would be, lost.

They read the temporary tables of a stage: what a batch brings, or all deliveries of some orders.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, TableClause, and_, exists, func, not_, or_, select
from sqlalchemy.orm import aliased

from minidw.schema.ledger import Batch, place_of
from minidw.schema.staging import OrderLine
from minidw.schema.vocabulary import RETURNED
from minidw.transforms.constructs import Query
from minidw.transforms.parse import Scope, is_named
from minidw.transforms.replay import last_pruned_before
from minidw.transforms.staging import LINE_KEY, ORIGIN, admitted, held, incoming

WHAT_IS_SOLD = ("product_id", "price", "quantity")


def batches_with_numbers(*, without: int) -> Query:
    """Whether another batch that is staged has line numbers."""
    declared = Batch.feed["columns"].has_key("line_number")
    numbered = or_(Batch.numbered_lines, Batch.header.has_key("line_number"), declared)
    there = and_(Batch.staged_at.is_not(None), Batch.unloaded_at.is_(None), Batch.batch_id != without)
    return select(exists().where(numbered, there))


def orders_without_numbers(batch_id: int, scope: Scope) -> Query:
    """Orders that have several lines, and that a batch brings without line numbers."""
    orders = select(incoming.c.order_id).where(incoming.c.batch_id == batch_id, admitted)
    arriving = orders.distinct().subquery("arriving")
    others = incoming.alias("others") if scope is Scope.NAMED else OrderLine.__table__
    found = (
        select(arriving.c.order_id, func.max(others.c.line_number).label("last_line"))
        .join_from(arriving, others, arriving.c.order_id == others.c.order_id)
        .where(others.c.line_number > 1, others.c.batch_id != batch_id)
    )
    if scope is Scope.NAMED:
        found = found.where(others.c.reasons.is_(None))
    return found.group_by(arriving.c.order_id).order_by(arriving.c.order_id)


def rejects_of_staged_lines(batch_id: int) -> Query:
    """Rejected rows of a batch whose order line is staged as it was before them."""
    own, theirs = aliased(Batch), aliased(Batch)
    same_line = and_(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY))
    repeated = and_(OrderLine.batch_id == batch_id, OrderLine.source_row > incoming.c.source_row)
    return (
        select(
            *(incoming.c[name] for name in ORIGIN),
            *(incoming.c[name] for name in LINE_KEY),
            func.array_to_string(incoming.c.reasons, " ").label("reasons"),
            OrderLine.batch_id.label("staged_from"),
            OrderLine.status.label("staged_status"),
            OrderLine.total_amount.label("staged_amount"),
        )
        .join_from(incoming, OrderLine, same_line)
        .join(own, own.batch_id == incoming.c.batch_id)
        .join(theirs, theirs.batch_id == OrderLine.batch_id)
        .where(
            incoming.c.batch_id == batch_id,
            not_(admitted),
            place_of(theirs) <= place_of(own),
            not_(repeated),
        )
        .order_by(incoming.c.source_row)
    )


def numbered_lines_replaced(batch_id: int, gone: Collection[int] = ()) -> Query:
    """Lines of other batches in whose place rows of a batch whose lines were numbered sell something else.

    A return at another time is another return, though it takes back the same.
    """
    differs = or_(*(held.c[name] != incoming.c[name] for name in WHAT_IS_SOLD))
    at_another_time = held.c.order_timestamp != incoming.c.order_timestamp
    told = (*WHAT_IS_SOLD, "order_timestamp")
    same_line = and_(*(held.c[name] == incoming.c[name] for name in LINE_KEY))
    return (
        select(
            *(incoming.c[name] for name in (*ORIGIN, *LINE_KEY)),
            held.c.batch_id.label("replaced_from"),
            *(held.c[name].label(f"replaced_{name}") for name in told),
            *(incoming.c[name] for name in told),
        )
        .join_from(incoming, held, same_line)
        .where(
            incoming.c.batch_id == batch_id,
            held.c.batch_id.not_in([*gone, batch_id]),
            admitted,
            or_(differs, and_(incoming.c.status == RETURNED, at_another_time)),
        )
        .order_by(*(incoming.c[name] for name in LINE_KEY))
    )


def pruned_versions(fates: TableClause, scope: Scope) -> Query:
    """Order lines that vanish, and of which a pruned batch had an earlier version that cannot come back.

    What was pruned is not known any more, but the ledger knows how many rows of a batch found their order
    line there before them: so many lines of the batch at most are meant. ``fates`` are those by which the
    ledger counts, or nearly so.
    """
    ledger = aliased(Batch)
    last_pruned = last_pruned_before(ledger)
    known = (
        select(fates.c.batch_id, func.count().label("rows"))
        .join_from(fates, ledger, fates.c.batch_id == ledger.batch_id)
        .where(fates.c.fate.in_(["updated", "unchanged"]), fates.c.before >= last_pruned)
        .group_by(fates.c.batch_id)
        .subquery("known")
    )
    supported = exists().where(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY), admitted)
    vanishing: list[ColumnElement[bool]] = [not_(supported), last_pruned > 0]
    if scope is Scope.NAMED:
        vanishing.append(is_named(OrderLine.order_id.expression))
    number = func.row_number().over(
        partition_by=OrderLine.batch_id, order_by=[getattr(OrderLine, name) for name in LINE_KEY]
    )
    found_before = ledger.updated + ledger.unchanged - func.coalesce(known.c.rows, 0)
    lines = (
        select(
            *(getattr(OrderLine, name) for name in LINE_KEY),
            OrderLine.batch_id.label("last_from"),
            OrderLine.total_amount.label("last_amount"),
            number.label("number"),
            found_before.label("found_before"),
        )
        .join_from(OrderLine, ledger, OrderLine.batch_id == ledger.batch_id)
        .join(known, OrderLine.batch_id == known.c.batch_id, isouter=True)
        .where(*vanishing)
        .subquery("lines")
    )
    names = (*LINE_KEY, "last_from", "last_amount")
    return (
        select(*(lines.c[name] for name in names))
        .where(lines.c.number <= lines.c.found_before)
        .order_by(*(lines.c[name] for name in LINE_KEY))
    )
