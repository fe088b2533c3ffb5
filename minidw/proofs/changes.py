"""How a mart differs between two states: the rows that it gains, loses, or holds with other values."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Numeric,
    and_,
    case,
    func,
    or_,
    select,
)

from minidw.schema.mart import Mart
from minidw.schema.words import Role
from minidw.transforms.constructs import Query
from minidw.transforms.values import keys, measures, named


@dataclass(frozen=True)
class RowChange:
    """A row that a mart gains, loses, or holds with other values.

    key: the key of the row, by column
    before: its other columns as they are; None where it is gained
    after: its other columns as they become; None where it is lost

    Example:
        >>> change = minidw.preview("corrections.csv").marts[0].rows[0]
        >>> change.key, change.after["revenue"]
        ({'order_date': datetime.date(2024, 5, 4)}, Decimal('120.0000'))
    """

    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class MartChange:
    """How a mart changes.

    mart: name of its table
    gained, lost, changed: number of rows
    rows: those of the largest change first

    Example:
        >>> daily = minidw.preview("corrections.csv").marts[0]
        >>> daily.mart, daily.gained, daily.lost, daily.changed
        ('daily_revenue', 1, 0, 1)
    """

    mart: str
    gained: int
    lost: int
    changed: int
    rows: list[RowChange]


def change_of(
    conn: Connection, mart: type[Mart], before: FromClause, after: FromClause, rows: int | None
) -> MartChange:
    """How the rows of a mart changed from one table to another; at most so many ``rows`` are listed."""
    statement = changed_rows(mart, before, after)
    kinds = statement.order_by(None).subquery("kinds")
    numbers: dict[str, int] = dict(
        conn.execute(select(kinds.c.kind, func.count()).group_by(kinds.c.kind)).all()
    )
    found = []
    for row in conn.execute(statement.limit(rows)).mappings():

        def part(prefix: str, row: Any = row) -> dict[str, Any]:
            return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}

        kind = row["kind"]
        held = None if kind == "gained" else part("before_")
        found.append(RowChange(part("key_"), held, None if kind == "lost" else part("after_")))
    return MartChange(
        mart.__tablename__, numbers.get("gained", 0), numbers.get("lost", 0), numbers.get("changed", 0), found
    )


def changed_rows(mart: type[Mart], before: FromClause, after: FromClause) -> Query:
    """The rows of a mart in which two tables differ, the largest change first; ``kind`` says how."""
    key, columns = keys(mart), list(measures(mart))
    values = [name for name in columns if name not in key]
    same_key = and_(*(before.c[name] == after.c[name] for name in key))
    amounts = [name for name in (*named(mart, Role.TOTAL), *values) if _is_number(after.c[name])]
    size = [func.abs(func.coalesce(after.c[name], 0) - func.coalesce(before.c[name], 0)) for name in amounts]
    gained, lost = before.c[key[0]].is_(None), after.c[key[0]].is_(None)
    return (
        select(
            case((gained, "gained"), (lost, "lost"), else_="changed").label("kind"),
            *(func.coalesce(after.c[name], before.c[name]).label(f"key_{name}") for name in key),
            *(before.c[name].label(f"before_{name}") for name in values),
            *(after.c[name].label(f"after_{name}") for name in values),
        )
        .join_from(before, after, same_key, full=True)
        .where(or_(gained, lost, *(before.c[name].is_distinct_from(after.c[name]) for name in values)))
        .order_by(
            *(change.desc() for change in size[:1]),
            *(func.coalesce(after.c[name], before.c[name]) for name in key),
        )
    )


def _is_number(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, Integer | Numeric)
