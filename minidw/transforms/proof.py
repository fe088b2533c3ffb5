"""What each table must hold, against what it holds: rows that only one side has. Empty is good.

They read ``incoming`` and ``fates``, filled with every batch judged again.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from minidw.feed.feed import Translation
from minidw.schema.ledger import Batch
from minidw.schema.mart import Mart
from minidw.schema.raw import LineMalformed, OrderDelivered
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected, OrderTotal
from minidw.schema.vocabulary import FATES, STAGED_COLUMNS
from minidw.transforms import marts
from minidw.transforms.constructs import Query, both_ways, in_sample
from minidw.transforms.judge import order_by_feed
from minidw.transforms.parse import Scope
from minidw.transforms.replay import counted, fates, has_rows, is_pruned
from minidw.transforms.staging import LINE_KEY, ORIGIN, admitted, incoming, totals_of_lines
from minidw.transforms.values import is_derived

FIRST_ROWS = 20


def first_rows(difference: Query) -> Query:
    """The first rows of a difference, each with the number of all of them as ``differing``."""
    return difference.add_columns(func.count().over().label("differing")).limit(FIRST_ROWS)


def delivered_rows() -> Query:
    """Rows of each batch in raw that the ledger does not know of, and the other way round.

    ``positions`` is the sum of their positions in the file, which are 1, 2, 3 and so on.
    """
    row, rows = OrderDelivered.source_row, Batch.rows_read - Batch.malformed
    held = select(
        OrderDelivered.batch_id,
        func.count().label("rows"),
        func.sum(row).label("positions"),
    ).group_by(OrderDelivered.batch_id)
    due = select(Batch.batch_id, rows.label("rows"), (rows * (rows + 1) / 2).label("positions"))
    return both_ways(held, due.where(has_rows, rows > 0), key=("batch_id",))


def malformed_lines() -> Query:
    """Numbers of malformed lines of each batch that the ledger does not have, and the other way round."""
    held = select(LineMalformed.batch_id, func.count().label("lines")).group_by(LineMalformed.batch_id)
    due = select(Batch.batch_id, Batch.malformed.label("lines"))
    return both_ways(held, due.where(has_rows, Batch.malformed > 0), key=("batch_id",))


def ledger_counts() -> Query:
    """Counts of the ledger that its deliveries do not add up to, and the other way round.

    Of a pruned batch only the rejects can be counted.
    """
    found, kept = counted(), aliased(OrderRejected)
    rejects = (
        select(func.count()).where(kept.batch_id == Batch.batch_id).correlate(Batch).scalar_subquery()
        + Batch.malformed
    )
    pruned = select(
        Batch.batch_id,
        *(getattr(Batch, name) for name in FATES if name != "rejected"),
        rejects.label("rejected"),
    ).where(Batch.pruned_at.is_not(None))
    held = select(Batch.batch_id, *(getattr(Batch, name) for name in FATES))
    due = select(union_all(select(found), pruned).subquery("due"))
    held = held.where(Batch.staged_at.is_not(None), Batch.unloaded_at.is_(None))
    return both_ways(held, due, key=("batch_id",))


def rejects(scope: Scope, translated: Mapping[Translation, Sequence[int]]) -> Query:
    """Rejects that judging does not lead to, and the other way round."""
    held = select(OrderRejected.batch_id, OrderRejected.source_row, OrderRejected.reasons)
    held = held.where(not_(is_pruned(OrderRejected)))
    if scope is Scope.SAMPLE:
        ours = exists().where(
            OrderDelivered.batch_id == OrderRejected.batch_id,
            OrderDelivered.source_row == OrderRejected.source_row,
            in_sample(order_by_feed(translated)),
        )
        held = held.where(ours)
    due = select(incoming.c.batch_id, incoming.c.source_row, incoming.c.reasons).where(not_(admitted))
    return both_ways(held, due, key=ORIGIN)


def lines(scope: Scope) -> Query:
    """Order lines that raw does not lead to, and the other way round."""
    held = _sampled(select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS)), OrderLine, scope)
    newest = and_(*(fates.c[name] == incoming.c[name] for name in ORIGIN), fates.c.recency == 1)
    due = select(*(incoming.c[name] for name in STAGED_COLUMNS)).join_from(incoming, fates, newest)
    return both_ways(held, due, key=LINE_KEY)


def totals() -> Query:
    """Control totals that staging does not add up to, and the other way round."""
    kept = select(OrderTotal.status, OrderTotal.order_lines, OrderTotal.quantity, OrderTotal.total_amount)
    return both_ways(kept, totals_of_lines(), key=("status",))


def changes(scope: Scope, *, filled: bool) -> list[Query]:
    """Changes of the queue that do not lead from the marts to staging, and the other way round.

    The first change of an order line is held against its mart, which is compared as of the last build.

    ``filled``: the first lines of staging came without changes; every mart is built in full then.
    """
    return [_queue_and_raw(scope), _queue_in_itself(scope), _queue_and_staging(scope, filled=filled)]


def mart(mart: type[Mart], scope: Scope, *, built: bool, changes: bool) -> Query:
    """Rows of a mart that its query did not give when it was built last, and the other way round."""
    lines = lines_as_built() if changes and not is_derived(mart) else mart.source
    return marts.difference(mart, scope, source=lines, empty=not built)


@cache
def lines_as_built() -> Any:
    """The order lines of the last build: those of staging, with the changes that wait taken back."""
    number = func.row_number().over(
        partition_by=[getattr(OrderChange, name) for name in LINE_KEY],
        order_by=[OrderChange.stage, OrderChange.change],
    )
    columns = [column.name for column in OrderLine.__table__.c]
    changed = select(
        *(getattr(OrderChange, name) for name in columns), OrderChange.change, number.label("number")
    ).subquery("changed")
    ceased = select(*(changed.c[name] for name in columns)).where(
        changed.c.number == 1, changed.c.change == -1
    )
    unchanged = select(*(getattr(OrderLine, name) for name in columns)).where(
        not_(exists().where(*(getattr(OrderChange, name) == getattr(OrderLine, name) for name in LINE_KEY)))
    )
    return aliased(OrderLine, union_all(unchanged, ceased).subquery("lines_as_built"))


def _queue_and_raw(scope: Scope) -> Query:
    """Changes whose values are not those that were delivered where they say they come from."""
    same_row = and_(*(incoming.c[name] == getattr(OrderChange, name) for name in ORIGIN))
    what = (OrderChange.stage, OrderChange.change)
    held = select(*what, *(getattr(OrderChange, name) for name in STAGED_COLUMNS))
    held = held.where(not_(is_pruned(OrderChange)))
    due = select(*what, *(incoming.c[name] for name in STAGED_COLUMNS)).join_from(
        OrderChange, incoming, same_row
    )
    due = due.where(not_(is_pruned(OrderChange)))
    return both_ways(
        _sampled(held, OrderChange, scope),
        _sampled(due, OrderChange, scope),
        key=(*LINE_KEY, "stage", "change"),
    )


def _queue_in_itself(scope: Scope) -> Query:
    """Changes that do not follow from the one before: a line appears where there is none, ceases as it is."""
    own = ("stage", "change", *STAGED_COLUMNS)

    def before(name: str) -> ColumnElement[Any]:
        return func.lag(getattr(OrderChange, name)).over(
            partition_by=[getattr(OrderChange, key) for key in LINE_KEY],
            order_by=[OrderChange.stage, OrderChange.change],
        )

    rows = _sampled(
        select(
            *(getattr(OrderChange, name) for name in own),
            *(before(name).label(f"before_{name}") for name in ("change", *STAGED_COLUMNS)),
        ),
        OrderChange,
        scope,
    ).subquery("rows")
    differs = or_(*(rows.c[name] != rows.c[f"before_{name}"] for name in STAGED_COLUMNS))
    wrong = or_(rows.c.change == rows.c.before_change, and_(rows.c.change == -1, differs))
    return (
        select(literal("held").label("side"), *(rows.c[name] for name in own))
        .where(rows.c.before_change.is_not(None), wrong)
        .order_by(*(rows.c[name] for name in LINE_KEY), rows.c.stage)
    )


def _queue_and_staging(scope: Scope, *, filled: bool) -> Query:
    """Lines that appeared last and are not staged; staged lines of batches not built that never appeared."""
    from_last = func.row_number().over(
        partition_by=[getattr(OrderChange, name) for name in LINE_KEY],
        order_by=[OrderChange.stage.desc(), OrderChange.change.desc()],
    )
    last = _sampled(
        select(
            *(getattr(OrderChange, name) for name in ("change", *STAGED_COLUMNS)),
            from_last.label("from_last"),
        ),
        OrderChange,
        scope,
    ).subquery("last")
    held = select(*(last.c[name] for name in STAGED_COLUMNS)).where(last.c.from_last == 1, last.c.change == 1)
    in_queue = exists().where(*(getattr(OrderChange, name) == getattr(OrderLine, name) for name in LINE_KEY))
    not_built = OrderLine.batch_id.in_(select(Batch.batch_id).where(Batch.built_at.is_(None)))
    due = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS)).where(
        or_(in_queue, false() if filled else not_built)
    )
    return both_ways(held, _sampled(due, OrderLine, scope), key=LINE_KEY)


def _sampled(query: Query, table: Any, scope: Scope) -> Query:
    return query.where(in_sample(table.order_id.expression)) if scope is Scope.SAMPLE else query
