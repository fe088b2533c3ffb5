"""The marts of minidw: one class each."""

from datetime import date

from sqlalchemy import Numeric, case
from sqlalchemy.orm import Mapped

from minidw.errors import SettingsError
from minidw.schema.base import Code, Count, Money, UtcTime
from minidw.schema.mart import Mart, declared
from minidw.schema.own import load_own
from minidw.schema.words import count, key, largest, local_day, ratio, rule, smallest, total, value


class DailyRevenue(Mart):
    """Revenue per day. One row per order date (in the zone TIME_ZONE).

    order_date: day of the orders, in the zone TIME_ZONE
    revenue: sum of total_amount
    order_lines: number of order lines

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.DailyRevenue, date(2024, 5, 1)).revenue
        Decimal('191.0000')
    """

    __tablename__ = "daily_revenue"

    order_date: Mapped[date] = key(lambda line: local_day(line.order_timestamp))
    revenue: Mapped[Money] = total(lambda line: line.total_amount)
    order_lines: Mapped[Count] = count()


class CustomerLtv(Mart):
    """Lifetime value per customer. One row per customer with revenue.

    customer_id: customer
    lifetime_value: sum of total_amount
    order_lines: number of order lines
    first_order_at: time of the first order, UTC
    last_order_at: time of the last order, UTC

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.CustomerLtv, "ada").last_order_at
        datetime.datetime(2024, 5, 2, 9, 30)
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

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.ProductRevenue, ("chair", "books")).total_quantity
        3
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

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.CustomerSegments, "bob").segment
        'Low'
    """

    __tablename__ = "customer_segments"
    source = CustomerLtv

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


def all_marts() -> tuple[type[Mart], ...]:
    """Every mart, the user's own among them.

    Returns:
        Their classes in the order of declaration: a mart comes after its source.

    Raises:
        DeclarationError, SettingsError: the module of the user's own cannot be imported

    Example:
        >>> [mart.__tablename__ for mart in minidw.all_marts()]
        ['daily_revenue', 'customer_ltv', 'product_revenue', 'customer_segments']
    """
    load_own()
    return tuple(declared[table] for table in Mart.metadata.tables.values() if table in declared)


def find_mart(named: str | type[Mart]) -> type[Mart]:
    """A mart by its class or the name of its table. Raises SettingsError where there is none."""
    for mart in all_marts():
        if named in (mart, mart.__tablename__, f"mart.{mart.__tablename__}"):
            return mart
    known = ", ".join(mart.__tablename__ for mart in all_marts())
    raise SettingsError(f"there is no mart {named!r}; there are {known}")
