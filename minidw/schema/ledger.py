"""The ledger: what was delivered and what became of it, every attempt to run, every check and build."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.base import Base, Code, Count, Day, Instant, Json, Now


class Batch(Base):
    """A delivered CSV file, loaded once; the ledger. One row per batch.

    Every row of the file has one fate, and the database enforces the sum:
    rows_read = inserted + updated + unchanged + superseded + rejected.

    batch_id: order of loading; of several deliveries of an order line the highest batch_id wins
    in_place_of: where it replaced another batch, the batch_id by which it wins: the place of that one
    file_name: name the file was delivered under
    sha256: SHA-256 of the CSV bytes, hexadecimal; unique among the loads neither forced nor unloaded
    forced: true where the file was loaded again on purpose
    file_bytes: size of the CSV, bytes
    header: delivered name of each feed column
    feed: the declaration by which it is read, without the defaults; null where it keeps to the contract
    numbered_lines: true where the rows of an order were numbered in file order
    load_date: day of the load, UTC
    loaded_at: when the file was loaded into raw
    staged_at: when the batch was staged; null until then
    rules: SHA-256 of the rules by which its rows were judged last; null until then
    built_at: when its changes reached the marts; null until then
    checked_at: when the checks passed on it; null until then
    pruned_at: when its rows were removed from raw to save space; null while they are there
    unloaded_at: when it was taken back and its rows removed; its counts are those of then; null until then
    rows_read: rows of the file after the header, malformed lines among them
    inserted: rows that added an order line
    updated: rows that replaced an earlier delivery of their order line
    unchanged: rows that repeated what was already staged
    superseded: rows replaced by a later row of the same order line in the same file
    rejected: rows set aside: malformed lines, and those with reasons in staging.orders_rejected
    malformed: structurally broken lines set aside in raw.lines_malformed

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.execute(select(minidw.Batch.file_name, minidw.Batch.rejected)).all()
        [('orders.csv', 1)]
    """

    __tablename__ = "batches"

    batch_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    in_place_of: Mapped[int | None]
    file_name: Mapped[Code]
    sha256: Mapped[Code]
    forced: Mapped[bool] = mapped_column(server_default=false())
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    header: Mapped[Json]
    feed: Mapped[Json | None]
    numbered_lines: Mapped[bool] = mapped_column(server_default=false())
    load_date: Mapped[Day]
    loaded_at: Mapped[Now]
    staged_at: Mapped[Instant | None]
    rules: Mapped[Code | None]
    built_at: Mapped[Instant | None]
    checked_at: Mapped[Instant | None]
    pruned_at: Mapped[Instant | None]
    unloaded_at: Mapped[Instant | None]
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
        Index(
            "uq_batches_sha256",
            "sha256",
            unique=True,
            postgresql_where=text("NOT forced AND unloaded_at IS NULL"),
        ),
        Index(
            "uq_batches_in_place_of",
            "in_place_of",
            unique=True,
            postgresql_where=text("unloaded_at IS NULL"),
        ),
        {"schema": "raw"},
    )


class RuleVersion(Base):
    """A rule of the warehouse as it was set; of each, the newest version is in force.

    One row per rule and version.

    name: the setting of the same name, such as ORDER_DATE_MIN
    version: counted from 1 for each rule
    value: as the setting is written; null where the rule has no value
    origin: default where nobody said anything, environment where it was taken from there, set where it was
        asked for, before where it is what held before the warehouse kept its rules
    set_at: when
    set_by: the account of the database that did it

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalar(select(minidw.RuleVersion.value).filter_by(name="SEGMENT_VIP"))
        '10000'
    """

    __tablename__ = "rules"

    name: Mapped[Code] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    value: Mapped[Code | None]
    origin: Mapped[Code]
    set_at: Mapped[Now]
    set_by: Mapped[Code] = mapped_column(server_default=func.session_user())

    __table_args__ = (
        CheckConstraint("origin IN ('default', 'environment', 'set', 'before')", name="origin_known"),
        {"schema": "raw"},
    )


def place_of(batch: type[Batch]) -> ColumnElement[int]:
    """The place of a batch in the order of deliveries; of those of an order line the highest holds."""
    return func.coalesce(batch.in_place_of, batch.batch_id, type_=Integer)


class Run(Base):
    """One commit of the warehouse, or one failure to make it. One row per attempt.

    run_id: identifies the attempt
    command: what was asked for: run, load, stage, build, check, prune, rules, unload or erase
    batch_id: the batch that a run or load brought; null otherwise
    file_name: the file that a run or load was given; null otherwise
    started_at: when the transaction began
    finished_at: when it was about to commit, or had failed
    failure: the error, one line; null where it succeeded
    seconds: time per step, seconds

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.execute(select(minidw.Run.command, minidw.Run.failure)).all()
        [('run', None)]
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

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalars(select(minidw.CheckResult.name).where(minidw.CheckResult.offending > 0)).all()
        []
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


class MartBuild(Base):
    """How each mart was built last. One row per mart that was ever built.

    mart: name of the mart's table
    fingerprint: SHA-256 of the query and rules it was built by; null where it must be built in full
    built_at: when
    method: full or incremental
    reason: why that method

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalar(select(minidw.MartBuild.reason).filter_by(mart="daily_revenue"))
        'never built'
    """

    __tablename__ = "builds"

    mart: Mapped[Code] = mapped_column(primary_key=True)
    fingerprint: Mapped[Code | None]
    built_at: Mapped[Instant]
    method: Mapped[Code]
    reason: Mapped[Code]

    __table_args__ = ({"schema": "mart"},)
