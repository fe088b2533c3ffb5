"""What stands behind a row of a mart: its order lines, what they add up to, and what does not count."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, exists, func, literal, select, true

from minidw.schema.ledger import Batch
from minidw.schema.mart import Mart
from minidw.schema.raw import OrderDelivered
from minidw.schema.staging import OrderLine
from minidw.schema.vocabulary import FEED_COLUMNS, STAGED_COLUMNS
from minidw.transforms.constructs import Query
from minidw.transforms.marts import query, query_over
from minidw.transforms.values import is_derived, key_of_source, keys, value_of

Key = dict[str, ColumnElement[Any]]


def key_values(mart: type[Mart], key: tuple[object, ...]) -> Key:
    """The key columns of a mart and their values, of the columns' types."""
    return {
        name: cast(literal(str(value)), mart.__table__.c[name].type)
        for name, value in zip(keys(mart), key, strict=True)
    }


def chain(mart: type[Mart], key: Key) -> Iterator[tuple[type[Mart], Key]]:
    """A mart, and each that it derives from down to that over order lines, with the key there."""
    yield mart, key
    while issubclass(mart.source, Mart):
        key = {theirs: key[ours] for ours, theirs in key_of_source(mart).items()}
        mart = mart.source
        yield mart, key


def root(mart: type[Mart], key: Key) -> tuple[type[Mart], Key]:
    """The mart over order lines that a mart derives from, itself where it does not, and the key there."""
    *_, last = chain(mart, key)
    return last


def held_row(mart: type[Mart], key: Key) -> Query:
    """The row of the key, as the mart holds it."""
    return select(*mart.__table__.c).where(*(mart.__table__.c[name] == value for name, value in key.items()))


def due_row(mart: type[Mart], key: Key) -> Query:
    """The computed columns of that row, as they follow from the mart's source now."""
    if is_derived(mart):
        due = query(mart).subquery("due")
        return select(*due.c).where(*(due.c[name] == value for name, value in key.items()))
    return query_over(mart, OrderLine).where(*_of_key(mart, key))


def lines_behind(mart: type[Mart], key: Key, limit: int | None = None) -> Query:
    """The order lines that count towards the row of the key, earliest first, with raw rows and batches."""
    there: ColumnElement[bool] = true()
    if is_derived(mart):
        due = query(mart).subquery()
        there = exists().where(*(due.c[name] == value for name, value in key.items()))
    base, key = root(mart, key)
    counted = select(OrderLine).where(there, *_of_key(base, key), *_conditions(base))
    line = counted.order_by(*_in_order(OrderLine)).limit(limit).subquery("line")
    same_row = and_(
        line.c.batch_id == OrderDelivered.batch_id, line.c.source_row == OrderDelivered.source_row
    )
    return (
        select(
            *(line.c[name] for name in STAGED_COLUMNS),
            Batch.file_name,
            Batch.loaded_at,
            *(getattr(OrderDelivered, name).label(f"raw_{name}") for name in FEED_COLUMNS),
        )
        .join_from(line, Batch, line.c.batch_id == Batch.batch_id)
        .join(OrderDelivered, same_row, isouter=True)
        .order_by(*_in_order(line.c))
    )


def number_behind(mart: type[Mart], key: Key) -> Query:
    """How many order lines count towards the row of the key."""
    base, key = root(mart, key)
    return select(func.count()).select_from(OrderLine).where(*_of_key(base, key), *_conditions(base))


def left_out(mart: type[Mart], key: Key) -> Query:
    """The order lines of the key that do not count, by status."""
    base, key = root(mart, key)
    counts = and_(true(), *_conditions(base)).is_not(True)
    lines, amount = func.count().label("order_lines"), func.sum(OrderLine.total_amount).label("total_amount")
    by_status = select(OrderLine.status, lines, amount).where(*_of_key(base, key), counts)
    return by_status.group_by(OrderLine.status).order_by(OrderLine.status)


def _of_key(mart: type[Mart], key: Key) -> list[ColumnElement[bool]]:
    return [value_of(mart, name, OrderLine) == value for name, value in key.items()]


def _conditions(mart: type[Mart]) -> list[ColumnElement[bool]]:
    return [] if mart.condition is None else [mart.condition(OrderLine)]


def _in_order(line: Any) -> tuple[Any, ...]:
    return line.order_timestamp, line.order_id, line.line_number
