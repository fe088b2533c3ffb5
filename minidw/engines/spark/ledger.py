"""The ledger of a lake: raw.batches, one row per file, as rows of Python."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from minidw.engines.spark.catalog import Cut, Lake
from minidw.engines.spark.landing import LandedFile
from minidw.errors import CheckFailedError
from minidw.feed.declaration import differences, from_dict
from minidw.schema.ledger import Batch
from minidw.schema.vocabulary import FATES
from minidw.steps.load import Loaded

TABLE = Batch.__table__
Row = dict[str, Any]


def read_ledger(cut: Cut) -> list[Row]:
    """Every batch, in the order of loading."""
    rows = [
        row | {"header": dict(row["header"]), "feed": json.loads(row["feed"]) if row["feed"] else None}
        for row in cut.rows(TABLE)
    ]
    return sorted(rows, key=lambda row: int(row["batch_id"]))


def as_stored(rows: Sequence[Row]) -> list[Row]:
    """The rows as Parquet has them."""
    return [
        row
        | {
            "header": sorted(row["header"].items()),
            "feed": json.dumps(row["feed"], sort_keys=True) if row["feed"] else None,
        }
        for row in rows
    ]


def write_ledger(lake: Lake, rows: Sequence[Row]) -> None:
    """Every batch. Raises CheckFailedError where the fates of one are not the rows that were read."""
    for row in rows:
        fates = sum(row[fate] for fate in FATES)
        if fates != row["rows_read"]:
            raise CheckFailedError(
                f"check batches_add_up: batch {row['batch_id']} has {row['rows_read']} rows"
                f" and {fates} fates; nothing was stored"
            )
    lake.rewrite(TABLE, as_stored(rows))


def admit(
    ledger: Sequence[Row], files: Sequence[LandedFile], *, force: bool
) -> tuple[list[Loaded], list[tuple[Row, LandedFile]]]:
    """The files as batches, numbered in their order; one whose bytes are there already is skipped."""
    known = {row["sha256"]: row for row in reversed(ledger)}
    loaded: list[Loaded] = []
    new: list[tuple[Row, LandedFile]] = []
    for file in files:
        there = known.get(file.entry["sha256"])
        if there is not None and not force:
            loaded.append(_skipped(there, file))
            continue
        row = _new_row(file.entry, len(ledger) + len(new) + 1, forced=there is not None)
        known.setdefault(row["sha256"], row)
        new.append((row, file))
        loaded.append(Loaded(row["batch_id"], row["file_name"], row["rows_read"], row["malformed"]))
    return loaded, new


def _new_row(entry: Mapping[str, Any], batch_id: int, *, forced: bool) -> Row:
    now = datetime.now(UTC)
    empty = dict.fromkeys(column.name for column in TABLE.c)
    return {
        **empty,
        **entry,
        "batch_id": batch_id,
        "forced": forced,
        "load_date": now.date(),
        "loaded_at": now,
    }


def _skipped(there: Row, file: LandedFile) -> Loaded:
    entry = file.entry
    otherwise = differences(from_dict(there["feed"]), from_dict(entry["feed"]))
    return Loaded(
        there["batch_id"], entry["file_name"], entry["rows_read"], entry["malformed"], True, otherwise
    )
