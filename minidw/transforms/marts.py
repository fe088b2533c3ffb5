"""Any mart class → its query, its full build, and the proof that it holds what its query gives."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, column, delete, false, func, select, table, text

from minidw.schema.mart import Mart
from minidw.schema.words import Role
from minidw.transforms.constructs import (
    CreateTemporary,
    Query,
    both_ways,
    digest,
    in_sample,
    insert_from,
)
from minidw.transforms.parse import Scope
from minidw.transforms.values import is_derived, is_zero_without_values, keys, measures, value_of


@cache
def query(mart: type[Mart]) -> Query:
    """The mart from scratch, over its source."""
    return query_over(mart, mart.source)


def query_over(mart: type[Mart], source: Any) -> Query:
    """The mart from scratch, over rows of the kind of its source."""
    columns = [aggregate(mart, name, source).label(name) for name in measures(mart)]
    # Said, since a key may be a constant.
    statement = select(*columns).select_from(source)
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
        due = due.where(in_sample(*(value_of(mart, name, source) for name in keys(mart))))
    return both_ways(held, due.where(false()) if empty else due, key=keys(mart))


def fingerprint(mart: type[Mart], rules: Mapping[str, Any]) -> str:
    """SHA-256 of the mart's query and of the rules it binds: it changes when the definition does."""
    source = ""
    if issubclass(mart.source, Mart):
        ratios = (
            column.computed.sqltext for column in mart.source.__table__.c if column.computed is not None
        )
        source = fingerprint(mart.source, rules) + "".join(map(str, ratios))
    return digest(query(mart), rules, source)


def aggregate(mart: type[Mart], name: str, source: Any) -> ColumnElement[Any]:
    """A column of the mart over the rows of its source; a key or value is that of the row."""
    role = measures(mart)[name].role
    if role is Role.COUNT:
        return func.count()
    value = value_of(mart, name, source)
    match role:
        case Role.TOTAL:
            return summed(mart, name, value)
        case Role.SMALLEST:
            return func.min(value)
        case Role.LARGEST:
            return func.max(value)
        case _:
            return value


def summed(mart: type[Mart], name: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The sum of a total's values."""
    return func.coalesce(func.sum(value), 0) if is_zero_without_values(mart, name) else func.sum(value)
