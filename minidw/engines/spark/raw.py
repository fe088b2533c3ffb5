"""What landed → raw, and the view of the ledger that the selects read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import In

from minidw.engines.spark.catalog import Lake, by_batch
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.landing import LandedFile
from minidw.engines.spark.ledger import TABLE, Row, as_stored
from minidw.engines.spark.schemas import arrow_schema
from minidw.feed.declaration import from_dict
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.steps.load import delivered

RAW = OrderDelivered.__table__


def write_raw(frames: Frames, lake: Lake, new: Sequence[tuple[Row, LandedFile]]) -> None:
    """What landed as the rows of its batches, the malformed lines among them."""
    parts, malformed = [], []
    for row, file in new:
        frames.read([file.rows], OrderLanded.__table__).createOrReplaceTempView("orders_raw")
        feed = from_dict(row["feed"]).translation if row["numbered_lines"] else None
        parts.append(frames.execute(delivered(row["batch_id"], feed)))
        if file.malformed:
            lines = frames.session.read.parquet(file.malformed)
            malformed.append(lines.selectExpr(f"{row['batch_id']} AS batch_id", "*"))
    if parts:
        rows = reduce(lambda one, more: one.unionByName(more), parts)
        files, _ = frames.write(RAW, rows.select(*(c.name for c in RAW.c)), part="batch_id")
        lake.append(RAW, files, by=by_batch())
    if malformed:
        rows = reduce(lambda one, more: one.unionByName(more), malformed)
        files, _ = frames.write(LineMalformed.__table__, rows)
        lake.append(LineMalformed.__table__, files)


def of_batches(batches: Sequence[Row]) -> Any:
    """Whether a row is of one of the batches."""
    return In("batch_id", {row["batch_id"] for row in batches})


def show_ledger(frames: Frames, rows: Sequence[Row], judged: Sequence[Row]) -> None:
    """The view of the ledger; those that are to be judged count as staged, as the selects ask for."""
    chosen = {row["batch_id"] for row in judged}
    now = datetime.now(UTC)
    shown = [row | {"staged_at": now if row["batch_id"] in chosen else None} for row in rows]
    path = Path(f"{frames.cut.location}/landing/ledger-{uuid4().hex}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(as_stored(shown), schema=arrow_schema(TABLE)), path)
    view = frames.keep(frames.read([str(path)], TABLE), "batches")
    view.count()
    path.unlink()
