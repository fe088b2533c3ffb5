"""Marts drawn at random: from one pool each of keys, measures, conditions and derivations."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import count as numbers
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy import DateTime, Float, Numeric, SmallInteger, Text, case, cast, func, literal
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.mart import Mart
from minidw.schema.words import count, counts_as_revenue, key, largest, ratio, smallest, total, value

Cents = Annotated[Decimal, mapped_column(Numeric(20, 2))]
Fine = Annotated[Decimal, mapped_column(Numeric(30, 9))]
Small = Annotated[int, mapped_column(SmallInteger)]
Zoned = Annotated[datetime, mapped_column(DateTime(timezone=True))]
VAT = Decimal("1.19")
MAPPED: Any = Mapped

# Each is a type and how it is computed.
KEYS: dict[str, tuple[Any, Any]] = {
    "customer": (str, lambda line: line.customer_id),
    "day": (date, lambda line: line.order_timestamp),
    "month": (date, lambda line: func.date_trunc("month", line.order_timestamp)),
    "instant": (Zoned, lambda line: line.order_timestamp),
    "third": (Cents, lambda line: line.price / 3),
    "net": (int, lambda line: line.price / VAT),
    "many": (bool, lambda line: line.quantity > 1),
    "line": (Small, lambda line: line.line_number),
    "order": (str, lambda line: line.order_id),
    "kind": (str, lambda line: case((line.price > 100, "dear"), else_=line.category)),
    "everything": (str, lambda _: "all"),
    "product": (UUID, lambda line: func.md5(line.product_id)),
}
TOTALS: dict[str, tuple[Any, Any]] = {
    "amount": (Decimal, lambda line: line.total_amount),
    "units": (int, lambda line: line.quantity),
    "net_amount": (Decimal, lambda line: line.total_amount / VAT),
    "net_cents": (Cents, lambda line: line.total_amount / VAT),
    "thirds": (Fine, lambda line: line.price / 3),
    "whole": (int, lambda line: line.price / 3),
    "floating": (Decimal, lambda line: cast(line.price, Float) * 1.1),
    "one": (int, lambda _: 1),
    "shipped": (Decimal | None, lambda line: case((line.status == "shipped", line.total_amount))),
    "shipped_or_0": (Decimal, lambda line: case((line.status == "shipped", line.total_amount / 7))),
    "never": (Decimal | None, lambda _: None),
    "net_dear": (int | None, lambda line: case((line.price > 100, line.price / VAT))),
    "unknown": (Decimal, lambda line: case((line.category == "toys", Decimal("NaN")), else_=line.price)),
    "read": (Decimal | None, lambda line: cast(func.nullif(line.order_id, "2"), Numeric)),
}
EXTREMES: dict[str, tuple[Any, Any]] = {
    "time": (datetime, lambda line: line.order_timestamp),
    "day_of": (date, lambda line: line.order_timestamp),
    "third_of": (Cents, lambda line: line.price / 3),
    "category": (str, lambda line: line.category),
    "big_time": (datetime | None, lambda line: case((line.quantity > 1, line.order_timestamp))),
    "price_of_shipped": (Decimal | None, lambda line: case((line.status == "shipped", line.price))),
    "zoned": (Zoned, lambda line: line.order_timestamp),
    "number": (int | None, lambda line: func.nullif(line.line_number, 1)),
}
CONDITIONS: list[Any] = [
    counts_as_revenue,
    counts_as_revenue,
    None,
    lambda line: line.category == "books",
    lambda line: line.price / 3 > Decimal("3.34"),
    lambda line: func.nullif(line.status, "pending") != "shipped",
    lambda _: True,
    lambda line: (line.quantity > 1) & counts_as_revenue(line),
]
VALUES: dict[str, tuple[Any, Any]] = {
    "copied": (int | None, lambda row: row.lines),
    "third_of_lines": (Cents, lambda row: cast(row.lines, Numeric) / 3),
    "word": (str, lambda row: case((row.lines > 1, "several"), else_="one")),
    "constant": (str, lambda _: literal("x", Text)),
    "several": (bool, lambda row: row.lines > 1),
    "nothing": (Decimal | None, lambda row: case((row.lines > 2, 1 / func.nullif(row.lines - 3, 0)))),
}
_numbers = numbers(1)


@dataclass(frozen=True)
class Spec:
    """A mart of order lines, and the chain of marts that derive from it."""

    keys: list[str]
    totals: list[str]
    extremes: list[tuple[str, bool]]
    ratios: list[tuple[int, int]]
    condition: int
    derived: list[tuple[list[str], bool]]


def _some(names: Any, at_most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(list(names)), max_size=at_most, unique=True)


specs = st.builds(
    Spec,
    keys=st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=2, unique=True),
    totals=_some(TOTALS, 4),
    extremes=st.lists(st.tuples(st.sampled_from(list(EXTREMES)), st.booleans()), max_size=3, unique=True),
    ratios=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=1),
    condition=st.integers(0, len(CONDITIONS) - 1),
    derived=st.lists(st.tuples(_some(VALUES, 3), st.booleans()), max_size=3),
)


def declare(spec: Spec) -> list[type[Mart]]:
    """The classes of a spec, on tables that nobody had before."""
    columns: dict[str, tuple[Any, Any]] = {
        f"k_{name}": (KEYS[name][0], key(KEYS[name][1])) for name in spec.keys
    }
    columns |= {f"t_{name}": (TOTALS[name][0], total(TOTALS[name][1])) for name in spec.totals}
    for name, least in spec.extremes:
        type_, expression = EXTREMES[name]
        columns[f"{'s' if least else 'l'}_{name}"] = (type_, (smallest if least else largest)(expression))
    columns["lines"] = (int, count())
    dividable = [name for name in columns if name.startswith(("t_", "lines"))]
    for above, below in spec.ratios:
        pair = dividable[above % len(dividable)], dividable[below % len(dividable)]
        columns["r"] = (Decimal | None, ratio(*pair))
    first = _declare(columns, condition=CONDITIONS[spec.condition])
    marts = [first]
    for names, limited in spec.derived:
        source = marts[-1]
        columns = {
            f"{column.name}_": (
                Annotated[Any, mapped_column(column.type)],
                key(attrgetter(column.name)),
            )
            for column in source.__table__.primary_key
        }
        columns["lines"] = (int, value(lambda row: row.lines))
        columns |= {f"v_{name}": (VALUES[name][0], value(VALUES[name][1])) for name in names}
        limit = {"condition": lambda row: row.lines > 1} if limited else {}
        marts.append(_declare(columns, source=source, **limit))
    return marts


def _declare(columns: dict[str, tuple[Any, Any]], **more: Any) -> type[Mart]:
    number = next(_numbers)
    body = {
        "__tablename__": f"drawn_{number}",
        "__annotations__": {name: MAPPED[type_] for name, (type_, _) in columns.items()},
        **{name: word for name, (_, word) in columns.items()},
        **more,
    }
    return type(f"Drawn{number}", (Mart,), body)
