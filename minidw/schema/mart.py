"""The words in which a mart is declared: its columns say how they are computed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Computed, Text, bindparam
from sqlalchemy.orm import MappedColumn, mapped_column

from minidw.schema.base import Base
from minidw.schema.staging import OrderLine


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
    expression: Callable[[Any], ColumnElement[Any]] | None = None


Expression = Callable[[Any], ColumnElement[Any]]


def key(expression: Expression) -> MappedColumn[Any]:
    """A column of the grain: the mart has one row per distinct key."""
    return mapped_column(primary_key=True, info={"measure": Measure(Role.KEY, expression)})


def total(expression: Expression) -> MappedColumn[Any]:
    """The sum of an expression; a change is added with its sign."""
    return mapped_column(info={"measure": Measure(Role.TOTAL, expression)})


def count() -> MappedColumn[Any]:
    """The number of order lines; a key whose count falls to zero loses its row."""
    return mapped_column(info={"measure": Measure(Role.COUNT)})


def smallest(expression: Expression) -> MappedColumn[Any]:
    """The minimum of an expression; aggregated again for keys that lost a row."""
    return mapped_column(info={"measure": Measure(Role.SMALLEST, expression)})


def largest(expression: Expression) -> MappedColumn[Any]:
    """The maximum of an expression; aggregated again for keys that lost a row."""
    return mapped_column(info={"measure": Measure(Role.LARGEST, expression)})


def value(expression: Expression) -> MappedColumn[Any]:
    """A column of a mart with one row per row of its source, computed from that row alone."""
    return mapped_column(info={"measure": Measure(Role.VALUE, expression)})


def ratio(numerator: str, denominator: str) -> MappedColumn[Any]:
    """One column of the mart over another, derived by the database itself."""
    return mapped_column(Computed(f"{numerator} / {denominator}", persisted=True))


def rule(name: str, type_: Any, *, many: bool = False) -> ColumnElement[Any]:
    """A parameter whose value comes from the settings when the statement is executed."""
    return bindparam(name, type_=type_, expanding=many)


def counts_as_revenue(line: Any) -> ColumnElement[bool]:
    """The order lines of the marts: those whose status is one of ``REVENUE_STATUSES``."""
    condition: ColumnElement[bool] = line.status.in_(rule("revenue_statuses", Text, many=True))
    return condition


class Mart(Base):
    """Base of the marts: the table of a query over ``source``, limited by ``condition``."""

    __abstract__ = True
    # Half of each page stays free: a changed row finds its place beside the old one, and no index is touched.
    __table_args__: Any = {"schema": "mart", "postgresql_with": {"fillfactor": 50}}

    source: ClassVar[type[Base]] = OrderLine
    condition: ClassVar[Callable[[Any], ColumnElement[bool]] | None] = counts_as_revenue

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        roles = [column.info["measure"].role for column in cls.__table__.c if "measure" in column.info]
        if not issubclass(cls.source, Mart) and roles.count(Role.COUNT) != 1:
            raise TypeError(f"{cls.__name__} needs one count(): it tells when the last line of a key is gone")
