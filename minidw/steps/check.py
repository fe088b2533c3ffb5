"""The checks: each a named select of offending rows. Empty is good.

A run checks what it brought and what that leads to; ``minidw check`` reads all of the history. The
marts are held against the control totals of staging, so that a run need not add up the history.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    and_,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute

from minidw.database.connection import is_lost, one_line
from minidw.errors import DatabaseError, DeclarationError
from minidw.schema.checks import Check
from minidw.schema.ledger import Batch, MartBuild, place_of
from minidw.schema.mart import Mart
from minidw.schema.marts import CustomerSegments, all_marts
from minidw.schema.own import own_checks
from minidw.schema.raw import OrderDelivered
from minidw.schema.staging import OrderLine, OrderRejected, OrderTotal
from minidw.schema.vocabulary import PUBLISHED, RETURNED, SEGMENTS
from minidw.schema.words import Role, counts_as_revenue, rule
from minidw.settings import Settings
from minidw.transforms.constructs import Query, both_ways, trimmed
from minidw.transforms.judge import out_of_range_date
from minidw.transforms.replay import has_rows
from minidw.transforms.staging import totals_of_lines
from minidw.transforms.values import is_derived, measures, value_of

log = logging.getLogger(__name__)

SAMPLES = 5


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    name: name of the check
    severity: ``error``, which stops a run before its commit, or ``warning``
    offending: number of offending rows
    samples: up to five of them, as texts by column

    Example:
        >>> checked = minidw.run_checks().checked[0]
        >>> checked.name, checked.severity, checked.offending, checked.failed
        ('raw_has_rows', 'warning', 0, False)
    """

    name: str
    severity: str
    offending: int
    samples: list[dict[str, Any]]

    @property
    def failed(self) -> bool:
        """Whether it stops a run: its severity is ``error``, and it found rows."""
        return self.severity == "error" and self.offending > 0


def checks(*, all_batches: bool) -> list[Check]:
    """The seeds of trust, in the order of the layers, and the user's own.

    Ours look at all batches, or those bound as ``batch_ids``. Raises DeclarationError where two share a name.
    """
    ours, own = _checks_of(all_marts(), all_batches), own_checks()
    if taken := {check.name for check in ours} & {check.name for check in own}:
        raise DeclarationError(f"check {min(taken)}: minidw has one of this name; call yours otherwise")
    return [*ours, *own]


@cache
def _checks_of(_marts: tuple[type[Mart], ...], all_batches: bool) -> list[Check]:
    """Built once for the marts that there are."""

    def of_batches(table: Any) -> ColumnElement[bool]:
        return true() if all_batches else table.batch_id.in_(rule("batch_ids", Integer, many=True))

    found = [
        Check("raw_has_rows", "warning", batches_without_rows().where(of_batches(Batch))),
        Check("raw_has_order_ids", "warning", rows_without_order_id().where(of_batches(OrderDelivered))),
        Check("batches_add_up", "error", batches_not_adding_up(of_batches)),
        Check("staging_covers_batches", "error", batches_not_covered(of_batches)),
        Check("amounts_positive", "error", amounts_not_positive().where(of_batches(OrderLine))),
        Check("dates_in_range", "error", dates_out_of_range(of_batches)),
        Check("marts_populated", "error", marts_without_rows()),
        Check("segments_known", "error", segments_unknown()),
        Check("revenue_agrees", "error", totals_differing()),
    ]
    if all_batches:
        found.insert(6, Check("totals_agree", "error", control_totals_differing()))
    return found


def execute_checks(conn: Connection, settings: Settings, batch_ids: list[int] | None = None) -> list[Checked]:
    """Execute the checks on the given batches, or on everything."""
    parameters = settings.rules | {"batch_ids": batch_ids or []}
    results = []
    for check in checks(all_batches=batch_ids is None):
        log.info("check %s", check.name)
        try:
            results.append(outcome_of(conn, check, parameters))
        except DBAPIError as error:
            if is_lost(error):
                raise
            raise DatabaseError(f"check {check.name}: {one_line(error, conn)}") from error
    return results


def outcome_of(conn: Connection, check: Check, parameters: Mapping[str, Any] | None = None) -> Checked:
    """Execute a check: how many rows offend, and the first of them."""
    offending = check.offending.subquery("offending")
    number = conn.execute(select(func.count()).select_from(offending), parameters).scalar_one()
    rows = conn.execute(select(offending).limit(SAMPLES), parameters).mappings() if number else ()
    samples = [{name: str(value) for name, value in row.items()} for row in rows]
    return Checked(check.name, check.severity, number, samples)


def batches_without_rows() -> Query:
    """Batches of a file that had a header only."""
    return select(Batch.batch_id, Batch.file_name).where(Batch.rows_read == 0)


def rows_without_order_id() -> Query:
    """Delivered rows with a blank order id, where that is a column of the feed."""
    has_column = select(Batch.batch_id).where(Batch.header["order_id"].as_string().is_not(None))
    return select(OrderDelivered.batch_id, OrderDelivered.source_row).where(
        trimmed(OrderDelivered.order_id) == "", OrderDelivered.batch_id.in_(has_column)
    )


def batches_not_adding_up(of_batches: Any) -> Query:
    """Batches whose rows in raw (unless pruned), or whose fates, are not the rows that were read."""
    fates = Batch.inserted + Batch.updated + Batch.unchanged + Batch.superseded + Batch.rejected
    delivered = _rows_by_batch(OrderDelivered, of_batches)
    return (
        select(Batch.batch_id, Batch.rows_read, delivered.c.rows, fates.label("fates"))
        .join_from(Batch, delivered, Batch.batch_id == delivered.c.batch_id, isouter=True)
        .where(
            of_batches(Batch),
            or_(
                and_(
                    has_rows,
                    Batch.rows_read != func.coalesce(delivered.c.rows, 0) + Batch.malformed,
                ),
                and_(Batch.staged_at.is_not(None), fates.is_distinct_from(Batch.rows_read)),
            ),
        )
    )


def batches_not_covered(of_batches: Any) -> Query:
    """Batches whose rejects or order lines are not those of the ledger.

    Later batches replace order lines of earlier ones, so only the newest has all of its own.
    """
    held, rejected = _rows_by_batch(OrderLine, of_batches), _rows_by_batch(OrderRejected, of_batches)
    staged = Batch.inserted + Batch.updated
    lines, rejects = func.coalesce(held.c.rows, 0), func.coalesce(rejected.c.rows, 0) + Batch.malformed
    counts = and_(Batch.staged_at.is_not(None), Batch.unloaded_at.is_(None))
    newest = select(func.max(place_of(Batch))).where(counts).scalar_subquery()
    return (
        select(
            Batch.batch_id,
            Batch.rejected,
            rejects.label("rejects"),
            staged.label("staged"),
            lines.label("order_lines"),
        )
        .join_from(Batch, held, Batch.batch_id == held.c.batch_id, isouter=True)
        .join(rejected, Batch.batch_id == rejected.c.batch_id, isouter=True)
        .where(
            of_batches(Batch),
            counts,
            or_(
                Batch.rejected != rejects,
                lines > staged,
                # What a pruned batch had before a correction does not come back without the correction.
                and_(place_of(Batch) == newest, Batch.pruned_at.is_(None), lines != staged),
            ),
        )
    )


def amounts_not_positive() -> Query:
    """Order lines below zero that are no returns, returns that are not, and amounts that do not add up."""
    line = OrderLine
    sold = and_(line.status != RETURNED, or_(line.price < 0, line.quantity <= 0, line.total_amount < 0))
    returned = and_(line.status == RETURNED, or_(line.quantity >= 0, line.total_amount >= 0))
    due = line.price * line.quantity - line.discount
    # Where the amount of a line was delivered, the price is rounded by up to half of its last decimal.
    rounded = func.abs(line.total_amount - due) <= func.abs(line.quantity) * literal(Decimal("0.00005"))
    off = and_(line.total_amount != due, not_(rounded))
    return select(line.order_id, line.line_number, line.total_amount).where(or_(sold, returned, off))


def dates_out_of_range(of_batches: Any) -> Query:
    """Order lines outside the range of dates; those of pruned batches were judged for good.

    Each is held against the day of its batch only where it is outside that of the oldest batch: the planner
    would look up the batch for every line.
    """
    time = OrderLine.order_timestamp.expression
    oldest = select(func.min(Batch.load_date)).where(of_batches(Batch)).scalar_subquery()
    lines = select(OrderLine.order_id, OrderLine.line_number, OrderLine.order_timestamp)
    return lines.join_from(OrderLine, Batch, OrderLine.batch_id == Batch.batch_id).where(
        of_batches(OrderLine),
        out_of_range_date(time, oldest),
        out_of_range_date(time, Batch.load_date.expression),
        Batch.pruned_at.is_(None),
    )


def control_totals_differing() -> Query:
    """Control totals that staging does not add up to, and the other way round."""
    kept = select(OrderTotal.status, OrderTotal.order_lines, OrderTotal.quantity, OrderTotal.total_amount)
    return both_ways(kept, totals_of_lines(), key=("status",))


def marts_without_rows() -> Query:
    """Marts that are empty although their source has rows for them."""

    def empty(mart: type[Mart]) -> Query:
        rows = exists().select_from(mart.source)
        if mart.condition is not None:
            rows = rows.where(mart.condition(mart.source))
        name = literal(mart.__tablename__).label("mart")
        return select(name).where(rows, not_(exists().select_from(mart)))

    return select(union_all(*(empty(mart) for mart in all_marts())).subquery("empty"))


def segments_unknown() -> Query:
    """Customers in a segment that is none of VIP, High, Medium and Low."""
    segment = CustomerSegments.segment
    return select(CustomerSegments.customer_id, segment).where(segment.not_in(SEGMENTS))


def totals_differing() -> Query:
    """Sums and counts of marts that are not the control totals of staging; segments that lost value."""

    def compared(mart: type[Mart], name: str, expected: Any, where: ColumnElement[bool]) -> Query:
        source = expected.class_
        return select(
            literal(f"{mart.__tablename__}.{name}").label("total"),
            select(func.coalesce(func.sum(getattr(mart, name)), 0)).scalar_subquery().label("in_mart"),
            select(func.coalesce(func.sum(expected), 0)).select_from(source).where(where)
            .scalar_subquery().label("in_source"),
        )  # fmt: skip

    segments = compared(CustomerSegments, "lifetime_value", CustomerSegments.source.lifetime_value, true())
    totals = [
        compared(mart, name, control, counts_as_revenue(OrderTotal) if mart.condition else true())
        for mart in all_marts()
        for name in measures(mart)
        if (control := _control_total(mart, name)) is not None
    ]
    both = union_all(*totals, segments).subquery("both")
    # What was published here has no lines here to agree with.
    made_here = not_(exists().where(MartBuild.method == PUBLISHED))
    return select(both).where(both.c.in_mart != both.c.in_source, made_here)


def _control_total(mart: type[Mart], name: str) -> InstrumentedAttribute[Any] | None:
    """The control total that a column of a mart must add up to, where there is one."""
    if is_derived(mart) or mart.condition not in (None, counts_as_revenue):
        return None
    match measures(mart)[name].role:
        case Role.COUNT:
            return OrderTotal.order_lines
        case Role.TOTAL:
            summed: Any = value_of(mart, name, OrderLine)
            if summed is OrderLine.total_amount:
                return OrderTotal.total_amount
            if summed is OrderLine.quantity:
                return OrderTotal.quantity
    return None


def _rows_by_batch(
    table: type[OrderDelivered] | type[OrderLine] | type[OrderRejected], of_batches: Any
) -> Subquery:
    counted = select(table.batch_id, func.count().label("rows")).where(of_batches(table))
    return counted.group_by(table.batch_id).subquery()
