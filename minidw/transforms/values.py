"""The value of a mart's column for one row of its source: always of the column's own type.

Whatever is added up, compared or grouped is brought to that type row by row, so that a mart is the same
whether its rows came at once or one by one.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Case, Cast, Column, ColumnElement, Integer, cast
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import NumericCommon

from minidw.schema.declaration import sql_type
from minidw.schema.mart import Mart
from minidw.schema.words import Measure, Role

_WIDER = {
    ("SMALLINT", "INTEGER"), ("SMALLINT", "BIGINT"), ("INTEGER", "BIGINT"),
    ("TEXT", "VARCHAR"), ("VARCHAR", "TEXT"),
}  # fmt: skip


def measures(mart: type[Mart]) -> dict[str, Measure]:
    """How each computed column of the mart is computed, in the order of declaration."""
    return {column.name: column.info["measure"] for column in mart.__table__.c if "measure" in column.info}


def named(mart: type[Mart], *roles: Role) -> list[str]:
    """The columns of the mart that have one of the roles."""
    return [name for name, measure in measures(mart).items() if measure.role in roles]


def keys(mart: type[Mart]) -> list[str]:
    """The key columns of the mart."""
    return named(mart, Role.KEY)


def is_derived(mart: type[Mart]) -> bool:
    """Whether the mart's source is another mart: one row per row of it."""
    return issubclass(mart.source, Mart)


def key_of_source(mart: type[Mart]) -> dict[str, str]:
    """The key columns of a derived mart, and those of its source that they are."""
    found = {name: _clause(mart, name) for name in keys(mart)}
    return {name: clause.name for name, clause in found.items() if isinstance(clause, Column)}


def value_of(mart: type[Mart], name: str, row: Any) -> ColumnElement[Any]:
    """A column of the mart for one row of its source; the cast is left out where it would change nothing."""
    expression = measures(mart)[name].expression
    assert expression is not None
    value: ColumnElement[Any] = expression(row)
    type_ = mart.__table__.c[name].type
    return value if _is_of(_unwrapped(value), sql_type(type_)) else cast(value, type_)


def is_zero_without_values(mart: type[Mart], name: str) -> bool:
    """Whether a total may meet keys that have no value, and has 0 for them since it cannot be NULL."""
    clause = _clause(mart, name)
    while isinstance(clause, Cast):
        clause = clause.clause
    certain = isinstance(clause, Column) and not clause.nullable
    return not mart.__table__.c[name].nullable and not certain


def cannot_be_taken_back(mart: type[Mart]) -> list[str]:
    """The columns that a row's going away may change in a way that the row itself does not tell.

    Smallest and largest; a total that is NULL once its last value is gone; one that NaN may poison.
    """
    totals = [
        name
        for name in named(mart, Role.TOTAL)
        if mart.__table__.c[name].nullable or _may_be_nan(_clause(mart, name))
    ]
    return [name for name in measures(mart) if name in (*named(mart, Role.SMALLEST, Role.LARGEST), *totals)]


def _clause(mart: type[Mart], name: str) -> Any:
    expression = measures(mart)[name].expression
    assert expression is not None
    return _unwrapped(expression(mart.source))


def _unwrapped(value: Any) -> Any:
    return value.__clause_element__() if hasattr(value, "__clause_element__") else value


def _is_of(clause: Any, wanted: str) -> bool:
    """Whether an expression is certainly of a type: the type that SQLAlchemy infers may be another one."""
    match clause:
        case Case():
            results = [result for _, result in clause.whens]
            results += [] if clause.else_ is None else [clause.else_]
            return all(_is_of(result, wanted) or _is_text(result, wanted) for result in results)
        case Column() | Cast():
            found = sql_type(clause.type)
            return found == wanted or (found, wanted) in _WIDER or _is_narrower(found, wanted)
    return False


def _is_text(clause: Any, wanted: str) -> bool:
    return (
        isinstance(clause, BindParameter) and isinstance(clause.value, str) and wanted in ("TEXT", "VARCHAR")
    )


def _is_narrower(found: str, wanted: str) -> bool:
    """Fewer digits in all, and as many of them decimals."""
    pair = [re.fullmatch(r"NUMERIC\((\d+), (\d+)\)", name) for name in (found, wanted)]
    if not all(pair):
        return False
    (digits, scale), (digits_wanted, scale_wanted) = (map(int, match.groups()) for match in pair if match)
    return scale == scale_wanted and digits <= digits_wanted


def _may_be_nan(clause: Any) -> bool:
    """Arithmetic on finite numbers never gives NaN; a constant, or a text that is cast to a number, may."""
    if not hasattr(clause, "get_children"):
        return _is_nan(clause)
    return any(
        (isinstance(element, Cast) and not isinstance(element.clause.type, Integer | NumericCommon))
        or (isinstance(element, BindParameter) and _is_nan(element.value))
        for element in iterate(clause)
    )


def _is_nan(value: Any) -> bool:
    try:
        return Decimal(value).is_nan()
    except (InvalidOperation, TypeError, ValueError):
        return False
