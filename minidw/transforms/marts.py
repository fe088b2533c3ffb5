"""Any mart class → its query, its full build, its incremental build, and the proof that both agree."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    FromClause,
    Subquery,
    and_,
    case,
    column,
    delete,
    false,
    func,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy.sql.dml import Update

from minidw.schema.mart import Mart, Measure, Role
from minidw.schema.staging import OrderChange, OrderLine
from minidw.transforms.constructs import (
    CreateTemporary,
    Merge,
    Query,
    both_ways,
    digest,
    in_sample,
    insert_from,
)
from minidw.transforms.parse import Scope


@cache
def query(mart: type[Mart]) -> Query:
    """The mart from scratch, over its source."""
    return query_over(mart, mart.source)


def query_over(mart: type[Mart], source: Any) -> Query:
    """The mart from scratch, over rows of the kind of its source."""
    columns = [_aggregate(measure, source).label(name) for name, measure in measures(mart).items()]
    statement = select(*columns)
    if mart.condition is not None:
        statement = statement.where(mart.condition(source))
    if not is_derived(mart):
        statement = statement.group_by(*(statement.selected_columns[name] for name in keys(mart)))
    return statement


@cache
def full_build(mart: type[Mart]) -> list[Executable]:
    """Replace every row. DELETE, not TRUNCATE: a reader sees the old rows until the commit."""
    fresh = table(f"fresh_{mart.__tablename__}", *(column(name) for name in measures(mart)))
    return [
        CreateTemporary(fresh.name, query(mart)),
        delete(mart),
        insert_from(mart, select(*fresh.c)),
        text(f"DROP TABLE {fresh.name}"),
    ]


@cache
def incremental_build(mart: type[Mart]) -> list[Merge | Update]:
    """Bring the waiting changes into the mart; the cost follows the changes, not the history."""
    if is_derived(mart):
        return [_merge_derived(mart)]
    statements: list[Merge | Update] = [_merge_changes(mart)]
    if named(mart, Role.SMALLEST) or named(mart, Role.LARGEST):
        statements.append(_aggregate_again(mart))
    return statements


def difference(
    mart: type[Mart], scope: Scope = Scope.ALL, *, source: Any = None, empty: bool = False
) -> Query:
    """Rows that the mart holds and its query does not give, and the other way round. Empty is good.

    ``source``: rows to take for those of its source. ``empty``: it must hold nothing.
    """
    source = mart.source if source is None else source
    held = select(*(getattr(mart, name) for name in measures(mart)))
    due = query_over(mart, source)
    if scope is Scope.SAMPLE:
        held = held.where(in_sample(*(getattr(mart, name) for name in keys(mart))))
        due = due.where(in_sample(*(measure.expression(source) for _, measure in _grain(mart))))
    return both_ways(held, due.where(false()) if empty else due, key=keys(mart))


def fingerprint(mart: type[Mart], rules: Mapping[str, Any]) -> str:
    """SHA-256 of the mart's query and of the rules it binds: it changes when the definition does."""
    source = fingerprint(mart.source, rules) if issubclass(mart.source, Mart) else ""
    return digest(query(mart), rules, source)


def measures(mart: type[Mart]) -> dict[str, Measure]:
    """How each computed column of the mart is computed, in the order of declaration."""
    return {column.name: column.info["measure"] for column in mart.__table__.c if "measure" in column.info}


def named(mart: type[Mart], *roles: Role) -> list[str]:
    """The columns of the mart that have one of the roles."""
    return [name for name, measure in measures(mart).items() if measure.role in roles]


def keys(mart: type[Mart]) -> list[str]:
    """The grain of the mart."""
    return named(mart, Role.KEY)


def is_derived(mart: type[Mart]) -> bool:
    """Whether the mart's source is another mart: one row per row of it."""
    return issubclass(mart.source, Mart)


def _aggregate(measure: Measure, source: Any) -> ColumnElement[Any]:
    if measure.expression is None:
        return func.count()
    value = measure.expression(source)
    match measure.role:
        case Role.TOTAL:
            return func.sum(value)
        case Role.SMALLEST:
            return func.min(value)
        case Role.LARGEST:
            return func.max(value)
        case _:
            return value


def _signed(measure: Measure) -> ColumnElement[Any]:
    """An aggregate over changes: what to add to the mart, or the extreme of the rows that appeared."""
    if measure.expression is None:
        return func.sum(OrderChange.change)
    value = measure.expression(OrderChange)
    appeared = case((OrderChange.change == 1, value))
    match measure.role:
        case Role.TOTAL:
            return func.sum(value * OrderChange.change)
        case Role.SMALLEST:
            return func.min(appeared)
        case Role.LARGEST:
            return func.max(appeared)
        case _:
            return value


def _changes(mart: type[Mart]) -> Subquery:
    """The waiting changes by key of the mart."""
    columns = [_signed(measure).label(name) for name, measure in measures(mart).items()]
    statement = select(*columns)
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderChange))
    labels = statement.selected_columns
    return statement.group_by(*(labels[name] for name in keys(mart))).subquery("changes")


def _merge_changes(mart: type[Mart]) -> Merge:
    table: FromClause = mart.__table__
    changes = _changes(mart)
    (lines,) = named(mart, Role.COUNT)

    def merged(name: str, role: Role) -> ColumnElement[Any]:
        old, new = table.c[name], changes.c[name]
        match role:
            case Role.SMALLEST:
                return case((new < old, new), else_=old)
            case Role.LARGEST:
                return case((new > old, new), else_=old)
            case _:
                return old + new

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
    """Smallest and largest cannot be taken back: compute them again for the keys that lost a row."""
    extremes = named(mart, Role.SMALLEST, Role.LARGEST)
    grain = {name: measure for name, measure in measures(mart).items() if name in keys(mart)}
    lost = select(*(_aggregate(measure, OrderChange).label(name) for name, measure in grain.items()))
    lost = lost.where(OrderChange.change == -1).distinct()
    lines = select(*(_aggregate(measures(mart)[name], OrderLine).label(name) for name in (*grain, *extremes)))
    if mart.condition is not None:
        lost = lost.where(mart.condition(OrderChange))
        lines = lines.where(mart.condition(OrderLine))
    losers = lost.subquery("losers")
    key_of_line = [(_aggregate(measure, OrderLine), losers.c[name]) for name, measure in grain.items()]
    again = (
        lines.join_from(OrderLine, losers, and_(*(expression == key for expression, key in key_of_line)))
        .group_by(*(lines.selected_columns[name] for name in grain))
        .subquery("again")
    )
    return (
        update(mart)
        .where(*(getattr(mart, name) == again.c[name] for name in grain))
        .values({name: again.c[name] for name in extremes})
    )


def _touched(mart: type[Mart]) -> Query:
    """The keys of the mart that the waiting changes may concern."""
    if issubclass(mart.source, Mart):
        source = _touched(mart.source).subquery(f"touched_{mart.source.__tablename__}")
        grain = [measure.expression(source.c).label(name) for name, measure in _grain(mart)]
        return select(*grain)
    statement = select(*(measure.expression(OrderChange).label(name) for name, measure in _grain(mart)))
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderChange))
    return statement.distinct()


def _merge_derived(mart: type[Mart]) -> Merge:
    """A derived mart follows the rows of its source that the changes touched."""
    table: FromClause = mart.__table__
    touched = _touched(mart).subquery("touched")
    current = query(mart).subquery("current")
    grain = keys(mart)
    values = [name for name in measures(mart) if name not in grain]
    rows = (
        select(
            *(touched.c[name] for name in grain),
            *(current.c[name] for name in values),
            current.c[grain[0]].is_not(None).label("present"),
        )
        .join_from(
            touched, current, and_(*(touched.c[name] == current.c[name] for name in grain)), isouter=True
        )
        .subquery("rows")
    )
    return Merge(
        table,
        rows,
        on=grain,
        delete_when=~rows.c.present,
        update_when=or_(*(table.c[name].is_distinct_from(rows.c[name]) for name in values)),
        update={name: rows.c[name] for name in values},
        insert=list(measures(mart)),
        insert_when=rows.c.present,
    )


def _grain(mart: type[Mart]) -> list[tuple[str, Any]]:
    return [(name, measure) for name, measure in measures(mart).items() if measure.role is Role.KEY]
