"""mart: one class each. Its columns say how they are computed; the kernel derives everything else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Computed, Date, Numeric, Text, bindparam, case, cast
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from minidw.schema.base import Base, Code, Count, Instant, Money, UtcTime
from minidw.schema.staging import OrderLine

SEGMENTS = ("VIP", "High", "Medium", "Low")


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


class DailyRevenue(Mart):
    """Revenue per day. One row per order date (UTC).

    order_date: day of the orders, UTC
    revenue: sum of total_amount
    order_lines: number of order lines
    """

    __tablename__ = "daily_revenue"

    order_date: Mapped[date] = key(lambda line: cast(line.order_timestamp, Date))
    revenue: Mapped[Money] = total(lambda line: line.total_amount)
    order_lines: Mapped[Count] = count()


class CustomerLtv(Mart):
    """Lifetime value per customer. One row per customer with revenue.

    customer_id: customer
    lifetime_value: sum of total_amount
    order_lines: number of order lines
    first_order_at: time of the first order, UTC
    last_order_at: time of the last order, UTC
    """

    __tablename__ = "customer_ltv"

    customer_id: Mapped[Code] = key(lambda line: line.customer_id)
    lifetime_value: Mapped[Money] = total(lambda line: line.total_amount)
    order_lines: Mapped[Count] = count()
    first_order_at: Mapped[UtcTime] = smallest(lambda line: line.order_timestamp)
    last_order_at: Mapped[UtcTime] = largest(lambda line: line.order_timestamp)


class ProductRevenue(Mart):
    """Revenue per product. One row per product and category it was sold in.

    product_id: product
    category: category of the order lines; unknown where it was blank
    total_revenue: sum of total_amount
    total_quantity: units sold
    order_lines: number of order lines
    avg_order_value: revenue per order line, to four decimals
    """

    __tablename__ = "product_revenue"

    product_id: Mapped[Code] = key(lambda line: line.product_id)
    category: Mapped[Code] = key(lambda line: line.category)
    total_revenue: Mapped[Money] = total(lambda line: line.total_amount)
    total_quantity: Mapped[Count] = total(lambda line: line.quantity)
    order_lines: Mapped[Count] = count()
    avg_order_value: Mapped[Money] = ratio("total_revenue", "order_lines")


class CustomerSegments(Mart):
    """The segment of each customer, by lifetime value. One row per customer with revenue.

    customer_id: customer
    lifetime_value: that of mart.customer_ltv
    segment: VIP, High, Medium or Low
    """

    __tablename__ = "customer_segments"
    source = CustomerLtv
    condition = None

    customer_id: Mapped[Code] = key(lambda customer: customer.customer_id)
    lifetime_value: Mapped[Money] = value(lambda customer: customer.lifetime_value)
    segment: Mapped[Code] = value(
        lambda customer: case(
            (customer.lifetime_value >= rule("segment_vip", Numeric), "VIP"),
            (customer.lifetime_value >= rule("segment_high", Numeric), "High"),
            (customer.lifetime_value >= rule("segment_medium", Numeric), "Medium"),
            else_="Low",
        )
    )


class MartBuild(Base):
    """How each mart was built last. One row per mart that was ever built.

    mart: name of the mart's table
    fingerprint: SHA-256 of the query and rules it was built by; null where it must be built in full
    built_at: when
    method: full or incremental
    reason: why that method
    """

    __tablename__ = "builds"

    mart: Mapped[Code] = mapped_column(primary_key=True)
    fingerprint: Mapped[Code | None]
    built_at: Mapped[Instant]
    method: Mapped[Code]
    reason: Mapped[Code]

    __table_args__ = ({"schema": "mart"},)


def marts() -> tuple[type[Mart], ...]:
    """Every mart, in the order of declaration: a mart comes after its source."""
    return tuple(Mart.__subclasses__())
