"""What the selects are in Spark SQL, as text: nothing of Spark is installed for it."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Numeric,
    Text,
    cast,
    column,
    func,
    literal,
)
from sqlalchemy.orm import Mapped

from minidw import DeclarationError, Mart, Settings, all_marts, count, key, total
from minidw.engines.spark.statements import DIALECT, check_marts, compiled, typed
from minidw.feed.known import known_feed, known_names
from minidw.transforms import constructs, marts, replay
from minidw.transforms.judge import judged
from minidw.transforms.parse import Scope
from tests.support.own_marts import for_a_while

TEXT, TIME = column("t", Text), column("at", DateTime)


def spark(element: Any) -> str:
    return str(element.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (constructs.safe_cast(TEXT, BigInteger()), "TRY_CAST(t AS BIGINT)"),
        (constructs.btrim(TEXT, " \t"), "TRIM(BOTH ' \t' FROM t)"),
        (constructs.starts_with_digit(TEXT), "t BETWEEN '0' AND ':'"),
        (constructs.code_list(TEXT, literal("A")), "array_compact(array(t, 'A'))"),
        (func.rtrim(TEXT, "0"), "TRIM(TRAILING '0' FROM t)"),
        (func.ltrim(TEXT), "TRIM(LEADING ' ' FROM t)"),
        (cast(TEXT, Integer), "TRY_CAST(t AS INT)"),
        (cast(column("p", Numeric(14, 4)), BigInteger), "CAST(round(p) AS BIGINT)"),
        (cast(column("p", Numeric(14, 4)), Numeric(38, 4)), "CAST(p AS DECIMAL(38, 4))"),
        (cast(column("n", Integer), DateTime(timezone=True)), "CAST(n AS TIMESTAMP)"),
        (cast(column("n", Integer), ARRAY(Text)), "CAST(n AS ARRAY<STRING>)"),
        (
            column("a", Numeric(38, 4)) / column("n", BigInteger),
            "(CAST(a AS DECIMAL(24, 4)) / CAST(n AS DECIMAL(20, 0)))",
        ),
    ],
)
def test_constructs(element: Any, expected: str | None) -> None:
    if expected is not None:
        assert spark(element) == expected


def test_tables_are_views_without_a_schema() -> None:
    text, bound = compiled(marts.query(all_marts()[0]), Settings().rules)
    assert "FROM orders_stg AS" in text
    assert bound["time_zone"] == "UTC"
    assert [name for name in bound if name.startswith("revenue_statuses")] == [
        f"revenue_statuses_{number}" for number in range(1, 5)
    ]


def test_what_the_database_derives_is_selected() -> None:
    product = next(mart for mart in all_marts() if mart.__tablename__ == "product_revenue")
    text, _ = compiled(typed(product.__table__, marts.query(product)), {})
    assert "CAST((CAST(row.total_revenue AS DECIMAL(24, 4)) / CAST(nullif(row.order_lines, " in text
    assert text.index("avg_order_value") > 0


def test_every_select_compiles() -> None:
    statements = [
        *(judged(Scope.ALL, known_feed(name).translation) for name in known_names()),
        judged(Scope.ALL),
        replay.create_fates().query,
        *(marts.difference(mart) for mart in all_marts()),
    ]
    for statement in statements:
        text, bound = compiled(statement, Settings().rules)
        assert ":" not in text.replace("::", "") or bound
        assert not any(isinstance(value, list) for value in bound.values())


@pytest.fixture
def _own() -> Iterator[None]:
    with for_a_while():
        yield


REFUSED: list[tuple[Callable[[Any], ColumnElement[Any]], str]] = [
    (lambda line: func.initcap(line.category), r"Refused\.kind: .*initcap\(\)"),
    (lambda line: func.lower(line.category), r"Refused\.kind: .*lower\(\)"),
    (lambda line: cast(cast(line.price, Float), Text), r"Refused\.kind: .*floating"),
    (lambda line: cast(func.extract("dow", line.order_timestamp), Text), r"Refused\.kind: .*extract"),
]


@pytest.mark.usefixtures("_own")
@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
@pytest.mark.parametrize(("expression", "message"), REFUSED)
def test_what_spark_would_compute_otherwise_is_refused_by_name(
    expression: Callable[[Any], ColumnElement[Any]], message: str
) -> None:
    class Refused(Mart):
        __tablename__ = "refused_on_spark"
        kind: Mapped[str] = key(expression)
        order_lines: Mapped[int] = count()

    with pytest.raises(DeclarationError, match=message):
        check_marts((Refused,))


@pytest.mark.usefixtures("_own")
def test_a_mart_of_ones_own_compiles() -> None:
    class PerDay(Mart):
        __tablename__ = "per_day_on_spark"
        day: Mapped[date] = key(lambda line: line.order_timestamp)
        net: Mapped[Decimal] = total(lambda line: line.total_amount / Decimal("1.19"))
        order_lines: Mapped[int] = count()

    check_marts((PerDay,))
    text, _ = compiled(marts.query(PerDay), {})
    assert "AS DECIMAL(20, 4))) AS DECIMAL(38, 4)" in text
