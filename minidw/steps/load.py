"""CSV → raw: COPY into the landing table, then into the table of all batches."""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg2
from psycopg2.sql import SQL, Identifier, Literal
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    RowMapping,
    case,
    column,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, array
from sqlalchemy.types import Integer, Text

from minidw.database.tables import lock_at_once
from minidw.errors import BadFileError, SettingsError
from minidw.feed.declaration import differences, from_dict, to_dict
from minidw.feed.feed import Feed, Translation
from minidw.feed.survey import SurveyedFile
from minidw.schema.ledger import Batch
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.schema.vocabulary import RAW_COLUMNS
from minidw.transforms.constructs import Query, insert_from, next_id
from minidw.transforms.translate import is_return, order_of, rounded_ids

COPY_CHUNK = 256 * 1024
FIRST_RETURN = 1_000_000  # line numbers of returns come after it, where minidw numbers the lines
BAD_COPY_FILE_FORMAT = "22P04"


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    batch_id: the batch; that of the same bytes where they are there already
    file: name of the file
    rows_read: rows of the file after the header, malformed lines among them
    malformed: broken lines that were set aside
    skipped: whether the same bytes were there already, so that nothing was loaded
    otherwise: what the batch that is there declares otherwise than was asked for now
    hints: what is likely not what was meant, one line each

    Example:
        >>> loaded = minidw.run("orders.csv").loaded
        >>> loaded.batch_id, loaded.skipped
        (1, True)
    """

    batch_id: int
    file: str
    rows_read: int
    malformed: int = 0
    skipped: bool = False
    otherwise: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def load(
    conn: Connection,
    file: SurveyedFile,
    *,
    force: bool = False,
    number_lines: bool = False,
    in_place_of: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Loaded:
    """Bring a surveyed file into raw as one batch, unless its bytes are there already.

    ``in_place_of``: its place in the order of deliveries, where that is not the last.
    Raises BadFileError for what only COPY can find; the transaction is to be rolled back then. Raises
    SettingsError for bytes that are there already and are to take another place.
    """
    declared = replace(file.declared, lines="number") if number_lines else file.declared
    known = _loaded_before(conn, file)
    if known is not None and in_place_of is not None and not force:
        raise SettingsError(
            f"{file.name} was loaded before, as batch {known['batch_id']}:"
            " it takes another place with --force only"
        )
    if known is not None and not force:
        otherwise = differences(from_dict(known["feed"]), declared)
        return Loaded(
            known["batch_id"], file.name, file.rows + file.malformed, file.malformed, True, otherwise
        )
    empty_landing(conn)
    conn.execute(restart_numbering())
    try:
        with conn.begin_nested():
            copied = copy_file(conn, file, progress)
    except BadFileError:
        conn.execute(restart_numbering())
        raise
    if copied != file.rows:
        raise BadFileError(file.name, "ROW_COUNT", f"{file.rows} rows were counted but {copied} copied")
    entry = ledger_entry(file, declared)
    batch_id: int = conn.execute(
        insert(Batch)
        .values(
            batch_id=next_id(Batch.batch_id),
            in_place_of=in_place_of,
            forced=known is not None,
            load_date=func.current_date(),
            **{name: null() if value is None else value for name, value in entry.items()},
        )
        .returning(Batch.batch_id)
    ).scalar_one()
    conn.execute(insert_delivered(batch_id, declared.translation if entry["numbered_lines"] else None))
    conn.execute(restart_numbering())
    if file.malformed:
        _copy_malformed(conn, file, batch_id)
    hints = (*file.hints, *_rounded_ids(conn, batch_id, declared.translation if file.exponents else None))
    return Loaded(batch_id, file.name, copied + file.malformed, file.malformed, hints=hints)


def _rounded_ids(conn: Connection, batch_id: int, feed: Translation | None) -> list[str]:
    """What to say of ids that a spreadsheet has rounded: two of them may have become one."""
    found = conn.execute(rounded_ids(batch_id, feed)).all() if feed is not None else []
    return [
        f"{name} is {value!r} or the like in {rows} of the rows: a spreadsheet rounds long numbers, so that"
        " two become one; export it with that column as text"
        for name, rows, value in found
        if rows
    ]


def ledger_entry(file: SurveyedFile, declared: Feed) -> dict[str, Any]:
    """What the ledger says of a file before any of its rows is judged."""
    return {
        "file_name": file.name,
        "sha256": file.sha256,
        "file_bytes": file.size,
        "header": {ours: theirs for theirs, ours in zip(file.header, file.columns, strict=True) if ours},
        "feed": to_dict(declared) or None,
        "numbered_lines": _are_numbered(declared, file),
        "rows_read": file.rows + file.malformed,
        "malformed": file.malformed,
    }


def restart_numbering() -> Query:
    """Number the rows of the landing table from 1; after each load too, as no sequence is rolled back."""
    return select(func.setval("raw.orders_raw_source_row_seq", 1, False))


def insert_delivered(batch_id: int, numbering: Translation | None) -> Insert:
    """The landing table into the table of all batches; ``numbering`` the rows of an order, by its feed."""
    return insert_from(OrderDelivered, delivered(batch_id, numbering))


def delivered(batch_id: int, numbering: Translation | None) -> Query:
    """The rows of the landing table as those of a batch."""
    landed = {name: getattr(OrderLanded, name) for name in RAW_COLUMNS}
    if numbering is not None:
        landed["line_number"] = _number_of_line(numbering).cast(Text)
    return select(
        literal(batch_id, Integer).label("batch_id"),
        OrderLanded.source_row,
        func.current_date().label("load_date"),
        *(value.label(name) for name, value in landed.items()),
    )


def _number_of_line(feed: Translation) -> ColumnElement[int]:
    """The place of a row among those of its order.

    Returns have numbers of their own: one that comes in a later file must not replace the line that was sold.
    """
    order, row = [order_of(OrderLanded, feed)], OrderLanded.source_row
    if feed.returns == "reject":
        return func.row_number().over(partition_by=order, order_by=row)
    returned = is_return(OrderLanded, feed)
    number = func.row_number().over(partition_by=[*order, returned], order_by=row)
    return number + case((returned, FIRST_RETURN), else_=0)


def _are_numbered(declared: Feed, file: SurveyedFile) -> bool:
    """Whether the rows of an order are its lines, to be numbered; where returns subtract they always are."""
    lines_are_rows = declared.returns == "subtract" and declared.lines is None
    return declared.lines == "number" or (lines_are_rows and "line_number" not in file.columns)


def _loaded_before(conn: Connection, file: SurveyedFile) -> RowMapping | None:
    """The first batch of the same bytes."""
    same = select(Batch.batch_id, Batch.feed).where(Batch.sha256 == file.sha256, Batch.unloaded_at.is_(None))
    return conn.execute(same.order_by(Batch.batch_id).limit(1)).mappings().first()


def empty_landing(conn: Connection) -> None:
    """By TRUNCATE, whose cost does not grow with the rows; by DELETE where a reader would make it wait."""
    if lock_at_once(conn, OrderLanded):
        conn.execute(text("TRUNCATE raw.orders_raw"))
    else:
        conn.execute(delete(OrderLanded))


def copy_file(conn: Connection, file: SurveyedFile, progress: Callable[[int], None] | None) -> int:
    """COPY the file into the landing table by the names of its header; returns the rows copied."""
    if None not in file.columns:
        columns = [name for name in file.columns if name]
        return _copy_into(conn, file, Identifier("raw", "orders_raw"), columns, progress)
    # Columns that raw does not name pass through a temporary table of the file's own shape.
    shape = [f"c{position}" for position in range(len(file.columns))]
    arrival = table("orders_arriving", column("source_row"), *(column(name, Text) for name in shape))
    conn.execute(
        text(
            f"CREATE TEMPORARY TABLE {arrival.name} (source_row bigint GENERATED ALWAYS AS IDENTITY, "
            + ", ".join(f"{name} text" for name in shape)
            + ")"
        )
    )
    copied = _copy_into(conn, file, Identifier(arrival.name), shape, progress)
    values = [arrival.c[name] for name in shape]
    named = {ours: value for ours, value in zip(file.columns, values, strict=True) if ours}
    others = [
        (theirs, value)
        for theirs, ours, value in zip(file.header, file.columns, values, strict=True)
        if ours is None
    ]
    extra = func.jsonb_object(
        array([literal(theirs) for theirs, _ in others]), array([value for _, value in others]), type_=JSONB
    )
    query = select(
        arrival.c.source_row, *(value.label(name) for name, value in named.items()), extra.label("extra")
    )
    conn.execute(insert_from(OrderLanded, query))
    conn.execute(text(f"DROP TABLE {arrival.name}"))
    return copied


def _copy_malformed(conn: Connection, file: SurveyedFile, batch_id: int) -> None:
    """The lines that were set aside into their table, by way of a temporary one: no batch was known then."""
    arrival = table("lines_arriving", column("line"), column("code"), column("text"))
    conn.execute(text(f"CREATE TEMPORARY TABLE {arrival.name} (line bigint, code text, text text)"))
    with file.open_malformed() as stream, closing(conn.connection.cursor()) as cursor:
        cursor.copy_expert(
            f"COPY {arrival.name} FROM STDIN (FORMAT csv, ENCODING 'UTF8')", stream, COPY_CHUNK
        )
    lines = select(literal(batch_id, Integer).label("batch_id"), *arrival.c)
    conn.execute(insert_from(LineMalformed, lines))
    conn.execute(text(f"DROP TABLE {arrival.name}"))


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Watched:
    """A stream that remembers the error it raised: psycopg2 reports it as text alone."""

    def __init__(self, stream: _Readable) -> None:
        self.stream = stream
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self.stream.read(size)
        except BaseException as error:
            self.error = error
            raise


def _copy_into(
    conn: Connection,
    file: SurveyedFile,
    target: Identifier,
    columns: list[str],
    progress: Callable[[int], None] | None,
) -> int:
    statement = SQL(
        "COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true, DELIMITER {}, ENCODING 'UTF8')"
    ).format(target, SQL(", ").join(map(Identifier, columns)), Literal(file.feed.delimiter))
    with file.open(progress) as stream, closing(conn.connection.cursor()) as cursor:
        watched = _Watched(stream)
        try:
            cursor.copy_expert(statement, watched, COPY_CHUNK)
        except psycopg2.Error as error:
            if watched.error is not None:
                raise watched.error from None
            if error.pgcode == BAD_COPY_FILE_FORMAT:
                line = re.search(r"\d+", error.diag.context or "")
                raise file.explain(int(line[0]) if line else None) from None
            raise
        return int(cursor.rowcount)
