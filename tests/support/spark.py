"""Tables of PostgreSQL as views of a Spark session."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from minidw.engines.spark.statements import DIALECT


def bring_over(session: Any, conn: sa.Connection, table: Any, directory: Path) -> None:
    """The rows of a table, in a view of its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [dict(row) for row in conn.execute(sa.select(*table.c)).mappings()]
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in table.c])
    for row in rows:
        for column in table.c:
            # What no select reads may look otherwise, the feed of a batch say.
            if column.name == "feed":
                row[column.name] = None
            if arrow_type(column.type) == pa.string() and row[column.name] is not None:
                row[column.name] = str(row[column.name])
            if pa.types.is_map(arrow_type(column.type)) and row[column.name] is not None:
                row[column.name] = list(row[column.name].items())
    path = directory / f"{table.name}-{uuid4().hex}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    session.read.parquet(str(path)).createOrReplaceTempView(table.name)


def arrow_type(type_: Any) -> Any:
    import pyarrow as pa

    name = DIALECT.type_compiler_instance.process(type_)
    known = {
        "BIGINT": pa.int64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "INT": pa.int32(),
        "MAP<STRING, STRING>": pa.map_(pa.string(), pa.string()),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        "TIMESTAMP_NTZ": pa.timestamp("us"),
    }
    if isinstance(type_, sa.Numeric):
        return pa.decimal128(type_.precision or 38, type_.scale or 0)
    return known.get(name, pa.string())
