"""What a lake holds, and what a warehouse does, in the same words."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

import minidw
from minidw.schema.ledger import Batch
from minidw.schema.staging import OrderLine, OrderRejected
from minidw.schema.vocabulary import FATES
from minidw.settings import Settings

Contents = dict[str, list[tuple[Any, ...]]]
INCIDENTAL = ("load_date", "loaded_at")


def compared() -> dict[str, list[str]]:
    """The tables that both have, and the columns of each that say the same."""
    ledger = ["batch_id", "sha256", "forced", "rows_read", "malformed", "rules", *FATES]
    columns = {str(Batch.__table__): ledger}
    tables = [OrderLine.__table__, OrderRejected.__table__, *(m.__table__ for m in minidw.all_marts())]
    columns |= {str(table): [column.name for column in table.c] for table in tables}
    return columns


def of_lake(lake: Any, settings: Settings) -> Contents:
    """The rows of a lake, as of its last run."""
    from minidw.engines.spark.catalog import read_lake

    cut, _ = read_lake(str(lake), settings)
    return of_cut(cut)


def of_cut(cut: Any) -> Contents:
    """The rows of a cut."""
    tables = minidw.Base.metadata.tables
    return {
        name: sorted(tuple(_plain(row[c]) for c in columns) for row in cut.rows(tables[name]))
        for name, columns in compared().items()
    }


def of_warehouse(engine: Engine) -> Contents:
    """The rows of a warehouse."""
    tables = minidw.Base.metadata.tables
    with engine.connect() as conn:
        return {
            name: sorted(
                tuple(_plain(value) for value in row)
                for row in conn.execute(sa.select(*(tables[name].c[c] for c in columns)))
            )
            for name, columns in compared().items()
        }


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
