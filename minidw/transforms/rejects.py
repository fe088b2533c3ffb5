"""Rejected rows and malformed lines, as they were delivered."""

from sqlalchemy import ARRAY, Integer, Text, and_, bindparam, func, literal, select

from minidw.schema.raw import LineMalformed, OrderDelivered
from minidw.schema.staging import OrderRejected
from minidw.schema.vocabulary import NO_FAULTS, RAW_COLUMNS
from minidw.transforms.constructs import Query

this_batch = bindparam("batch_id", type_=Integer)


def reject_reasons() -> Query:
    """Rejected rows of a batch by reason, most frequent first: how many, and the first of them."""
    reason = func.unnest(OrderRejected.reasons).label("reason")
    reasons = (
        select(reason, OrderRejected.source_row)
        .where(OrderRejected.batch_id == this_batch)
        .subquery("reasons")
    )
    rows, first = func.count().label("rows"), func.min(reasons.c.source_row).label("first")
    by_reason = select(reasons.c.reason, rows, first).group_by(reasons.c.reason)
    return by_reason.order_by(rows.desc(), reasons.c.reason)


def count_set_aside() -> Query:
    """Number of rejected rows of the batch bound as ``batch_id`` in which there is no fault."""
    no_fault = OrderRejected.reasons.bool_op("<@")(literal(list(NO_FAULTS), ARRAY(Text)))
    return select(func.count()).where(OrderRejected.batch_id == this_batch, no_fault)


def malformed_codes() -> Query:
    """Malformed lines of a batch by code: how many, and the first of them."""
    lines, first = func.count().label("lines"), func.min(LineMalformed.line).label("first")
    codes = select(LineMalformed.code, lines, first).where(LineMalformed.batch_id == this_batch)
    return codes.group_by(LineMalformed.code).order_by(LineMalformed.code)


def delivered_rows(source_rows: set[int]) -> Query:
    """Rows of a batch by their position in the file; the scan ends with the last that is found."""
    return (
        select(OrderDelivered.source_row, *_values())
        .where(OrderDelivered.batch_id == this_batch, OrderDelivered.source_row.in_(source_rows))
        .limit(len(source_rows))
    )


def malformed_lines(lines: set[int] | None = None) -> Query:
    """The malformed lines of a batch, in their order; all of them, or those of these numbers."""
    columns = (LineMalformed.line, LineMalformed.code, LineMalformed.text)
    found = select(*columns).where(LineMalformed.batch_id == this_batch).order_by(LineMalformed.line)
    return found if lines is None else found.where(LineMalformed.line.in_(lines))


def rejected_rows() -> Query:
    """The rejected rows of a batch in their order, each with its reasons and, unless pruned, its values."""
    same_row = and_(
        OrderDelivered.batch_id == OrderRejected.batch_id,
        OrderDelivered.source_row == OrderRejected.source_row,
    )
    return (
        select(OrderRejected.source_row, OrderRejected.reasons, *_values())
        .join_from(OrderRejected, OrderDelivered, same_row, isouter=True)
        .where(OrderRejected.batch_id == this_batch)
        .order_by(OrderRejected.source_row)
    )


def _values() -> list[object]:
    return [getattr(OrderDelivered, name) for name in RAW_COLUMNS]
