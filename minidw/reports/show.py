"""Rows of a mart as a person asks for them, in a few words instead of SQL."""

import operator
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, cast, func, literal, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError, printable
from minidw.proofs.why import can_be_stored
from minidw.reports.data import Rows
from minidw.schema.mart import Mart
from minidw.schema.marts import find_mart
from minidw.settings import Settings

ROWS = 20
OPERATORS = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(rf"(\w+)\s*({'|'.join(OPERATORS)})\s*(.*)", re.DOTALL)
_ORDER = re.compile(r"(\w+)(?:\s+(asc|desc))?", re.IGNORECASE)


def show(
    mart: str | type[Mart],
    bind: Bind = None,
    *,
    where: Sequence[str] = (),
    order: Sequence[str] = (),
    limit: int | None = ROWS,
    settings: Settings | None = None,
) -> Rows:
    """Rows of a mart: those that meet every condition, in an order.

    Args:
        mart: the mart, by its class or the name of its table
        bind: where to read; nothing: what the settings say
        where: conditions on its columns: ``segment = VIP``, ``revenue >= 100``; also ``!=``, ``<``, ``<=``
            and ``>``. What stands behind is the value as it is, without quotes
        order: columns, each with or without ``desc``; where they are equal the key decides
        limit: at most so many rows (20); None: all of them
        settings: those of the environment by default

    Returns:
        The rows, each a dict of column name and value; money in the currency of the orders.

    Raises:
        SettingsError: there is no such mart or column, or a condition or order cannot be understood
        DatabaseError: a value is none of the type of its column, or the warehouse cannot be read

    Example:
        >>> for row in minidw.show("customer_ltv", where=["lifetime_value > 120"]):
        ...     print(row["customer_id"], row["lifetime_value"])
        bob 151.0000
    """
    return show_with_total(mart, bind, where=where, order=order, limit=limit, settings=settings)[0]


def show_with_total(
    mart: str | type[Mart],
    bind: Bind = None,
    *,
    where: Sequence[str] = (),
    order: Sequence[str] = (),
    limit: int | None = ROWS,
    settings: Settings | None = None,
) -> tuple[Rows, int]:
    """As ``show``, with the number of rows that meet the conditions."""
    named = find_mart(mart)
    statement = select(*named.__table__.c).where(*(_condition(named, text) for text in where))
    total = select(func.count()).select_from(statement.subquery())
    with reading(bind, settings or Settings.from_env(), snapshot=True) as conn:
        rows = conn.execute(ordered(statement, named, order).limit(limit)).mappings()
        return [dict(row) for row in rows], conn.scalar(total) or 0


def ordered(statement: Select[Any], mart: type[Mart], order: Sequence[str] = ()) -> Select[Any]:
    """A select of a mart in an order; the key comes last, so that it is total."""
    return statement.order_by(*(_order(mart, text) for text in order), *mart.__table__.primary_key)


def _condition(mart: type[Mart], text: str) -> ColumnElement[bool]:
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"where {printable(text)!r}: write it as COLUMN = VALUE; also {', '.join(OPERATORS)}"
        )
    name, sign, value = match.groups()
    column = _column(mart, name)
    if not can_be_stored(value):
        raise SettingsError(f"where {printable(text)!r}: no text of a database has such characters")
    found: ColumnElement[bool] = OPERATORS[sign](column, cast(literal(value), column.type))
    return found


def _order(mart: type[Mart], text: str) -> ColumnElement[Any]:
    match = _ORDER.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"order {printable(text)!r}: write it as COLUMN or COLUMN desc")
    name, direction = match.groups()
    column = _column(mart, name)
    return (
        column.desc().nulls_last() if direction and direction.lower() == "desc" else column.asc().nulls_last()
    )


def _column(mart: type[Mart], name: str) -> ColumnElement[Any]:
    columns = mart.__table__.c
    if name not in columns:
        raise SettingsError(
            f"{mart.__tablename__} has no column {name!r}; it has {', '.join(columns.keys())}"
        )
    found: ColumnElement[Any] = columns[name]
    return found
