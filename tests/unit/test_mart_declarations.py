"""A mart that could not be computed exactly is refused where it is declared, by name and in one line."""

from collections.abc import Iterator
from itertools import count
from textwrap import dedent, indent
from typing import Any

import pytest

import minidw
from minidw import DeclarationError, all_marts
from tests.support import own_marts

WORDS = """
from datetime import *
from decimal import Decimal
from typing import Annotated
from uuid import UUID
from sqlalchemy import *
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from minidw import *
from minidw.schema import CustomerLtv, DailyRevenue, OrderLine, ProductRevenue
"""
CUSTOMER = "customer: Mapped[str] = key(lambda line: line.customer_id)"
LINES = "lines: Mapped[int] = count()"
numbers = count()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with own_marts.for_a_while():
        yield


def declare(*lines: str, module: str | None = None) -> type[minidw.Mart]:
    """A class ``Own`` on table ``own`` whose body are the lines."""
    body = "\n".join(dedent(line) for line in lines)
    namespace: dict[str, Any] = {"__name__": module or f"shop_{next(numbers)}"}
    code = f'{WORDS}\nclass Own(Mart):\n    __tablename__ = "own"\n{indent(body, "    ")}\n'
    exec(code, namespace)  # noqa: S102
    own: type[minidw.Mart] = namespace["Own"]
    return own


def of_lines(*lines: str, module: str | None = None) -> type[minidw.Mart]:
    """One row per customer, with more columns."""
    return declare(CUSTOMER, LINES, *lines, module=module)


def of_customers(*lines: str) -> type[minidw.Mart]:
    """One row per row of customer_ltv, with more columns."""
    return declare("source = CustomerLtv", CUSTOMER, *lines)


FAULTS_OF_COLUMNS = {
    "x: Mapped[int | None] = key(lambda l: l.quantity)": "Own.x: a key cannot be NULL",
    "x: Mapped[float] = total(lambda l: l.price)": "Own.x: a total cannot be DOUBLE PRECISION",
    "x: Mapped[Annotated[int, mapped_column(Integer)]] = total(lambda l: l.quantity)":
        "Own.x: a total cannot be INTEGER; it must be a Mapped[int]",
    "x: Mapped[Annotated[Decimal, mapped_column(Numeric)]] = total(lambda l: l.price)":
        "Own.x: a total cannot be NUMERIC; ",
    "x: Mapped[bool] = total(lambda l: l.quantity > 1)": "Own.x: a total cannot be BOOLEAN",
    "x: Mapped[date] = total(lambda l: l.order_timestamp)": "Own.x: a total cannot be DATE",
    "x: Mapped[bool] = largest(lambda l: l.quantity > 1)": "Own.x: a largest cannot be BOOLEAN",
    "x: Mapped[Annotated[dict, mapped_column(JSONB)]] = key(lambda l: l.customer_id)":
        "Own.x: a key cannot be JSONB",
    "x: Mapped[Annotated[str, mapped_column(Enum('a', 'b', name='ab'))]] = key(lambda l: l.category)":
        "Own.x: a key cannot be ab; it must be a number with a scale, text",
    "x: Mapped[Annotated[str, mapped_column(Text(collation='C'))]] = key(lambda l: l.category)":
        "Own.x: a key cannot be TEXT COLLATE",
    "x: Mapped[Annotated[str, mapped_column(String(3))]] = key(lambda l: l.category)":
        "Own.x: a key cannot be VARCHAR(3)",
    "x = total(lambda l: l.price)": 'annotation is required for attribute "Own.x"',
    "x: Mapped[int] = mapped_column()": "Own.x: say how it is computed: key, total, count, smallest",
    "x: Mapped[Decimal] = total(lambda l: l.prize)": "Own.x: AttributeError: type object 'OrderLine' has no",
    "x: Mapped[Decimal] = total(lambda l: fun.round(l.price))": "Own.x: NameError: name 'fun' is not defined",
    "x: Mapped[Decimal] = total(lambda l: OrderLine.price)": "Own.x: orders_stg.price is no column of",
    "x: Mapped[Decimal] = total(lambda l: func.sum(l.price))": "Own.x: sum() looks at more than one row",
    "x: Mapped[int] = total(lambda l: func.row_number().over())": "Own.x: it looks at more than one row",
    "x: Mapped[int] = total(lambda l: select(func.count()).scalar_subquery())": "Own.x: it reads another",
    "x: Mapped[datetime] = largest(lambda l: func.now())": "Own.x: now() gives another answer each time",
    "x: Mapped[Decimal] = total(lambda l: l.price * bindparam('rate'))":
        "Own.x: nothing gives the parameter 'rate' a value",
    "x: Mapped[str] = key(lambda l: case((l.price > 5, 'dear')))": "Own.x: it may be NULL: give its",
    "x: Mapped[Decimal] = smallest(lambda l: case((l.quantity > 5, l.price)))":
        "Own.x: it may be NULL: declare it as Mapped[... | None]",
    "x: Mapped[int] = count()": "Own: it needs one count()",
    "x: Mapped[str] = value(lambda l: l.category)": "Own.x: value() is for a mart whose source is a mart",
    "x: Mapped[Decimal] = ratio('revenue', 'lines')": "Own.x: there is no computed column 'revenue'",
    "x: Mapped[Decimal] = ratio('customer', 'lines')": "Own.x: customer is no number",
    "u: Mapped[int] = total(lambda l: l.quantity)\nx: Mapped[Decimal] = ratio('lines', 'u')":
        "Own.x: u may be 0: declare the ratio as Mapped[Decimal | None]",
    "u: Mapped[int | None] = total(lambda l: l.quantity)\nx: Mapped[Decimal] = ratio('u', 'lines')":
        "Own.x: u may be NULL: declare the ratio",
    "side: Mapped[int] = total(lambda l: l.quantity)": "Own.side: this name is taken",
    "condition: Mapped[int] = total(lambda l: l.quantity)": "Own.condition: this name is taken",
    "condition = lambda l: l.nonsense == 1": "Own.condition: AttributeError",
    "condition = lambda l: exists(select(OrderLine.price))": "Own.condition: it reads another table",
    "source = OrderLine.__table__": "Own: source is ",
    "__table_args__ = (Index('ix_own', 'lines'),)": "Own: its table is not in schema mart",
}  # fmt: skip


@pytest.mark.parametrize("column", FAULTS_OF_COLUMNS)
def test_a_column_that_would_not_be_exact_is_refused(column: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        of_lines(column)
    assert FAULTS_OF_COLUMNS[column] in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(all_marts()) == 4


FAULTS_OF_DERIVED = {
    "x: Mapped[int] = count()": "Own.x: count() adds up order lines; of another mart",
    "x: Mapped[Decimal] = total(lambda c: c.lifetime_value)": "Own.x: total() adds up order lines",
    "x: Mapped[str] = key(lambda c: c.customer_id + 'x')": "Own: its keys must be those of CustomerLtv",
    "x: Mapped[Decimal] = value(lambda c: DailyRevenue.revenue)": "Own.x: daily_revenue.revenue is no column",
    "x: Mapped[str] = value(lambda c: case((c.order_lines > 3, 'many')))": "Own.x: it may be NULL: declare",
    "condition = lambda line: line.status == 'shipped'": "Own.condition: AttributeError",
}  # fmt: skip


@pytest.mark.parametrize("column", FAULTS_OF_DERIVED)
def test_a_derived_mart_has_a_row_per_row_of_its_source(column: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        of_customers(column)
    assert FAULTS_OF_DERIVED[column] in str(refused.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (LINES, "Own: it needs a key(): what is it one row per?"),
        (CUSTOMER, "Own: it needs one count(): it tells when the last line of a key is gone"),
        (
            f'__tablename__ = "Own Mart"\n{CUSTOMER}\n{LINES}',
            "Own: __tablename__ 'Own Mart': lower-case letters",
        ),
        (f'__tablename__ = "{"o" * 51}"\n{CUSTOMER}\n{LINES}', "at most 50 of them"),
        (f'__tablename__ = "builds"\n{CUSTOMER}\n{LINES}', "Own: there is a table mart.builds already"),
        (f"__tablename__ = None\n{CUSTOMER}\n{LINES}", "Own: "),
    ],
)
def test_a_class_that_cannot_be_a_table_is_refused(body: str, message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declare(body)
    assert message in str(refused.value)


def test_a_mart_does_not_inherit_from_another() -> None:
    with pytest.raises(TypeError, match="Copy: a mart cannot inherit from another; write source = Own"):
        type("Copy", (of_lines(),), {"__tablename__": "copy"})


@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
def test_the_corrected_class_takes_the_place_of_the_refused_one() -> None:
    with pytest.raises(DeclarationError):
        of_lines("x: Mapped[float] = total(lambda l: l.price)", module="notebook")
    own = of_lines("x: Mapped[Decimal] = total(lambda l: l.price)", module="notebook")
    assert all_marts()[-1] is own


def test_plain_types_mean_what_is_exact() -> None:
    own = of_lines("money: Mapped[Decimal] = total(lambda l: l.price)")
    assert {column.name: str(column.type) for column in own.__table__.c} == {
        "customer": "TEXT",
        "lines": "BIGINT",
        "money": "NUMERIC(38, 4)",
    }
    assert own.__table__.comment is None  # type: ignore[attr-defined]


def test_a_class_between_mart_and_a_mart_only_shares_its_columns() -> None:
    namespace: dict[str, Any] = {"__name__": "shop"}
    code = f"""
{WORDS}
class PerCustomer(Mart):
    __abstract__ = True
    condition = lambda line: line.quantity > 1
    {CUSTOMER}
    {LINES}

class Own(PerCustomer):
    __tablename__ = "own"
    units: Mapped[int] = total(lambda line: line.quantity)
"""
    exec(code, namespace)  # noqa: S102
    assert all_marts()[4:] == (namespace["Own"],)
    assert set(namespace["Own"].__table__.c.keys()) == {"customer", "lines", "units"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("r: Mapped[Decimal] = ratio('money', 'lines')", "money / lines"),
        ("r: Mapped[Decimal | None] = ratio('lines', 'money')", "lines / NULLIF(money, 0)"),
        ("r: Mapped[Decimal] = ratio('units', 'lines')", "CAST(units AS NUMERIC) / lines"),
        (
            "U: Mapped[int] = total(lambda l: l.quantity)\nr: Mapped[Decimal | None] = ratio('units', 'U')",
            'CAST(units AS NUMERIC) / NULLIF("U", 0)',
        ),
    ],
)
def test_a_ratio_never_fails_and_never_loses_its_decimals(columns: str, expected: str) -> None:
    own = of_lines(
        "money: Mapped[Decimal] = total(lambda l: l.total_amount)",
        "units: Mapped[int] = total(lambda l: l.quantity)",
        columns,
    )
    assert str(own.__table__.c.r.computed.sqltext) == expected
