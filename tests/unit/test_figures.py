"""The figures of the report that follow from rows: means, growth, shares, cohorts."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from minidw.reports import figures
from minidw.reports.data import Rows
from minidw.reports.html import shown

FIRST = date(2024, 1, 1)
revenues = st.lists(st.decimals("0.0001", "9999", places=4), min_size=1, max_size=800)


def days(*revenue: Decimal | int | None) -> Rows:
    """A row per day from the first on, none where the revenue is None."""
    return [
        {"order_date": FIRST + timedelta(days=n), "revenue": Decimal(amount), "order_lines": 1}
        for n, amount in enumerate(revenue)
        if amount is not None
    ]


def test_a_day_without_orders_has_no_revenue_but_a_place() -> None:
    shown_days = figures.with_context(days(5, None, 7))
    assert [(row["revenue"], row["order_lines"]) for row in shown_days] == [(5, 1), (0, 0), (7, 1)]


@given(revenues)
def test_the_mean_is_that_of_the_day_and_the_six_before(revenue: list[Decimal]) -> None:
    means = [row["mean_7_days"] for row in figures.with_context(days(*revenue))]
    assert means[:6] == [None] * min(6, len(revenue))
    for n in range(6, len(revenue)):
        assert abs(means[n] - sum(revenue[n - 6 : n + 1]) / 7) <= Decimal("0.005")


@given(revenues)
def test_the_day_a_year_before_is_the_same_weekday(revenue: list[Decimal]) -> None:
    rows = figures.with_context(days(*revenue))
    assert [row["year_before"] for row in rows] == ([None] * 364 + revenue)[: len(revenue)]


def test_days_from_one_end_of_the_calendar_to_the_other_are_the_last_of_them() -> None:
    ends = [date(1, 1, 1), date(9999, 12, 31)]
    rows = figures.with_context(
        [{"order_date": day, "revenue": Decimal(5), "order_lines": 1} for day in ends]
    )
    assert (len(rows), rows[-1]["revenue"], rows[-1]["year_before"]) == (figures.DAYS, 5, 0)
    assert rows[0]["order_date"] == ends[1] - timedelta(days=figures.DAYS - 1)
    assert figures.with_context([{"order_date": ends[0], "revenue": Decimal(5), "order_lines": 1}])[0] == {
        "order_date": ends[0],
        "revenue": 5,
        "order_lines": 1,
        "mean_7_days": None,
        "year_before": None,
    }


@given(revenues)
def test_growth_compares_as_many_days_with_those_before(revenue: list[Decimal]) -> None:
    week, month, year = figures.growth(figures.with_context(days(*revenue)))
    assert (week["revenue"], month["revenue"], year["revenue"]) == tuple(
        sum(revenue[-length:]) for length in (7, 30, 365)
    )
    assert week["before"] == (sum(revenue[-14:-7]) if len(revenue) >= 14 else None)


def test_growth_of_nothing_is_nothing() -> None:
    assert figures.growth([]) == []
    assert figures.growth(figures.with_context(days(*[0] * 14)))[0]["growth"] is None


def test_shares_are_of_the_sum() -> None:
    rows = figures.with_shares([{"n": 1}, {"n": 2}], ("n",))
    assert [row["n_share"] for row in rows] == [Decimal("33.3"), Decimal("66.7")]


def test_a_customer_is_new_in_one_month_and_returning_in_others() -> None:
    cohorts = [
        {"cohort": FIRST, "months_since": 0, "customers": 4, "revenue": 9},
        {"cohort": FIRST, "months_since": 1, "customers": 1, "revenue": 9},
        {"cohort": date(2024, 2, 1), "months_since": 0, "customers": 2, "revenue": 9},
    ]
    orders = [
        {"month": FIRST, "orders": 5, "customers": 4, "revenue": Decimal("12.50")},
        {"month": date(2024, 2, 1), "orders": 3, "customers": 3, "revenue": Decimal(10)},
    ]
    months = figures.by_month(orders, cohorts)
    assert [(m["new_customers"], m["returning_customers"]) for m in months] == [(4, 0), (2, 1)]
    assert [m["average_order"] for m in months] == [Decimal("2.50"), Decimal("3.33")]
    assert [row["retention"] for row in figures.retention(cohorts)] == [100, 25, 100]


def test_money_has_two_decimals_unless_more_are_used() -> None:
    assert [shown(Decimal(text)) for text in ("1234.5000", "0.1250", "1000")] == [
        "1,234.50",
        "0.1250",
        "1,000.00",
    ]
    assert shown("a\x1b[31m") == "a\\x1b[31m"
