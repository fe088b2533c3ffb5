"""A warehouse that suffers and one that does not, fed the same files: both must hold the same."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import URL, Engine
from sqlalchemy.dialects.postgresql import aggregate_order_by

import minidw
from minidw.database.lock import lock_statement
from minidw.schema.base import Base
from minidw.settings import Settings
from tests.support.feeds import write_feed
from tests.support.servers import temporary_database

# Two warehouses that hold the same differ in these, if only by the account each is reached as.
# Of a time it counts whether there is one.
INCIDENTAL = ("run_id", "seconds", "set_by", "customer_hash", "inner_key", "outer_key")
TIMES = (
    *("load_date", "loaded_at", "staged_at", "built_at", "checked_at"),
    *("unloaded_at", "erased_at", "started_at", "finished_at", "set_at"),
)
# Where COPY lands; the next load replaces it.
LANDING = "raw.orders_raw"


@contextmanager
def warehouse_on(server: URL, *, template: str | None = None) -> Iterator[Engine]:
    """A warehouse in a database of its own: migrated, or copied from one that is."""
    name = f"minidw_{uuid4().hex[:12]}"
    with temporary_database(server, name, template=template or "template0") as url:
        engine = minidw.create_engine(Settings(url=url))
        if template is None:
            minidw.upgrade(engine)
        yield engine
        engine.dispose()


def write_batch(directory: Path, number: int) -> Path:
    """A file with a row of every fate: unchanged, updated, superseded, inserted and rejected."""
    return write_feed(
        directory / f"batch_{number:04}.csv",
        f"""
        order_id    | customer_id    | price            | order_timestamp
        same        | ada            | 10               | 2024-05-01
        moving      | c{number % 3}  | {number + 1}.50  | 2024-05-0{number % 5 + 1}
        new{number} | bob            | 300              | 2024-05-02
        new{number} | bob            | {number % 7 + 1} | 2024-05-02
        bad         | bob            | none             | 2024-05-02
        """,
    )


def fingerprint(engine: Engine) -> dict[str, str]:
    """A digest of each table, once nobody works there any more; without the notes of failures."""
    tables = [table for table in Base.metadata.sorted_tables if table.fullname != LANDING]
    with engine.connect() as conn:
        conn.execute(lock_statement())
        digests: sa.Result[Any] = conn.execute(sa.union_all(*map(_digest, tables)))
        return {row.name: row.digest for row in digests}


def _digest(table: sa.Table) -> sa.Select[tuple[str, str]]:
    values = [
        sa.func.coalesce(sa.cast(column.is_(None) if column.name in TIMES else column, sa.Text), "NULL")
        for column in table.columns
        if column.name not in INCIDENTAL
    ]
    rows = sa.select(sa.func.concat_ws("|", *values).label("line"))
    if table.fullname == "raw.runs":
        rows = rows.where(table.c.failure.is_(None))
    line = rows.subquery().c.line
    every = sa.func.string_agg(line, aggregate_order_by(sa.literal("\n"), line))
    digest = sa.func.md5(sa.func.coalesce(every, ""))
    return sa.select(sa.literal(table.fullname).label("name"), digest.label("digest"))


def failures(engine: Engine) -> list[str]:
    """What the ledger says of the attempts that failed."""
    with engine.connect() as conn:
        noted = sa.select(minidw.Run.failure).where(minidw.Run.failure.is_not(None))
        return [str(failure) for failure in conn.scalars(noted)]


def batches(engine: Engine) -> int:
    """How many batches are stored, once nobody works there any more."""
    with engine.connect() as conn:
        conn.execute(lock_statement())
        return conn.scalar(sa.select(sa.func.count()).select_from(minidw.Batch)) or 0


def fork(work: Callable[[], object]) -> int:
    """Do work in a process of its own, which must use no connection of this one; returns its pid."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def was_killed(pid: int) -> bool:
    """Wait for the end of a process: killed, or done with its work."""
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0
    return killed
