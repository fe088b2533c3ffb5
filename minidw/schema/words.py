"""The words in which a mart is declared: each column says how it is computed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Computed, Date, FunctionElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler

Expression = Callable[[Any], Any]
"""From a row of the source to a value: an expression of SQLAlchemy over the columns of that row alone."""


class Role(Enum):
    """What a column of a mart is to the kernel."""

    KEY = "key"
    TOTAL = "total"
    COUNT = "count"
    SMALLEST = "smallest"
    LARGEST = "largest"
    VALUE = "value"


@dataclass(frozen=True)
class Measure:
    """How a column of a mart is computed from a row of its source."""

    role: Role
    expression: Expression | None = None


@dataclass(frozen=True)
class Ratio:
    """One column of a mart over another."""

    numerator: str
    denominator: str


def key(expression: Expression) -> MappedColumn[Any]:
    """A column that tells the rows of a mart apart: there is one row per distinct key.

    Args:
        expression: from an order line, or a row of another source, to the value; it must never be NULL

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: with its class, where the value follows from more than the row, or may be NULL

    Example:
        >>> class PerDay(minidw.Mart):
        ...     "Order lines per day. One row per day."
        ...     __tablename__ = "per_day"
        ...     day: Mapped[date] = minidw.key(lambda line: line.order_timestamp)
        ...     order_lines: Mapped[int] = minidw.count()
        >>> PerDay.__table__.primary_key.columns.keys()
        ['day']
    """
    return mapped_column(primary_key=True, info={"measure": Measure(Role.KEY, expression)})


def total(expression: Expression) -> MappedColumn[Any]:
    """The sum of an expression; a change is added with its sign.

    The value of each order line is brought to the column's type before it is added, so the sum does not
    depend on what came together. NULL adds nothing: a key without any value has 0, or NULL where the
    column may be NULL.

    Args:
        expression: from an order line to the value to add

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: with its class, where the value follows from more than the row, or the type of the
            column is no integer and no number with a scale

    Example:
        >>> class PerCustomer(minidw.Mart):
        ...     "Units per customer. One row per customer."
        ...     __tablename__ = "per_customer"
        ...     customer_id: Mapped[str] = minidw.key(lambda line: line.customer_id)
        ...     units: Mapped[int] = minidw.total(lambda line: line.quantity)
        ...     net: Mapped[Decimal] = minidw.total(lambda line: line.total_amount / Decimal("1.19"))
        ...     order_lines: Mapped[int] = minidw.count()
        >>> PerCustomer.__table__.c.net.type
        Numeric(precision=38, scale=4)
    """
    return mapped_column(info={"measure": Measure(Role.TOTAL, expression)})


def count() -> MappedColumn[Any]:
    """The number of order lines; a key whose count falls to zero loses its row. Each mart has one.

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: with its class, where there is a second one, or the column is not ``Mapped[int]``

    Example:
        >>> class PerStatus(minidw.Mart):
        ...     "Order lines per status. One row per status."
        ...     __tablename__ = "per_status"
        ...     condition = None
        ...     status: Mapped[str] = minidw.key(lambda line: line.status)
        ...     order_lines: Mapped[int] = minidw.count()
        >>> PerStatus.__table__.c.order_lines.type
        BigInteger()
    """
    return mapped_column(info={"measure": Measure(Role.COUNT)})


def smallest(expression: Expression) -> MappedColumn[Any]:
    """The minimum of an expression; aggregated again for keys that lost a row.

    Args:
        expression: from an order line to the value

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: with its class, where the value follows from more than the row, or may be NULL and
            the column may not

    Example:
        >>> class Cheapest(minidw.Mart):
        ...     "The lowest price of a product. One row per product."
        ...     __tablename__ = "cheapest"
        ...     product_id: Mapped[str] = minidw.key(lambda line: line.product_id)
        ...     price: Mapped[Decimal] = minidw.smallest(lambda line: line.price)
        ...     order_lines: Mapped[int] = minidw.count()
        >>> Cheapest.__table__.fullname
        'mart.cheapest'
    """
    return mapped_column(info={"measure": Measure(Role.SMALLEST, expression)})


def largest(expression: Expression) -> MappedColumn[Any]:
    """The maximum of an expression; aggregated again for keys that lost a row.

    Args:
        expression: from an order line to the value

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: as in ``smallest``

    Example:
        >>> class LastOrder(minidw.Mart):
        ...     "The last order of a product. One row per product."
        ...     __tablename__ = "last_order"
        ...     product_id: Mapped[str] = minidw.key(lambda line: line.product_id)
        ...     at: Mapped[datetime] = minidw.largest(lambda line: line.order_timestamp)
        ...     order_lines: Mapped[int] = minidw.count()
        >>> LastOrder.__table__.c.at.nullable
        False
    """
    return mapped_column(info={"measure": Measure(Role.LARGEST, expression)})


def value(expression: Expression) -> MappedColumn[Any]:
    """A column of a mart with one row per row of its source, computed from that row alone.

    Args:
        expression: from a row of the source, which is another mart, to the value

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: as in ``smallest``, and where the source is the order lines

    Example:
        >>> class Loyal(minidw.Mart):
        ...     "Who ordered more than once. One row per customer."
        ...     __tablename__ = "loyal"
        ...     source = minidw.CustomerLtv
        ...     customer_id: Mapped[str] = minidw.key(lambda customer: customer.customer_id)
        ...     is_loyal: Mapped[bool] = minidw.value(lambda customer: customer.order_lines > 1)
        >>> Loyal.source
        <class 'minidw.schema.marts.CustomerLtv'>
    """
    return mapped_column(info={"measure": Measure(Role.VALUE, expression)})


def ratio(numerator: str, denominator: str) -> MappedColumn[Any]:
    """One column of the mart over another, derived by the database itself.

    Args:
        numerator: name of a column of the same mart
        denominator: another; where it is 0 the ratio is NULL, so the column must allow NULL, unless the
            denominator is the count, which is never 0

    Returns:
        The column, to be assigned to its annotation.

    Raises:
        DeclarationError: with its class, where one of the two is no number of it, or the ratio may be NULL
            and the column may not

    Example:
        >>> class Basket(minidw.Mart):
        ...     "Revenue per order line. One row per customer."
        ...     __tablename__ = "basket"
        ...     customer_id: Mapped[str] = minidw.key(lambda line: line.customer_id)
        ...     revenue: Mapped[Decimal] = minidw.total(lambda line: line.total_amount)
        ...     order_lines: Mapped[int] = minidw.count()
        ...     per_line: Mapped[Decimal] = minidw.ratio("revenue", "order_lines")
        >>> Basket.__table__.c.per_line.computed.persisted
        True
    """
    # What the database divides is settled with the class, where the two columns are known.
    return mapped_column(Computed("NULL", persisted=True), info={"ratio": Ratio(numerator, denominator)})


class Rule(BindParameter[Any]):
    """A parameter that the settings bind."""

    inherit_cache = True


def rule(name: str, type_: Any, *, many: bool = False) -> ColumnElement[Any]:
    """A parameter whose value comes from the settings when the statement is executed."""
    return Rule(name, type_=type_, required=True, expanding=many)


class local_day(FunctionElement[Any]):  # noqa: N801 - reads as the function it compiles to
    """The day of a time that is stored in UTC, on the clocks of the warehouse: ``TIME_ZONE``."""

    inherit_cache = True
    name = "local_day"
    type = Date()

    def __init__(self, time: ColumnElement[Any]) -> None:
        super().__init__(time, rule("time_zone", Text))


@compiles(local_day, "postgresql")
def _local_day(element: local_day, compiler: SQLCompiler, **kw: Any) -> str:
    time, zone = (compiler.process(part, **kw) for part in element.clauses)
    local = f"{time} AT TIME ZONE 'UTC' AT TIME ZONE {zone}"
    return f"CASE WHEN {zone} = 'UTC' THEN CAST({time} AS DATE) ELSE CAST({local} AS DATE) END"


def counts_as_revenue(line: Any) -> ColumnElement[bool]:
    """The order lines of the marts: those whose status is one of ``REVENUE_STATUSES``."""
    condition: ColumnElement[bool] = line.status.in_(rule("revenue_statuses", Text, many=True))
    return condition
