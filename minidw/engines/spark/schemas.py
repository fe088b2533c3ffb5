"""A table of the warehouse as a table of the lake: its columns in Arrow's and in Spark's words."""

from typing import Any

import pyarrow as pa
from sqlalchemy import FromClause, Numeric

from minidw.engines.spark.dialect import SparkDialect
from minidw.schema.ledger import Batch

_TYPES = SparkDialect().type_compiler_instance
_ARROW = {
    "ARRAY<STRING>": pa.list_(pa.string()),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "INT": pa.int32(),
    "MAP<STRING, STRING>": pa.map_(pa.string(), pa.string()),
    "SMALLINT": pa.int32(),
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
}


def spark_type(column: Any) -> str:
    """The type of a column in Spark SQL; a feed is kept as the text of its JSON."""
    if column is Batch.__table__.c.feed:
        return "STRING"
    name: str = _TYPES.process(column.type)
    return "INT" if name == "SMALLINT" else name


def arrow_type(column: Any) -> Any:
    """The same in Arrow."""
    if isinstance(column.type, Numeric):
        return pa.decimal128(column.type.precision, column.type.scale or 0)
    return _ARROW[spark_type(column)]


def arrow_schema(table: FromClause) -> Any:
    """The columns of a table in Arrow."""
    return pa.schema([(column.name, arrow_type(column)) for column in table.c])


def spark_schema(table: FromClause) -> str:
    """The columns of a table in Spark SQL."""
    return ", ".join(f"`{column.name}` {spark_type(column)}" for column in table.c)
