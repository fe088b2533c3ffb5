"""What a mart must be so that its full and its incremental build agree: checked where it is declared."""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Case,
    Column,
    ColumnElement,
    Exists,
    FunctionElement,
    FunctionFilter,
    Over,
    SelectBase,
    Table,
    WithinGroup,
    text,
)
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import MappedColumn
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

from minidw.errors import DeclarationError, printable
from minidw.schema.staging import OrderChange, OrderLine
from minidw.schema.words import Expression, Measure, Ratio, Role, Rule

_WHOLE = "SMALLINT|INTEGER|BIGINT"
_DECIMAL = r"NUMERIC\(\d+(?:, \d+)?\)"
_TEXT = "TEXT|VARCHAR"
_TIME = r"DATE|TIMESTAMP(?:\(\d\))? WITH(?:OUT)? TIME ZONE"
_ANY = f"{_WHOLE}|{_DECIMAL}|{_TEXT}|{_TIME}|BOOLEAN|UUID"

# Of each role the types that can be added, compared or grouped exactly, and how a message names them.
# A sum of INTEGER would overflow; a number without a scale has as many decimals as came together.
_TYPES = {
    Role.KEY: (_ANY, "a number with a scale, text, day, time, bool or UUID"),
    Role.TOTAL: (f"BIGINT|{_DECIMAL}", "a Mapped[int], a Mapped[Decimal], or a NUMERIC with a scale"),
    Role.COUNT: ("BIGINT", "a Mapped[int]"),
    Role.SMALLEST: (f"{_WHOLE}|{_DECIMAL}|{_TEXT}|{_TIME}", "a number with a scale, text, day or time"),
    Role.LARGEST: (f"{_WHOLE}|{_DECIMAL}|{_TEXT}|{_TIME}", "a number with a scale, text, day or time"),
    Role.VALUE: (_ANY, "a number with a scale, text, day, time, bool or UUID"),
}
_AGGREGATES = {"sum", "count", "min", "max", "avg", "array_agg", "string_agg", "bool_and", "bool_or", "every"}
_OF_THE_MOMENT = {
    *("now", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "random"),
    *("clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday", "gen_random_uuid"),
    *("current_user", "session_user", "current_setting", "nextval"),
}
# The last two are columns of what verify finds; the others are said of the class itself.
_TAKEN = ("source", "condition", "metadata", "registry", "side", "differing")


def sql_type(type_: TypeEngine[Any]) -> str:
    """The name of a type in PostgreSQL; empty where it has none."""
    try:
        return str(type_.compile(dialect=PGDialect()))  # type: ignore[no-untyped-call]
    except CompileError:
        return ""


def check_class(mart: type[Any]) -> None:
    """Refuse a class that cannot become a table: checked before SQLAlchemy maps it."""
    for base in mart.__mro__[1:]:
        if "__table__" in base.__dict__:
            raise _fault(mart, f"a mart cannot inherit from another; write source = {base.__name__}")
    name = mart.__dict__.get("__tablename__")
    if name is not None and not re.fullmatch("[a-z][a-z0-9_]{0,49}", str(name)):
        raise _fault(mart, f"__tablename__ {name!r}: lower-case letters, digits and _, at most 50 of them")
    if f"mart.{name}" in mart.metadata.tables:
        raise _fault(mart, f"there is a table mart.{name} already")
    for taken in _TAKEN:
        if isinstance(mart.__dict__.get(taken), MappedColumn):
            raise _fault(mart, "this name is taken; call the column otherwise", taken)
    columns = [found for base in mart.__mro__ for found in base.__dict__.values()]
    if not any(isinstance(found, MappedColumn) and found.column.primary_key for found in columns):
        raise _fault(mart, "it needs a key(): what is it one row per?")
    source = mart.source
    if source is not OrderLine and getattr(getattr(source, "__table__", None), "schema", "") != "mart":
        raise _fault(mart, f"source is {source!r}: leave it out for the order lines, or name a mart")


def check_columns(mart: type[Any]) -> None:
    """Refuse columns from which a full and an incremental build could differ."""
    table: Table = mart.__table__
    if table.schema != "mart":
        raise _fault(mart, "its table is not in schema mart: let __table_args__ end with Mart.__table_args__")
    roles = [column.info["measure"].role for column in table.c if "measure" in column.info]
    derived = mart.source is not OrderLine
    if not derived and roles.count(Role.COUNT) != 1:
        raise _fault(mart, "it needs one count(): it tells when the last line of a key is gone")
    for column in table.c:
        if "measure" in column.info:
            _check_measure(mart, column, derived=derived)
        elif column.computed is None:
            words = "key, value" if derived else "key, total, count, smallest, largest"
            raise _fault(mart, f"say how it is computed: {words} or ratio", column.name)
    if derived:
        _check_keys_of_derived(mart)
    if mart.condition is not None:
        list(_expressions(mart, mart.condition, "condition"))


def settle_ratios(mart: type[Any]) -> None:
    """What the database divides for each ratio: exactly, and without an error where there is nothing."""
    table: Table = mart.__table__
    for column in table.c:
        if not isinstance(ratio := column.info.get("ratio"), Ratio):
            continue
        for name in (ratio.numerator, ratio.denominator):
            if name not in table.c or "measure" not in table.c[name].info:
                raise _fault(mart, f"there is no computed column {name!r} to divide", column.name)
            if not re.fullmatch(f"{_WHOLE}|{_DECIMAL}", sql_type(table.c[name].type)):
                raise _fault(mart, f"{name} is no number", column.name)
        if not re.fullmatch(f"{_WHOLE}|{_DECIMAL}", sql_type(column.type)):
            raise _fault(mart, "a ratio must be a number with a scale, such as Mapped[Decimal]", column.name)
        numerator, denominator = table.c[ratio.numerator], table.c[ratio.denominator]
        counted = denominator.info["measure"].role is Role.COUNT
        if not column.nullable and (not counted or numerator.nullable):
            why = f"{denominator.name} may be 0" if not counted else f"{numerator.name} may be NULL"
            raise _fault(mart, f"{why}: declare the ratio as Mapped[Decimal | None]", column.name)
        quote = PGDialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
        above, below = quote(numerator.name), quote(denominator.name)
        if re.fullmatch(_WHOLE, sql_type(numerator.type)) and re.fullmatch(
            _WHOLE, sql_type(denominator.type)
        ):
            above = f"CAST({above} AS NUMERIC)"
        computed: Any = column.computed
        computed.sqltext = text(f"{above} / {below if counted else f'NULLIF({below}, 0)'}")


def _check_measure(mart: type[Any], column: Column[Any], *, derived: bool) -> None:
    measure: Measure = column.info["measure"]
    role = measure.role
    if derived and role not in (Role.KEY, Role.VALUE):
        message = f"{role.value}() adds up order lines; of another mart there is one row per row: use value()"
        raise _fault(mart, message, column.name)
    if not derived and role is Role.VALUE:
        message = (
            "value() is for a mart whose source is a mart; of order lines use key, total, smallest, largest"
        )
        raise _fault(mart, message, column.name)
    found = sql_type(column.type)
    allowed, named = _TYPES[role]
    if not found or found == "NULL":
        raise _fault(mart, "it needs a type, such as Mapped[Decimal]", column.name)
    if not re.fullmatch(allowed, found):
        raise _fault(mart, f"a {role.value} cannot be {found}; it must be {named}", column.name)
    if role in (Role.KEY, Role.COUNT) and column.nullable:
        raise _fault(mart, f"a {role.value} cannot be NULL: leave out '| None'", column.name)
    if measure.expression is not None:
        for clause in _expressions(mart, measure.expression, column.name):
            if role is not Role.TOTAL and not column.nullable and _is_sometimes_null(clause):
                hint = "give its case() an else_" if role is Role.KEY else "declare it as Mapped[... | None]"
                raise _fault(mart, f"it may be NULL: {hint}", column.name)


def _check_keys_of_derived(mart: type[Any]) -> None:
    """One row per row of the source: the keys must be those of the source, or rows would fall together."""
    source: Table = mart.source.__table__
    expected = {column.name: sql_type(column.type) for column in source.primary_key}
    found = [
        (clause.name if isinstance(clause, Column) else "", sql_type(column.type))
        for column in mart.__table__.primary_key
        for clause in _expressions(mart, column.info["measure"].expression, column.name)
    ]
    if sorted(found) != sorted(expected.items()):
        keys = ", ".join(f"{name} ({type_})" for name, type_ in expected.items())
        raise _fault(mart, f"its keys must be those of {mart.source.__name__}, as they are: {keys}")


def _expressions(mart: type[Any], expression: Expression, name: str) -> Iterator[ColumnElement[Any]]:
    """What an expression says of each table that it is applied to: a function of the row alone."""
    for source in (OrderLine, OrderChange) if mart.source is OrderLine else (mart.source,):
        try:
            found = expression(source)
        except Exception as error:
            message = printable(f"{type(error).__name__}: {error}".splitlines()[0])
            raise _fault(mart, message, name) from error
        if hasattr(found, "__clause_element__"):
            found = found.__clause_element__()
        if isinstance(found, ColumnElement):
            _check_clause(mart, found, source.__table__, name)
            yield found


def _check_clause(mart: type[Any], clause: ColumnElement[Any], table: Any, name: str) -> None:
    for element in iterate(clause):
        match element:
            case SelectBase() | Exists():
                message = "it reads another table; a mart follows from the rows of its source alone"
            case Over() | FunctionFilter() | WithinGroup():
                message = "it looks at more than one row; write what is computed from a single one"
            case FunctionElement() if _name_of(element) in _AGGREGATES:
                message = (
                    f"{_name_of(element)}() looks at more than one row; total, smallest and largest do that"
                )
            case FunctionElement() if _name_of(element) in _OF_THE_MOMENT:
                message = (
                    f"{_name_of(element)}() gives another answer each time; a mart follows from its source"
                )
            case Column() if getattr(element.table, "fullname", None) != table.fullname:
                message = f"{element} is no column of its source; use the row that the function is given"
            case BindParameter(required=True) if not isinstance(element, Rule):
                message = f"nothing gives the parameter {element.key!r} a value"
            case _:
                continue
        raise _fault(mart, printable(message), name)


def _is_sometimes_null(clause: ColumnElement[Any]) -> bool:
    match clause:
        case Case():
            return clause.else_ is None
        case Column():
            return bool(clause.nullable)
    return False


def _name_of(function: FunctionElement[Any]) -> str:
    return str(getattr(function, "name", "")).lower()


def _fault(mart: type[Any], message: str, column: str | None = None) -> DeclarationError:
    place = mart.__name__ if column is None else f"{mart.__name__}.{column}"
    return DeclarationError(f"{place}: {message}")
