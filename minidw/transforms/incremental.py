"""Any mart class → its incremental build: what the waiting changes are to its rows."""

from functools import cache

from sqlalchemy import ColumnElement, FromClause, Subquery, and_, case, func, or_, select, update
from sqlalchemy.sql.dml import Update

from minidw.schema.mart import Mart
from minidw.schema.staging import OrderChange, OrderLine
from minidw.schema.words import Role
from minidw.transforms.constructs import Merge, Query
from minidw.transforms.marts import aggregate, query, summed
from minidw.transforms.values import (
    cannot_be_taken_back,
    is_derived,
    key_of_source,
    keys,
    measures,
    named,
    value_of,
)


@cache
def incremental_build(mart: type[Mart]) -> list[Merge | Update]:
    """Bring the waiting changes into the mart; the cost follows the changes, not the history."""
    if is_derived(mart):
        return [_merge_derived(mart)]
    statements: list[Merge | Update] = [_merge_changes(mart)]
    if cannot_be_taken_back(mart):
        statements.append(_aggregate_again(mart))
    return statements


def _signed(mart: type[Mart], name: str) -> ColumnElement[int]:
    """An aggregate over changes: what to add to the mart, or the extreme of the rows that appeared."""
    role = measures(mart)[name].role
    if role is Role.COUNT:
        return func.sum(OrderChange.change)
    value = value_of(mart, name, OrderChange)
    appeared = case((OrderChange.change == 1, value))
    match role:
        case Role.TOTAL:
            return summed(mart, name, value * OrderChange.change)
        case Role.SMALLEST:
            return func.min(appeared)
        case Role.LARGEST:
            return func.max(appeared)
        case _:
            return value


def _changes(mart: type[Mart]) -> Subquery:
    """The waiting changes by key of the mart."""
    columns = [_signed(mart, name).label(name) for name in measures(mart)]
    statement = select(*columns).select_from(OrderChange)
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderChange))
    labels = statement.selected_columns
    return statement.group_by(*(labels[name] for name in keys(mart))).subquery("changes")


def _merge_changes(mart: type[Mart]) -> Merge:
    table: FromClause = mart.__table__
    changes = _changes(mart)
    (lines,) = named(mart, Role.COUNT)

    def merged(name: str, role: Role) -> ColumnElement[object]:
        old, new = table.c[name], changes.c[name]
        if role in (Role.SMALLEST, Role.LARGEST):
            further = new < old if role is Role.SMALLEST else new > old
            # Without a value so far, any is the first.
            return case((or_(old.is_(None), further) if old.nullable else further, new), else_=old)
        return func.coalesce(old + new, old, new) if old.nullable else old + new

    return Merge(
        table,
        changes,
        on=keys(mart),
        delete_when=table.c[lines] + changes.c[lines] == 0,
        update={name: merged(name, m.role) for name, m in measures(mart).items() if m.role is not Role.KEY},
        insert=list(measures(mart)),
        insert_when=changes.c[lines] > 0,
    )


def _aggregate_again(mart: type[Mart]) -> Update:
    """What cannot be taken back is computed again, for the keys that lost a row."""
    key, columns = keys(mart), cannot_be_taken_back(mart)
    lost = select(*(value_of(mart, name, OrderChange).label(name) for name in key))
    lost = lost.where(OrderChange.change == -1).distinct()
    lines = select(*(aggregate(mart, name, OrderLine).label(name) for name in (*key, *columns)))
    if mart.condition is not None:
        lost = lost.where(mart.condition(OrderChange))
        lines = lines.where(mart.condition(OrderLine))
    losers = lost.subquery("losers")
    same_key = and_(*(value_of(mart, name, OrderLine) == losers.c[name] for name in key))
    again = (
        lines.join_from(OrderLine, losers, same_key)
        .group_by(*(lines.selected_columns[name] for name in key))
        .subquery("again")
    )
    return (
        update(mart)
        .where(*(getattr(mart, name) == again.c[name] for name in key))
        .values({name: again.c[name] for name in columns})
    )


def _touched(mart: type[Mart]) -> Query:
    """The keys of the mart that the waiting changes may concern."""
    if issubclass(mart.source, Mart):
        source = _touched(mart.source).subquery(f"touched_{mart.source.__tablename__}")
        return select(*(source.c[theirs].label(name) for name, theirs in key_of_source(mart).items()))
    key = [value_of(mart, name, OrderChange).label(name) for name in keys(mart)]
    statement = select(*key).select_from(OrderChange)
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderChange))
    return statement.distinct()


def _merge_derived(mart: type[Mart]) -> Merge:
    """A derived mart follows the rows of its source that the changes touched."""
    table: FromClause = mart.__table__
    touched = _touched(mart).subquery("touched")
    current = query(mart).subquery("current")
    key = keys(mart)
    values = [name for name in measures(mart) if name not in key]
    same_key = and_(*(touched.c[name] == current.c[name] for name in key))
    rows = (
        select(
            *(touched.c[name] for name in key),
            *(current.c[name] for name in values),
            # A label that no column can have.
            current.c[key[0]].is_not(None).label("is there"),
        )
        .join_from(touched, current, same_key, isouter=True)
        .subquery("rows")
    )
    there = rows.c["is there"]
    differs = [table.c[name].is_distinct_from(rows.c[name]) for name in values]
    return Merge(
        table,
        rows,
        on=key,
        delete_when=~there,
        update_when=or_(*differs) if differs else None,
        update={name: rows.c[name] for name in values},
        insert=list(measures(mart)),
        insert_when=there,
    )
