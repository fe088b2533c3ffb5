"""Marts → a program: rows of the mapped class one after another, or Arrow."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import ColumnElement, Connection, Engine, Select, select
from sqlalchemy.orm import Session
from sqlalchemy.types import Boolean, Date, DateTime, Float, Integer, Numeric, SmallInteger, TypeEngine

from minidw.database.connection import connection, target_of
from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError
from minidw.schema.mart import Mart
from minidw.schema.marts import find_mart
from minidw.settings import Settings

if TYPE_CHECKING:
    import pyarrow

Row = TypeVar("Row", bound=Mart)
ROWS_AT_ONCE = 1000


@overload
def read(
    mart: type[Row],
    bind: Bind = None,
    *,
    where: ColumnElement[bool] | None = None,
    settings: Settings | None = None,
) -> Iterator[Row]: ...


@overload
def read(
    mart: str,
    bind: Bind = None,
    *,
    where: ColumnElement[bool] | None = None,
    settings: Settings | None = None,
) -> Iterator[Mart]: ...


def read(
    mart: type[Mart] | str,
    bind: Bind = None,
    *,
    where: ColumnElement[bool] | None = None,
    settings: Settings | None = None,
) -> Iterator[Any]:
    """The rows of a mart, as objects of its class, in the order of its key: of one state, in bounded memory.

    The rows come from the server as they are asked for. Until the last one came, or the iterator is closed,
    the connection, and of a Session or Connection its transaction, is needed.

    Args:
        mart: the mart, by its class or the name of its table
        bind: where to read; nothing: what the settings say
        where: a condition on its columns; all rows by default
        settings: those of the environment by default

    Returns:
        The rows. They belong to no Session once the last one came.

    Raises:
        SettingsError: there is no such mart
        DatabaseError: the warehouse cannot be read

    Example:
        >>> for day in minidw.read(minidw.DailyRevenue, where=minidw.DailyRevenue.revenue > 100):
        ...     print(day.order_date, day.revenue)
        2024-05-01 191.0000
    """
    named = find_mart(mart)
    statement = _limited(select(named), named, where)
    return _rows(statement, bind, settings or Settings.from_env())


def to_arrow(
    mart: type[Mart] | str,
    bind: Bind = None,
    *,
    where: ColumnElement[bool] | None = None,
    settings: Settings | None = None,
) -> "pyarrow.RecordBatchReader":
    """A mart as Arrow, for pandas, polars, DuckDB and others: exact, of one state, in bounded memory.

    NUMERIC of up to 38 digits is decimal128; of more, or without a precision, it is text. The rows pass
    through a temporary file, so that no transaction is open while they are read, and come in the order of the
    key. For pandas it is ``reader.read_pandas()``, for polars ``polars.DataFrame(reader)``, and DuckDB finds
    a reader by the name of its variable. Needs the extra ``arrow``.

    Args:
        mart, bind, where, settings: as in ``read``

    Returns:
        A reader of record batches, to be read once; ``read_all()`` makes a table of it.

    Raises:
        SettingsError: there is no such mart, or pyarrow is not installed
        DatabaseError: the warehouse cannot be read

    Example:
        >>> customers = minidw.to_arrow("customer_ltv").read_all()
        >>> customers.column("lifetime_value").to_pylist()
        [Decimal('115.5000'), Decimal('151.0000')]
        >>> customers.schema.field("lifetime_value").type
        Decimal128Type(decimal128(38, 4))
    """
    named = find_mart(mart)
    statement = _limited(select(*named.__table__.c), named, where)
    with reading(bind, settings or Settings.from_env(), snapshot=True) as conn:
        return arrow_reader(conn, statement)


def arrow_reader(conn: Connection, statement: Select[*tuple[Any, ...]]) -> "pyarrow.RecordBatchReader":
    """What a select finds, as Arrow; when this returns, the connection is free."""
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        raise SettingsError("to hand over Arrow, pip install 'minidw[arrow]'") from None
    columns = {column.name: _arrow_type(column.type) for column in statement.selected_columns}
    with tempfile.NamedTemporaryFile() as spool:
        copy_out(conn, statement, spool)
        spool.flush()
        if spool.tell() == 0:
            return pyarrow.RecordBatchReader.from_batches(pyarrow.schema(columns), [])
        return csv.open_csv(
            pyarrow.OSFile(spool.name),  # which keeps the bytes when the name is gone
            read_options=csv.ReadOptions(use_threads=False, column_names=list(columns)),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            # COPY writes NULL as nothing, and an empty text as "".
            convert_options=csv.ConvertOptions(
                column_types=columns,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )


def copy_out(
    conn: Connection, statement: Select[*tuple[Any, ...]], file: IO[bytes], *, header: bool = False
) -> int:
    """Write what a select finds to a file, as CSV in UTF-8; returns the number of rows."""
    with closing(conn.connection.cursor()) as cursor:
        query = cursor.mogrify(*_bound(conn, statement)).decode()
        options = f"FORMAT csv, ENCODING 'UTF8', HEADER {'true' if header else 'false'}"
        cursor.copy_expert(f"COPY ({query}) TO STDOUT ({options})", file)
        return int(cursor.rowcount)


def _limited(statement: Any, mart: type[Mart], where: ColumnElement[bool] | None) -> Any:
    ordered = statement.order_by(*mart.__table__.primary_key)
    return ordered if where is None else ordered.where(where)


def _rows(statement: Any, bind: Bind, settings: Settings) -> Iterator[Any]:
    if bind is None or isinstance(target_of(bind), Engine):
        with reading(bind, settings) as conn:
            yield from _streamed(conn, statement)
        return
    # In no savepoint, as what the caller does between two rows would be rolled back with it.
    with reading(bind, settings):
        pass  # the tables are those of this minidw
    with connection(target_of(bind)) as conn:
        yield from _streamed(conn, statement)


def _streamed(conn: Connection, statement: Any) -> Iterator[Any]:
    with Session(conn) as session:
        yield from session.scalars(statement.execution_options(yield_per=ROWS_AT_ONCE))


def _bound(conn: Connection, statement: Any) -> tuple[str, dict[str, Any]]:
    """The text of a select and its parameters, as the driver takes them."""
    compiled = statement.compile(dialect=conn.dialect, compile_kwargs={"render_postcompile": True})
    parameters = compiled.params
    for bind, name in compiled.bind_names.items():
        processor = bind.type.dialect_impl(conn.dialect).bind_processor(conn.dialect)
        if processor is not None and name in parameters:
            parameters[name] = processor(parameters[name])
    return str(compiled), parameters


def _arrow_type(type_: TypeEngine[Any]) -> Any:
    import pyarrow

    match type_:
        case Float():
            return pyarrow.float64()
        case Numeric(precision=int(precision), scale=scale) if precision <= 38:
            return pyarrow.decimal128(precision, scale or 0)
        case SmallInteger():
            return pyarrow.int16()
        case Integer():  # BigInteger is one
            return pyarrow.int64()
        case Date():
            return pyarrow.date32()
        case DateTime():
            return pyarrow.timestamp("us", "UTC" if type_.timezone else None)
        case Boolean():
            return pyarrow.bool_()
    return pyarrow.string()
