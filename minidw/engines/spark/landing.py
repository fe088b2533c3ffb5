"""A file → Parquet, in a task of an executor: read by our own reader, every row of it or none."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from minidw.engines.spark.schemas import arrow_schema
from minidw.errors import BadFileError
from minidw.feed import Feed, SurveyedFile, survey
from minidw.schema.raw import LineMalformed, OrderLanded
from minidw.steps.load import ledger_entry

BLOCK = 16 * 2**20  # bytes: twice the longest line that a survey lets pass
ROWS = 100_000  # of a group: what a task of Spark reads at a time
LANDED = arrow_schema(OrderLanded.__table__)
MALFORMED = arrow_schema(LineMalformed.__table__).remove(0)


@dataclass(frozen=True)
class LandedFile:
    """A file whose rows are in Parquet: what the ledger will say of it, and where they are."""

    entry: dict[str, Any]
    rows: str
    malformed: str | None


def land(source: str, directory: str, feed: Feed, *, number_lines: bool) -> LandedFile | BadFileError:
    """Survey a file and write its rows beside their place; what is wrong with it is returned.

    The files are named by the bytes of the file: a task that is repeated does no harm.
    """
    try:
        file = survey(source, feed)
        declared = replace(file.declared, lines="number") if number_lines else file.declared
        rows = _write(Path(directory) / f"{file.sha256}.parquet", LANDED, _rows_of(file))
        malformed = None
        if file.malformed:
            malformed = _write(
                Path(directory) / f"{file.sha256}-malformed.parquet", MALFORMED, _malformed_of(file)
            )
    except BadFileError as error:
        return error.with_traceback(None)
    return LandedFile(ledger_entry(file, declared), rows, malformed)


def _write(target: Path, schema: Any, batches: Iterator[Any]) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=ROWS)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return str(target)


def _rows_of(file: SurveyedFile) -> Iterator[Any]:
    """The rows with their numbers, as COPY reads them: what is empty is NULL, what is "" is not."""
    seen = 0
    with file.open() as stream:
        reader = pc.open_csv(
            _Readable(stream),
            # The names are those of the header, which is read as a row and skipped: two may be the same.
            read_options=pc.ReadOptions(
                column_names=[f"c{place}" for place in range(len(file.columns))],
                skip_rows_after_names=1,
                block_size=BLOCK,
            ),
            parse_options=pc.ParseOptions(
                delimiter=file.feed.delimiter, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=pc.ConvertOptions(
                column_types={f"c{place}": pa.string() for place in range(len(file.columns))},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            yield _as_landed(file, batch, seen)
            seen += batch.num_rows
    if seen != file.rows:
        raise BadFileError(file.name, "ROW_COUNT", f"{file.rows} rows were counted but {seen} read")


def _as_landed(file: SurveyedFile, batch: Any, seen: int) -> Any:
    rows = batch.num_rows
    columns = {name: batch.column(place) for place, name in enumerate(file.columns) if name}
    others = [place for place, name in enumerate(file.columns) if name is None]
    if others and rows:
        columns["extra"] = _extra(batch, [(file.header[place], place) for place in others])
    columns["source_row"] = pa.array(range(seen + 1, seen + rows + 1), pa.int64())
    return pa.record_batch(
        [columns.get(field.name, pa.nulls(rows, field.type)) for field in LANDED], schema=LANDED
    )


def _extra(batch: Any, others: list[tuple[str, int]]) -> Any:
    """The columns that raw does not name: of each row a map, in one array."""
    rows, width = batch.num_rows, len(others)
    keys = pa.array([name for name, _ in others] * rows, pa.string())
    by_column = pa.concat_arrays([batch.column(place) for _, place in others])
    by_row = pa.array([column * rows + row for row in range(rows) for column in range(width)], pa.int64())
    offsets = pa.array(range(0, width * rows + 1, width), pa.int32())
    return pa.MapArray.from_arrays(offsets, keys, by_column.take(by_row))


def _malformed_of(file: SurveyedFile) -> Iterator[Any]:
    with file.open_malformed() as stream:
        read = pc.read_csv(
            stream,
            read_options=pc.ReadOptions(column_names=MALFORMED.names, block_size=BLOCK),
            parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pc.ConvertOptions(column_types=MALFORMED, strings_can_be_null=False),
        )
    yield from read.to_batches()


class _Readable:
    """What pyarrow takes for a file."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self.read, self.close = stream.read, stream.close

    def readable(self) -> bool:
        return True
