"""A statement → the text that Spark executes, the parameters it binds, and the columns of a table."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Computed, FromClause, cast, func, select
from sqlalchemy.exc import CompileError

from minidw.engines.spark import constructs as constructs
from minidw.engines.spark.dialect import SparkDialect
from minidw.errors import DeclarationError, printable
from minidw.schema.mart import Mart
from minidw.schema.words import Ratio
from minidw.transforms.constructs import Query
from minidw.transforms.marts import aggregate, query
from minidw.transforms.values import measures

DIALECT = SparkDialect()
"""One for all statements: what a dialect compiled is kept by it."""


def compiled(statement: Query, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The text of a statement, and what it binds by name, the values of its lists among them."""
    found: Any = statement.compile(dialect=DIALECT)
    given = {name: value for name, value in parameters.items() if name in found.binds}
    bound = found.construct_params(given, _check=False)
    expanded = found._process_parameters_for_postcompile(bound)
    values = {**bound, **expanded.additional_parameters}
    return expanded.statement, {
        name: value for name, value in values.items() if not isinstance(value, list | tuple)
    }


def typed(table: FromClause, rows: Query) -> Query:
    """Rows as the table has them: each column of its type, and what the database derives besides.

    PostgreSQL does both where rows are inserted.
    """
    given = rows.subquery("given")
    columns = [cast(given.c[c.name], c.type).label(c.name) for c in table.c if c.name in given.c]
    row = select(*columns).subquery("row")
    derived = [
        cast(_quotient(column.info["ratio"], row), column.type).label(column.name)
        for column in table.c
        if isinstance(getattr(column, "computed", None), Computed)
    ]
    return select(*row.c, *derived)


def _quotient(ratio: Ratio, row: Any) -> ColumnElement[Any]:
    above, below = row.c[ratio.numerator], row.c[ratio.denominator]
    quotient: ColumnElement[Any] = above / func.nullif(below, 0, type_=below.type)
    return quotient


def check_marts(marts: tuple[type[Mart], ...]) -> None:
    """Raise DeclarationError for a mart that Spark cannot compute as PostgreSQL does, by class and column."""
    for mart in marts:
        for name in measures(mart):
            _check(mart, name)
        compiled(query(mart), {})


def _check(mart: type[Mart], name: str) -> None:
    try:
        column = aggregate(mart, name, mart.source)
        select(column).compile(dialect=DIALECT)
    except CompileError as error:
        why = printable(str(error).splitlines()[0])
        raise DeclarationError(f"{mart.__name__}.{name}: not for Spark: {why}") from None
