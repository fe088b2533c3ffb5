"""The lake: Iceberg tables whose pointers lie in PostgreSQL, all of them moved by one commit."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as clock
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog, SqlCatalogBaseTable
from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan, Or
from pyiceberg.table import StaticTable
from pyiceberg.transforms import IdentityTransform, MonthTransform
from sqlalchemy import Connection, FromClause, inspect, select
from sqlalchemy.schema import CreateSchema

from minidw.database.lock import Lock
from minidw.database.transaction import bound, reading, transaction
from minidw.engines.spark.schemas import arrow_schema
from minidw.errors import SettingsError
from minidw.settings import Settings
from minidw.steps.rules import rules_in_force

SCHEMA = "lake"
"""The schema of PostgreSQL that has the tables of the catalog."""
_MAKING = Lock(0x6D696E696478, "the catalog")


class _Catalog(SqlCatalog):  # type: ignore[misc]
    """The catalog of pyiceberg on a connection of ours: what it commits is published when that commits."""

    def __init__(self, conn: Connection, location: str) -> None:
        MetastoreCatalog.__init__(self, name_of(location), warehouse=location)
        self.engine = conn.execution_options(schema_translate_map={None: SCHEMA})
        self._schema_version = "v1"


def name_of(location: str) -> str:
    """What a catalog calls a lake: several may lie in one database."""
    return location if len(location) <= 255 else hashlib.sha256(location.encode()).hexdigest()


def lake_lock(location: str) -> Lock:
    """One runner per lake; it does not hold the warehouse."""
    key = int.from_bytes(hashlib.sha256(location.encode()).digest()[:8], "big", signed=True)
    return Lock(key, f"the lake {location}")


@dataclass
class Cut:
    """All tables of a lake as of one commit.

    location: of the lake
    tables: each by the name it has in the warehouse, such as ``staging.orders_stg``
    """

    location: str
    tables: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> int:
        """The number of the run that made it; 0 where there was none."""
        tags = self.tables["raw.batches"].refs() if "raw.batches" in self.tables else {}
        return max((run_of(tag) for tag in tags), default=0)

    def files(self, table: FromClause | str, where: Any = None) -> list[str]:
        """The files that hold the rows of a table, or those that may hold some of its rows."""
        found = self.tables.get(str(table))
        if found is None or found.current_snapshot() is None:
            return []
        scan = found.scan(row_filter=AlwaysTrue() if where is None else where)
        return sorted(task.file.file_path for task in scan.plan_files())

    def rows(self, table: FromClause) -> list[dict[str, Any]]:
        """The rows of a small table."""
        files = self.files(table)
        schema = arrow_schema(table)
        parts = [pq.read_table(path, schema=schema, partitioning=None) for path in files]
        rows: list[dict[str, Any]] = pa.concat_tables(parts).to_pylist() if parts else []
        return rows


class Lake(Cut):
    """A lake that is written: nothing of it is seen before the transaction of the catalog commits."""

    def __init__(self, conn: Connection, location: str) -> None:
        super().__init__(location)
        self._catalog = _Catalog(conn, location)
        self.tables |= read_cut(conn, location).tables
        for name in self.tables:
            self.tables[name] = self._catalog.load_table(name)

    def replace(
        self,
        table: FromClause,
        files: Sequence[str],
        where: Any = None,
        *,
        by: tuple[str, Any] | None = None,
    ) -> None:
        """Files in the place of those whose rows meet a condition; of all, where there is none."""
        held = self._made(table, by)
        with _quietly(), held.transaction() as change:
            if held.current_snapshot() is not None:
                change.delete(AlwaysTrue() if where is None else where)
            if files:
                change.add_files(list(files), check_duplicate_files=False)

    def append(self, table: FromClause, files: Sequence[str], *, by: tuple[str, Any] | None = None) -> None:
        """Files beside those that are there."""
        if files:
            self._made(table, by).add_files(list(files), check_duplicate_files=False)

    def rewrite(self, table: FromClause, rows: Sequence[Mapping[str, Any]]) -> None:
        """The rows of a small table."""
        data = pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(table))
        with _quietly():
            self._made(table, None).overwrite(data)

    def tag(self, run: int) -> None:
        """Name the present snapshot of every table by the run."""
        for held in self.tables.values():
            if (snapshot := held.current_snapshot()) is not None:
                held.manage_snapshots().create_tag(snapshot.snapshot_id, f"run-{run}").commit()

    def note(self, table: FromClause, properties: Mapping[str, str]) -> None:
        """Properties of a table."""
        with self._made(table, None).transaction() as change:
            change.set_properties(**properties)

    def _made(self, table: FromClause, by: tuple[str, Any] | None) -> Any:
        name = str(table)
        if name not in self.tables:
            namespace = name.split(".")[0]
            self._catalog.create_namespace_if_not_exists(namespace)
            place = f"{self.location}/{name.replace('.', '/')}"
            made = self._catalog.create_table(name, arrow_schema(table), location=place)
            if by is not None:
                with made.update_spec() as spec:
                    spec.add_field(*by)
            self.tables[name] = made
        return self.tables[name]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without being warned that there was nothing to take out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def by_batch() -> tuple[str, Any]:
    """Partitioned by batch."""
    return "batch_id", IdentityTransform()


def by_month(column: str) -> tuple[str, Any]:
    """Partitioned by the month of a time or a day."""
    return column, MonthTransform()


def in_months(column: str, months: Sequence[date]) -> Any:
    """Whether a time or a day lies in one of the months, each given by its first day."""

    def within(month: date) -> Any:
        after = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        first, past = (datetime.combine(day, clock()) for day in (month, after))
        return And(GreaterThanOrEqual(column, first), LessThan(column, past))

    return reduce(Or, (within(month) for month in months))


def run_of(tag: str) -> int:
    """The run that a tag names; 0 where it is not one of ours."""
    number = tag.removeprefix("run-")
    return int(number) if number != tag and number.isdigit() else 0


def read_cut(conn: Connection, location: str) -> Cut:
    """The tables of a lake, of one commit: their pointers are read by one statement."""
    if not inspect(conn).has_table(IcebergTables.__tablename__, schema=SCHEMA):
        return Cut(location)
    columns = (IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location)
    pointers = select(*columns).where(IcebergTables.catalog_name == name_of(location))
    found = conn.execution_options(schema_translate_map={None: SCHEMA}).execute(pointers).all()
    tables = {f"{schema}.{name}": StaticTable.from_metadata(pointer) for schema, name, pointer in found}
    return Cut(location, tables)


@contextmanager
def lake_transaction(location: str, settings: Settings, *, wait: bool) -> Iterator[Lake]:
    """A lake to write, held by one runner; what was written is seen when this ends, or nothing of it."""
    with bound(None, settings, create=True, wait=wait) as engine:
        with transaction(engine, settings, lock=_MAKING) as conn:
            conn.execute(CreateSchema(SCHEMA, if_not_exists=True))
            SqlCatalogBaseTable.metadata.create_all(
                conn.execution_options(schema_translate_map={None: SCHEMA})
            )
        with transaction(engine, settings, wait=wait, lock=lake_lock(location)) as conn:
            yield Lake(conn, location)


def read_lake(location: str, settings: Settings) -> tuple[Cut, Settings]:
    """A lake as of its last run, and the settings under its rules; SettingsError where there is none."""
    with reading(None, settings) as conn:
        cut, ruled = read_cut(conn, location), rules_in_force(conn, settings)
    if not cut.tables:
        raise SettingsError(f"there is no lake in {location}: minidw spark run FILE --lake {location}")
    return cut, ruled


def lake_path(lake: str | Path) -> str:
    """Where a lake lies, as every worker must see it."""
    if "://" in str(lake):
        raise SettingsError(f"{lake}: a lake is a directory that every worker sees under the same path")
    return str(Path(lake).absolute())


def files_with_rows(directory: str) -> tuple[list[str], int]:
    """The Parquet files of a directory that have any rows, and how many rows they have."""
    counts = {
        str(path): pq.read_metadata(path).num_rows for path in sorted(Path(directory).rglob("*.parquet"))
    }
    return [path for path, rows in counts.items() if rows], sum(counts.values())
