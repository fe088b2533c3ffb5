"""Marts as files to hand on: of one state, whole or not there, with a manifest that says what they are."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast, get_args

from sqlalchemy import Connection, Select, Table, func, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError, printable
from minidw.extract import ROWS_AT_ONCE, arrow_reader, copy_out
from minidw.reports.sheet import require_library, write_sheet
from minidw.reports.show import ordered
from minidw.schema.ledger import Batch, MartBuild
from minidw.schema.mart import Mart
from minidw.schema.marts import CustomerLtv, all_marts, find_mart
from minidw.schema.staging import OrderChange
from minidw.settings import Settings

FileFormat = Literal["csv", "parquet", "xlsx"]
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Exported:
    """A mart that was written to a file.

    mart: name of the mart's table
    file: the file
    rows: rows of the mart
    bytes, sha256: of the file

    Example:
        >>> (exported,) = minidw.export(["daily_revenue"], to="out")
        >>> exported.mart, exported.rows
        ('daily_revenue', 2)
    """

    mart: str
    file: Path
    rows: int
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"file": str(self.file)}


def export(
    marts: Sequence[str | type[Mart]] = (),
    bind: Bind = None,
    *,
    to: str | Path = "export",
    format: FileFormat = "csv",
    settings: Settings | None = None,
) -> list[Exported]:
    """Write marts to files, one each, in the order of their keys, and ``manifest.json`` beside them.

    All of them show one state. The files take their places when all are written, replacing those of the same
    name, the manifest last: it has the rows and the SHA-256 of each file and says of when the data are.
    Decimals are exact: as they are in CSV, decimal128 in Parquet; a number of more than 15 digits, which a
    workbook would round, is text there. Parquet needs the extra ``arrow``, workbooks the extra ``xlsx``.

    Args:
        marts: by class or by the name of their table; all of them by default
        bind: where to read; nothing: what the settings say
        to: the directory, made where it is missing
        format: ``csv`` (UTF-8, NULL is an empty field, an empty text is ``""``), ``parquet`` or ``xlsx``
        settings: those of the environment by default

    Returns:
        What was written, in the order of the marts.

    Raises:
        SettingsError: there is no such mart or format, its library is not installed, a mart does not fit into
            a sheet, or the directory cannot be written
        DatabaseError: the warehouse cannot be read

    Example:
        >>> [(str(exported.file), exported.rows) for exported in minidw.export(["customer_ltv"], to="out")]
        [('out/customer_ltv.csv', 2)]
    """
    chosen = list(dict.fromkeys(find_mart(mart) for mart in marts)) or all_marts()
    if format not in get_args(FileFormat):
        raise SettingsError(f"format {printable(format)!r}: there are {', '.join(get_args(FileFormat))}")
    if format == "xlsx":
        require_library()
    directory = Path(to)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Beside their places, so that a rename is all that is left to do.
        with (
            tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as new,
            reading(bind, settings or Settings.from_env(), snapshot=True) as conn,
        ):
            written = [_write(conn, mart, Path(new), directory, format) for mart in chosen]
            manifest = _manifest(conn, chosen, written)
            (Path(new) / MANIFEST).write_text(
                json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8"
            )
            for name in (*(exported.file.name for exported in written), MANIFEST):
                (Path(new) / name).replace(directory / name)
    except OSError as error:
        raise SettingsError(
            f"cannot write {printable(str(error.filename or directory))}: {error.strerror}"
        ) from error
    return written


def _write(conn: Connection, mart: type[Mart], new: Path, directory: Path, format: FileFormat) -> Exported:
    name = f"{mart.__tablename__}.{format}"
    rows = WRITERS[format](conn, mart, new / name)
    with (new / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Exported(mart.__tablename__, directory / name, rows, (new / name).stat().st_size, digest)


def _select(mart: type[Mart]) -> Select[Any]:
    return ordered(select(*mart.__table__.c), mart)


def _csv(conn: Connection, mart: type[Mart], path: Path) -> int:
    with path.open("wb") as file:
        return copy_out(conn, _select(mart), file, header=True)


def _parquet(conn: Connection, mart: type[Mart], path: Path) -> int:
    reader = arrow_reader(conn, _select(mart))
    from pyarrow import parquet

    rows = 0
    with parquet.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _xlsx(conn: Connection, mart: type[Mart], path: Path) -> int:
    rows = conn.execute(_select(mart), execution_options={"yield_per": ROWS_AT_ONCE}).mappings()
    return write_sheet(path, mart.__tablename__, mart.__table__.c.keys(), rows)  # type: ignore[arg-type]


WRITERS: dict[str, Callable[[Connection, type[Mart], Path], int]] = {
    "csv": _csv,
    "parquet": _parquet,
    "xlsx": _xlsx,
}


def _manifest(conn: Connection, marts: Sequence[type[Mart]], written: Sequence[Exported]) -> dict[str, Any]:
    """What the files are: read in the same snapshot as they."""
    builds = dict(conn.execute(select(MartBuild.mart, MartBuild.built_at)).all())
    batch = conn.execute(select(func.max(Batch.batch_id), func.max(Batch.loaded_at))).one()
    return {
        "minidw": version("minidw"),
        "exported_at": conn.scalar(select(func.now())),
        "data_as_of": conn.scalar(select(func.max(CustomerLtv.last_order_at))),
        "last_batch": batch[0],
        "last_loaded_at": batch[1],
        "changes_waiting": conn.scalar(select(func.count()).select_from(OrderChange)),
        "files": [
            exported.as_dict()
            | {
                "file": exported.file.name,
                "built_at": builds.get(exported.mart),
                "about": cast("Table", mart.__table__).comment,
            }
            | {"columns": {column.name: column.comment for column in mart.__table__.c}}
            for mart, exported in zip(marts, written, strict=True)
        ],
    }
