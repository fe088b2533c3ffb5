"""All batches judged again: their fates from scratch, what staging must hold, and how it differs.

Works on the same temporary table as a stage, filled with every staged batch.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Delete,
    Insert,
    Integer,
    Subquery,
    TableClause,
    Text,
    Update,
    and_,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.orm import aliased

from minidw.schema.ledger import Batch, place_of
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected
from minidw.schema.vocabulary import ADMITTED_FATES, FATES, STAGED_COLUMNS
from minidw.transforms.constructs import CreateTemporary, in_sample, insert_from
from minidw.transforms.parse import Scope, is_named
from minidw.transforms.staging import LINE_KEY, ORIGIN, VALUES, admitted, change_of, incoming


def fates_table(name: str) -> TableClause:
    """What became of every admitted row of ``incoming``: see ``create_fates``."""
    return table(
        name,
        column("batch_id", Integer),
        column("source_row", BigInteger),
        column("fate", Text),
        column("before", Integer),
        column("recency", BigInteger),
    )


fates = fates_table("orders_fates")

has_rows = and_(Batch.pruned_at.is_(None), Batch.unloaded_at.is_(None))
"""The batches whose rows are in raw."""

to_replay = and_(Batch.staged_at.is_not(None), has_rows)
"""The batches whose rows can be judged again."""


def insert_pruned(scope: Scope) -> Insert:
    """What staging has of the batches whose raw rows were pruned: it stands as it was judged."""
    lines = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS))
    if scope is Scope.SAMPLE:
        lines = lines.where(in_sample(OrderLine.order_id.expression))
    if scope is Scope.NAMED:
        lines = lines.where(is_named(OrderLine.order_id.expression))
    return insert_from(incoming, lines.where(is_pruned(OrderLine)))


def is_pruned(table: type[OrderLine | OrderRejected | OrderChange]) -> ColumnElement[bool]:
    """Whether a row came in a batch whose raw rows were pruned."""
    return table.batch_id.in_(select(Batch.batch_id).where(Batch.pruned_at.is_not(None)))


def delete_rejected() -> Delete:
    """Every reject that is going to be judged again."""
    return delete(OrderRejected).where(not_(is_pruned(OrderRejected)))


def create_fates(target: TableClause = fates, *where: ColumnElement[bool]) -> CreateTemporary:
    """The fate of every admitted row of ``incoming``, as though each batch had been staged in its turn.

    An order line that was delivered four times, at these prices:

    ========  ==========  =====  ==========  ======  =======
    batch_id  source_row  price  fate        before  recency
    ========  ==========  =====  ==========  ======  =======
    1         1           10     inserted            2
    2         1           12     superseded
    2         2           11     updated     1       1
    3         1           11     unchanged   2
    ========  ==========  =====  ==========  ======  =======

    before: the place of the batch that delivered the line last before this one, superseded rows aside
    recency: among the rows that changed the line, 1 for the newest: that is what staging holds

    ``where`` leaves rows out.
    """
    place = place_of(Batch).label("place")
    line = [incoming.c[name] for name in LINE_KEY]
    next_batch = func.lead(incoming.c.batch_id).over(
        partition_by=line, order_by=[place, incoming.c.source_row]
    )
    rows = (
        select(
            *(incoming.c[name] for name in STAGED_COLUMNS),
            place,
            func.coalesce(next_batch == incoming.c.batch_id, False).label("superseded"),
        )
        .join_from(incoming, Batch, incoming.c.batch_id == Batch.batch_id)
        .where(admitted, *where)
        .subquery("rows")
    )

    def before(name: str) -> ColumnElement[Any]:
        # Of several rows in a batch the last one counts: superseded ones are set apart by the partition.
        return func.lag(rows.c[name]).over(
            partition_by=[*(rows.c[key] for key in LINE_KEY), rows.c.superseded], order_by=rows.c.place
        )

    fate = case(
        (rows.c.superseded, "superseded"),
        (before("place").is_(None), "inserted"),
        (and_(*(rows.c[name] == before(name) for name in VALUES)), "unchanged"),
        else_="updated",
    )
    of_rows = select(
        *(rows.c[name] for name in (*LINE_KEY, *ORIGIN, "place")),
        fate.label("fate"),
        before("place").label("before"),
    ).subquery("of_rows")
    changed = of_rows.c.fate.in_(["inserted", "updated"])
    recency = func.row_number().over(
        partition_by=[*(of_rows.c[name] for name in LINE_KEY), changed], order_by=of_rows.c.place.desc()
    )
    columns = (of_rows.c[name] for name in (*ORIGIN, "fate", "before"))
    return CreateTemporary(target.name, select(*columns, case((changed, recency)).label("recency")))


def last_pruned_before(ledger: type[Batch]) -> ColumnElement[int]:
    """The place of the last pruned batch before a batch; 0 where there is none."""
    pruned = aliased(Batch)
    last = select(func.max(place_of(pruned))).where(
        pruned.pruned_at.is_not(None), place_of(pruned) < place_of(ledger)
    )
    return func.coalesce(last.scalar_subquery(), 0, type_=Integer)


def counted() -> Subquery:
    """The counts that the ledger must have of every batch whose rows can be judged.

    Whether a row was new or replaced what a pruned batch had delivered cannot be known any more: there the
    ledger is believed as far as the rows that are known allow.
    """
    ledger = aliased(Batch)
    batches = (
        select(ledger.batch_id, last_pruned_before(ledger).label("last_pruned"))
        .where(ledger.staged_at.is_not(None), ledger.pruned_at.is_(None), ledger.unloaded_at.is_(None))
        .subquery("batches")
    )
    groups = (
        select(fates.c.batch_id, fates.c.fate, fates.c.before, func.count().label("rows"))
        .group_by(fates.c.batch_id, fates.c.fate, fates.c.before)
        .subquery("groups")
    )
    known = or_(groups.c.fate == "superseded", func.coalesce(groups.c.before, 0) >= batches.c.last_pruned)

    def rows_where(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return cast(func.coalesce(func.sum(case((condition, groups.c.rows))), 0), BigInteger)

    counts = (
        select(
            groups.c.batch_id,
            *(rows_where(and_(groups.c.fate == fate, known)).label(fate) for fate in ADMITTED_FATES),
            rows_where(not_(known)).label("unknown"),
        )
        .join_from(groups, batches, groups.c.batch_id == batches.c.batch_id)
        .group_by(groups.c.batch_id)
        .subquery("counts")
    )
    rejects = (
        select(incoming.c.batch_id, func.count().label("rejected"))
        .where(not_(admitted))
        .group_by(incoming.c.batch_id)
        .subquery("rejects")
    )

    def count(name: str) -> ColumnElement[int]:
        return func.coalesce(counts.c[name], 0, type_=BigInteger)

    def more(name: str, limit: ColumnElement[int]) -> ColumnElement[int]:
        """Of the rows that are not known, those that the ledger counts as this."""
        return func.least(func.greatest(getattr(ledger, name) - count(name), 0), limit, type_=BigInteger)

    more_updated = more("updated", count("unknown"))
    more_unchanged = more("unchanged", count("unknown") - more_updated)
    found = {
        "inserted": count("inserted") + count("unknown") - more_updated - more_unchanged,
        "updated": count("updated") + more_updated,
        "unchanged": count("unchanged") + more_unchanged,
        "superseded": count("superseded"),
        "rejected": func.coalesce(rejects.c.rejected, 0) + ledger.malformed,
    }
    return (
        select(ledger.batch_id, *(value.label(name) for name, value in found.items()))
        .join_from(ledger, batches, ledger.batch_id == batches.c.batch_id)
        .join(counts, ledger.batch_id == counts.c.batch_id, isouter=True)
        .join(rejects, ledger.batch_id == rejects.c.batch_id, isouter=True)
        .subquery("found")
    )


def recount_batches() -> Update:
    """The ledger's counts of every batch, as though the present rules had always held."""
    found = counted()
    return (
        update(Batch)
        .where(Batch.batch_id == found.c.batch_id)
        .values({name: found.c[name] for name in FATES})
    )


def delete_outdated() -> Delete:
    """Of the rows of all batches, only the newest change of each order line stays."""
    newest = select(*(fates.c[name] for name in ORIGIN)).where(fates.c.recency == 1).subquery("newest")
    stays = exists().where(*(newest.c[name] == incoming.c[name] for name in ORIGIN))
    return delete(incoming).where(admitted, not_(stays))


def insert_vanished(scope: Scope) -> Insert:
    """-1 for every staged row whose order line no delivery supports any more."""
    supported = exists().where(*(getattr(OrderLine, name) == incoming.c[name] for name in LINE_KEY), admitted)
    lines = change_of(OrderLine.__table__, -1).where(not_(supported))
    if scope is Scope.NAMED:
        lines = lines.where(is_named(OrderLine.order_id.expression))
    return insert_from(OrderChange, lines)
