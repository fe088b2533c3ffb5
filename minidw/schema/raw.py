"""raw: what was delivered, as text."""

from sqlalchemy import (
    BigInteger,
    Identity,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.base import Base, Code, Day, Json, SourceRow


class FeedColumns:
    """The columns of a feed, as delivered.

    order_id: as delivered
    order_timestamp: as delivered
    customer_id: as delivered
    product_id: as delivered
    category: as delivered
    price: as delivered
    quantity: as delivered
    status: as delivered
    line_number: as delivered, or the number of the row within its order where minidw numbered the lines
    extra: the columns of the feed beyond these, by their delivered names
    """

    order_id: Mapped[Code | None]
    order_timestamp: Mapped[Code | None]
    customer_id: Mapped[Code | None]
    product_id: Mapped[Code | None]
    category: Mapped[Code | None]
    price: Mapped[Code | None]
    quantity: Mapped[Code | None]
    status: Mapped[Code | None]
    line_number: Mapped[Code | None]
    extra: Mapped[Json | None]


class OrderLanded(FeedColumns, Base):
    """The last batch as delivered: the landing table of COPY. One row per row of the file.

    Unlogged and replaced at each load; raw.orders_all keeps every batch.

    source_row: position in the file; 1 is the first row after the header

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalars(select(minidw.OrderLanded.price).order_by(minidw.OrderLanded.source_row)).all()
        ['40.00', '75.50', '75.50', '40.00', '40,00']
    """

    __tablename__ = "orders_raw"

    # COPY numbers the rows through this sequence; every load restarts it.
    source_row: Mapped[int] = mapped_column(BigInteger, Identity(cache=1000), sort_order=-1)

    # A key for the mapper alone: an index would cost COPY more than anything ever looks up here.
    __mapper_args__ = {"primary_key": [source_row]}
    __table_args__ = ({"schema": "raw", "prefixes": ["UNLOGGED"]},)


class OrderDelivered(FeedColumns, Base):
    """Every batch as delivered. One row per row of every file.

    batch_id: the file it came in
    source_row: position in the file; 1 is the first row after the header
    load_date: day of the load, UTC

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalar(select(minidw.OrderDelivered.price).filter_by(batch_id=1, source_row=5))
        '40,00'
    """

    __tablename__ = "orders_all"

    # No foreign keys on the tables of rows: one trigger call per row would double the load.
    batch_id: Mapped[int] = mapped_column(sort_order=-3)
    source_row: Mapped[SourceRow] = mapped_column(sort_order=-2)
    load_date: Mapped[Day] = mapped_column(sort_order=-1)

    # A key for the mapper alone: the rows lie in this order, where a few summaries find them as well as an
    # index of every row, which would cost a third of the load.
    __mapper_args__ = {"primary_key": [batch_id, source_row]}
    __table_args__ = (
        Index(
            "ix_orders_all_batch_id_source_row",
            "batch_id",
            "source_row",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": True},
        ),
        {"schema": "raw"},
    )


class LineMalformed(Base):
    """A structurally broken line of a file loaded with --skip-malformed. One row per such line.

    batch_id: the file it came in
    line: physical line of the file; 1 is the header
    code: what is wrong with it, such as COLUMN_COUNT
    text: the line as delivered; NUL and undecodable bytes as \\xNN

    Example:
        >>> lenient = minidw.Settings(url=minidw.Settings.from_env().url, max_reject_ratio=Decimal(1))
        >>> result = minidw.run("broken.csv", feed=minidw.Feed(skip_malformed=True), settings=lenient)
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.execute(select(minidw.LineMalformed.line, minidw.LineMalformed.code)).all()
        [(3, 'UNTERMINATED_QUOTE')]
    """

    __tablename__ = "lines_malformed"

    batch_id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[Code]
    text: Mapped[Code]

    __table_args__ = ({"schema": "raw"},)
