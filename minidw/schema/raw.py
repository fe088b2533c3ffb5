"""raw: what was delivered, as text, and the ledger of batches."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.base import Base, Code, Count, Day, Instant, Json, Now, SourceRow

REQUIRED_COLUMNS = (
    "order_id",
    "order_timestamp",
    "customer_id",
    "product_id",
    "category",
    "price",
    "quantity",
    "status",
)
FEED_COLUMNS = (*REQUIRED_COLUMNS, "line_number")
RAW_COLUMNS = (*FEED_COLUMNS, "extra")


class Batch(Base):
    """A delivered CSV file, loaded once; the ledger. One row per batch.

    Every row of the file has one fate, and the database enforces the sum:
    rows_read = inserted + updated + unchanged + superseded + rejected.

    batch_id: order of loading; of several deliveries of an order line the highest batch_id wins
    file_name: name the file was delivered under
    sha256: SHA-256 of the CSV bytes, hexadecimal; unique among the loads that were not forced
    forced: true where the file was loaded again on purpose
    file_bytes: size of the CSV, bytes
    header: delivered name of each feed column
    numbered_lines: true where the rows of an order were numbered in file order
    load_date: day of the load, UTC
    loaded_at: when the file was loaded into raw
    staged_at: when the batch was staged; null until then
    rules: SHA-256 of the rules by which its rows were judged last; null until then
    built_at: when its changes reached the marts; null until then
    checked_at: when the checks passed on it; null until then
    pruned_at: when its rows were removed from raw to save space; null while they are there
    rows_read: rows of the file after the header, malformed lines among them
    inserted: rows that added an order line
    updated: rows that replaced an earlier delivery of their order line
    unchanged: rows that repeated what was already staged
    superseded: rows replaced by a later row of the same order line in the same file
    rejected: rows set aside: malformed lines, and those with reasons in staging.orders_rejected
    malformed: structurally broken lines set aside in raw.lines_malformed
    """

    __tablename__ = "batches"

    batch_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    file_name: Mapped[Code]
    sha256: Mapped[Code]
    forced: Mapped[bool] = mapped_column(server_default=false())
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    header: Mapped[Json]
    numbered_lines: Mapped[bool] = mapped_column(server_default=false())
    load_date: Mapped[Day]
    loaded_at: Mapped[Now]
    staged_at: Mapped[Instant | None]
    rules: Mapped[Code | None]
    built_at: Mapped[Instant | None]
    checked_at: Mapped[Instant | None]
    pruned_at: Mapped[Instant | None]
    rows_read: Mapped[Count]
    inserted: Mapped[Count | None]
    updated: Mapped[Count | None]
    unchanged: Mapped[Count | None]
    superseded: Mapped[Count | None]
    rejected: Mapped[Count | None]
    malformed: Mapped[Count] = mapped_column(server_default="0")

    __table_args__ = (
        CheckConstraint(
            "staged_at IS NULL OR coalesce("
            "rows_read = inserted + updated + unchanged + superseded + rejected, false)",
            name="adds_up",
        ),
        CheckConstraint("staged_at IS NOT NULL OR built_at IS NULL", name="staged_before_built"),
        Index("uq_batches_sha256", "sha256", unique=True, postgresql_where=text("NOT forced")),
        {"schema": "raw"},
    )


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
    """

    __tablename__ = "lines_malformed"

    batch_id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[Code]
    text: Mapped[Code]

    __table_args__ = ({"schema": "raw"},)


class Run(Base):
    """One commit of the warehouse, or one failure to make it. One row per attempt.

    run_id: identifies the attempt
    command: what was asked for: run, load, stage, build, check or prune
    batch_id: the batch that a run or load brought; null otherwise
    file_name: the file that a run or load was given; null otherwise
    started_at: when the transaction began
    finished_at: when it was about to commit, or had failed
    failure: the error, one line; null where it succeeded
    seconds: time per step, seconds
    """

    __tablename__ = "runs"

    run_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    command: Mapped[Code]
    batch_id: Mapped[int | None] = mapped_column(ForeignKey(Batch.batch_id))
    file_name: Mapped[Code | None]
    started_at: Mapped[Instant]
    finished_at: Mapped[Instant]
    failure: Mapped[Code | None]
    seconds: Mapped[Json]

    __table_args__ = ({"schema": "raw"},)


class CheckResult(Base):
    """The outcome of a check in a run. One row per run and check.

    run_id: the run that made it
    name: name of the check
    severity: error (a run with offending rows is rolled back) or warning
    offending: number of offending rows
    samples: up to five of them
    """

    __tablename__ = "check_results"

    run_id: Mapped[UUID] = mapped_column(ForeignKey(Run.run_id, ondelete="CASCADE"), primary_key=True)
    name: Mapped[Code] = mapped_column(primary_key=True)
    severity: Mapped[Code]
    offending: Mapped[Count]
    samples: Mapped[Json]

    __table_args__ = (
        CheckConstraint("severity IN ('error', 'warning')", name="severity_known"),
        {"schema": "raw"},
    )
