"""The marts of a lake into those of the warehouse: in one commit, which the warehouse remembers."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, column, delete, exists, select, table, text

from minidw.engines.spark.build import FINGERPRINT
from minidw.engines.spark.catalog import Cut, lake_path, read_cut
from minidw.errors import SettingsError
from minidw.pipeline.attempt import attempt
from minidw.pipeline.result import Result
from minidw.schema.ledger import Batch
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.schema.vocabulary import PUBLISHED
from minidw.settings import Settings
from minidw.steps.build import note_build
from minidw.transforms.constructs import insert_from
from minidw.transforms.marts import fingerprint
from minidw.transforms.values import measures

ROWS = 100_000


@dataclass(frozen=True)
class Published:
    """What was published.

    lake: where the lake lies
    run: the run whose marts they are
    marts: rows by mart
    """

    lake: str
    run: int
    marts: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def publish(*, lake: str | Path, wait: bool = True, settings: Settings | None = None) -> Published:
    """Replace the marts of the warehouse by those of a lake, as of its last run, in one commit.

    The warehouse must have no batches of its own; from then on it keeps the marts as they are published, and
    refuses to load files, until ``minidw build --full`` makes the marts its own again. No Spark is started.

    Args:
        lake, settings: as in ``run``
        wait: where another runner holds the warehouse, wait for it (True)

    Raises:
        SettingsError: there is no lake, the warehouse has batches, or the lake was built by other rules
        WarehouseBusyError: another runner holds the warehouse, and ``wait`` is false
        DatabaseError: the database cannot be used
    """
    location = lake_path(lake)
    published: list[Published] = []

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        with result.step("publish"):
            published.append(_publish(conn, location, ruled))

    attempt("publish", work, None, settings or Settings.from_env(), wait=wait)
    return published[0]


def _publish(conn: Connection, location: str, settings: Settings) -> Published:
    if conn.scalar(select(exists().where(Batch.unloaded_at.is_(None)))):
        raise SettingsError("this warehouse has batches of its own: publish into one that has none")
    cut = read_cut(conn, location)
    if not cut.run:
        raise SettingsError(f"there is no lake in {location}")
    rows = {mart.__tablename__: _replace(conn, cut, mart, settings) for mart in all_marts()}
    return Published(location, cut.run, rows)


def _replace(conn: Connection, cut: Cut, mart: type[Mart], settings: Settings) -> int:
    held = cut.tables.get(str(mart.__table__))
    definition = fingerprint(mart, settings.rules)
    if held is None or held.properties.get(FINGERPRINT) != definition:
        raise SettingsError(
            f"mart.{mart.__tablename__} of the lake was built by another definition or other rules:"
            " run the lake again first"
        )
    names = list(measures(mart))  # what is derived the database derives
    fresh = table(f"fresh_{mart.__tablename__}", *(column(name) for name in names))
    listed = ", ".join(f'"{name}"' for name in names)
    conn.execute(
        text(f"CREATE TEMPORARY TABLE {fresh.name} AS SELECT {listed} FROM {mart.__table__} WITH NO DATA")
    )
    rows = sum(_copy(conn, fresh.name, path, names) for path in cut.files(mart.__table__))
    conn.execute(delete(mart))
    conn.execute(insert_from(mart, select(*fresh.c)))
    conn.execute(text(f"DROP TABLE {fresh.name}"))
    note_build(conn, mart, definition, PUBLISHED, f"run {cut.run} of the lake {cut.location}")
    return rows


def _copy(conn: Connection, target: str, path: str, names: Sequence[str]) -> int:
    listed = ", ".join(f'"{name}"' for name in names)
    driver: Any = conn.connection
    copied = 0
    with pq.ParquetFile(path) as file, driver.cursor() as cursor:
        for batch in file.iter_batches(ROWS, columns=list(names)):
            buffer = io.BytesIO()
            pc.write_csv(batch.select(list(names)), buffer, pc.WriteOptions(include_header=False))
            buffer.seek(0)
            cursor.copy_expert(f"COPY {target} ({listed}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')", buffer)
            copied += cursor.rowcount
    return copied
