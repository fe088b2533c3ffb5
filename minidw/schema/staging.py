"""staging: order lines typed, valid and deduplicated; what was rejected; what waits for the marts."""

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.base import Base, Code, Count, Money, Price, Quantity, SourceRow, UtcTime
from minidw.schema.vocabulary import RETURNED, STATUSES


class OrderLineColumns:
    """The columns of an order line, cleaned.

    order_id: order, trimmed and NFC-normalised
    line_number: position of the line within its order; 1 in a feed of one row per order
    order_timestamp: time of the order, UTC
    customer_id: customer, trimmed and NFC-normalised
    product_id: product, trimmed and NFC-normalised
    category: product category, trimmed and ASCII-lowered; unknown where it was blank
    price: price of one unit; of the amount of a whole line, rounded to four decimals
    quantity: units ordered; below zero where they came back
    discount: amount off the line
    total_amount: price * quantity - discount, or what was delivered as the amount of the line
    status: pending, shipped, delivered or cancelled; returned for a line that takes back
    batch_id: the batch it came in
    source_row: its position in that batch's file
    """

    order_timestamp: Mapped[UtcTime]
    customer_id: Mapped[Code]
    product_id: Mapped[Code]
    category: Mapped[Code]
    price: Mapped[Price]
    quantity: Mapped[Quantity]
    discount: Mapped[Price] = mapped_column(server_default="0")
    total_amount: Mapped[Money]
    status: Mapped[Code]
    batch_id: Mapped[int]
    source_row: Mapped[SourceRow]


class OrderLine(OrderLineColumns, Base):
    """The order lines that hold: of each, its newest valid delivery. One row per order line.

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.OrderLine, ("1002", 1)).total_amount
        Decimal('151.0000')
    """

    __tablename__ = "orders_stg"

    order_id: Mapped[Code] = mapped_column(primary_key=True, sort_order=-2)
    line_number: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-1)

    __table_args__ = (
        # NaN is greater than every number in PostgreSQL: only an upper bound keeps it out.
        CheckConstraint("price >= 0 AND price < 'Infinity'", name="price_not_negative_and_finite"),
        CheckConstraint("line_number > 0", name="line_number_positive"),
        CheckConstraint(
            "CASE status WHEN 'returned' THEN quantity < 0 AND total_amount < 0"
            " ELSE quantity > 0 AND total_amount >= 0 END",
            name="negative_if_returned",
        ),
        # Where the amount of a line was delivered, the price is rounded by up to half of its last decimal.
        CheckConstraint(
            "total_amount = price * quantity - discount"
            " OR abs(total_amount - (price * quantity - discount)) <= 0.00005 * abs(quantity)",
            name="total_amount_adds_up",
        ),
        CheckConstraint(f"status IN {(*STATUSES, RETURNED)}", name="status_known"),
        Index("idx_orders_stg_order_ts", "order_timestamp"),
        Index("idx_orders_stg_customer", "customer_id"),
        # The checks of a run look at its own batch: a few pages of summaries instead of the history.
        Index("ix_orders_stg_batch_id", "batch_id", postgresql_using="brin"),
        {"schema": "staging"},
    )


class OrderTotal(Base):
    """Control totals of staging.orders_stg, kept by each stage. One row per status.

    What the marts must add up to, without reading the history again.

    status: pending, shipped, delivered, cancelled or returned
    order_lines: number of order lines
    quantity: units ordered, less those returned
    total_amount: sum of total_amount

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.OrderTotal, "shipped").order_lines
        1
    """

    __tablename__ = "orders_totals"

    status: Mapped[Code] = mapped_column(primary_key=True)
    order_lines: Mapped[Count]
    quantity: Mapped[Count]
    total_amount: Mapped[Money]

    __table_args__ = ({"schema": "staging"},)


class OrderRejected(Base):
    """A delivered row that was not staged; raw.orders_all has the row itself. One row per rejected row.

    batch_id: the batch it came in
    source_row: its position in that batch's file
    reasons: every reason, as codes

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.get(minidw.OrderRejected, (1, 5)).reasons
        ['BAD_NUMBER']
    """

    __tablename__ = "orders_rejected"

    batch_id: Mapped[int] = mapped_column(primary_key=True)
    source_row: Mapped[SourceRow] = mapped_column(primary_key=True)
    reasons: Mapped[list[str]] = mapped_column(ARRAY(Text))

    __table_args__ = (
        CheckConstraint("cardinality(reasons) > 0", name="has_reasons"),
        {"schema": "staging"},
    )


class OrderChange(OrderLineColumns, Base):
    """A change of staging that the marts do not contain yet. One row per change.

    stage: the stage that made it, counted since the marts were built
    change: +1 for an order line that appeared, -1 for one that ceased to hold

    Example:
        >>> loaded = minidw.load_raw("corrections.csv")
        >>> staged = minidw.build_staging()
        >>> with minidw.create_engine().connect() as conn:
        ...     for change in conn.execute(select(minidw.OrderChange).order_by("order_id", "change")):
        ...         print(change.order_id, change.price, change.change)
        1003 75.5000 -1
        1003 70.0000 1
        1006 40.0000 1
    """

    __tablename__ = "orders_changes"

    stage: Mapped[int] = mapped_column(Integer, sort_order=-4)
    change: Mapped[int] = mapped_column(SmallInteger, sort_order=-1)
    order_id: Mapped[Code] = mapped_column(sort_order=-3)
    line_number: Mapped[int] = mapped_column(Integer, sort_order=-2)

    # A key for the mapper alone: everything that reads the queue reads all of it.
    __mapper_args__ = {"primary_key": [stage, order_id, line_number, change]}
    __table_args__ = (
        CheckConstraint("change IN (-1, 1)", name="change_is_a_sign"),
        {"schema": "staging"},
    )
