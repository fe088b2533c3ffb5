"""The figures of the report: selects over marts, staging and ledger, and what follows from their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    Integer,
    cast,
    column,
    exists,
    extract,
    func,
    select,
    table,
    text,
)

from minidw.reports import data
from minidw.reports.data import Rows
from minidw.schema import (
    Batch,
    CheckResult,
    CustomerLtv,
    DailyRevenue,
    MartBuild,
    OrderLine,
    OrderRejected,
    ProductRevenue,
    Run,
)
from minidw.schema.vocabulary import FATES
from minidw.schema.words import counts_as_revenue
from minidw.transforms.constructs import CreateTemporary, Query

BATCHES = 30
TOP = 20
COHORTS = 24
DAYS = 1827
"""Of the days of a history: one order of the year 2000, or 9999, must not make the page endless."""
YEAR = 364
CENT = Decimal("0.01")

customer_months = table(
    "customer_months",
    column("customer_id", OrderLine.customer_id.type),
    column("month", Date),
    column("orders", BigInteger),
    column("revenue", OrderLine.total_amount.type),
)
"""Temporary: one row per customer and month with revenue, so that the history is read once."""


@dataclass(frozen=True)
class Figures:
    """Everything that the report shows, each as rows of column name and value; money exact."""

    as_of: datetime | None
    newest_batch: datetime | None
    newest_build: datetime | None
    days: Rows
    periods: Rows
    months: Rows
    cohorts: Rows
    segments: Rows
    products: Rows
    customers: Rows
    categories: Rows
    hours: Rows
    batches: Rows
    rejects: Rows
    checks: Rows


def read_figures(conn: Connection, rules: dict[str, Any]) -> Figures:
    """Read the figures in the transaction of the connection, best one snapshot."""

    def rows(statement: Query) -> Rows:
        return [dict(row) for row in conn.execute(statement, rules).mappings()]

    has_lines = conn.scalar(select(exists().where(OrderLine.line_number > 1)))
    conn.execute(
        CreateTemporary(customer_months.name, customers_by_month(several_lines=bool(has_lines))), rules
    )
    conn.execute(text(f"ANALYZE {customer_months.name}"))
    cohorts = rows(customers_by_cohort())
    days = with_context(rows(daily_revenue()))
    figures = Figures(
        as_of=conn.scalar(select(func.max(CustomerLtv.last_order_at))),
        newest_batch=conn.scalar(select(func.max(Batch.loaded_at))),
        newest_build=conn.scalar(select(func.max(MartBuild.built_at))),
        days=days,
        periods=growth(days),
        months=by_month(rows(orders_by_month()), cohorts),
        cohorts=retention(cohorts),
        segments=with_shares(rows(data.segments()), ("customers", "lifetime_value")),
        products=rows(top_products()),
        customers=rows(top_customers()),
        categories=with_shares(rows(revenue_by_category()), ("revenue",)),
        hours=rows(revenue_by_hour()),
        batches=rows(last_batches())[::-1],
        rejects=rows(rejects_by_day()),
        checks=rows(last_checks()),
    )
    conn.execute(text(f"DROP TABLE {customer_months.name}"))
    return figures


def daily_revenue() -> Query:
    """Every day with orders, the first one first."""
    return select(DailyRevenue.order_date, DailyRevenue.revenue, DailyRevenue.order_lines).order_by(
        DailyRevenue.order_date
    )


def customers_by_month(*, several_lines: bool) -> Query:
    """Orders and revenue per customer and month; an order of several lines is counted once."""
    month = cast(func.date_trunc("month", OrderLine.order_timestamp), Date)
    if not several_lines:
        statement = select(
            OrderLine.customer_id,
            month.label("month"),
            func.count().label("orders"),
            func.sum(OrderLine.total_amount).label("revenue"),
        ).where(counts_as_revenue(OrderLine))
        return statement.group_by(OrderLine.customer_id, statement.selected_columns.month)
    # Distinct orders cannot be added up line by line: first one row per order, then count them.
    orders = (
        select(
            OrderLine.order_id,
            OrderLine.customer_id,
            month.label("month"),
            func.sum(OrderLine.total_amount).label("revenue"),
        )
        .where(counts_as_revenue(OrderLine))
        .group_by(OrderLine.order_id, OrderLine.customer_id, month)
        .subquery("orders")
    )
    return select(
        orders.c.customer_id,
        orders.c.month,
        func.count().label("orders"),
        func.sum(orders.c.revenue).label("revenue"),
    ).group_by(orders.c.customer_id, orders.c.month)


def orders_by_month() -> Query:
    """Orders and revenue per month."""
    months = customer_months.c
    return (
        select(
            months.month,
            func.sum(months.orders).label("orders"),
            func.count().label("customers"),
            func.sum(months.revenue).label("revenue"),
        )
        .group_by(months.month)
        .order_by(months.month)
    )


def customers_by_cohort() -> Query:
    """Customers and revenue per month of their first order and month since."""
    first = (
        select(customer_months.c.customer_id, func.min(customer_months.c.month).label("cohort"))
        .group_by(customer_months.c.customer_id)
        .subquery("first")
    )
    month, cohort = customer_months.c.month, first.c.cohort
    since = (
        (extract("year", month) - extract("year", cohort)) * 12
        + extract("month", month)
        - extract("month", cohort)
    )
    statement = select(
        cohort,
        cast(since, Integer).label("months_since"),
        func.count().label("customers"),
        func.sum(customer_months.c.revenue).label("revenue"),
    ).join_from(customer_months, first, customer_months.c.customer_id == first.c.customer_id)
    columns = statement.selected_columns
    return statement.group_by(columns.cohort, columns.months_since).order_by(
        columns.cohort, columns.months_since
    )


def top_products() -> Query:
    """The products of the highest revenue."""
    product = ProductRevenue
    return data.top_products(TOP).with_only_columns(
        product.product_id,
        product.category,
        product.total_revenue,
        product.total_quantity,
        product.order_lines,
    )


def top_customers() -> Query:
    """The customers of the highest lifetime value."""
    customer = CustomerLtv
    return data.top_customers(TOP).with_only_columns(
        customer.customer_id,
        customer.lifetime_value,
        customer.order_lines,
        customer.first_order_at,
        customer.last_order_at,
    )


def revenue_by_category() -> Query:
    """Revenue per category, the highest first."""
    revenue = func.sum(ProductRevenue.total_revenue).label("revenue")
    return (
        select(ProductRevenue.category, revenue, func.sum(ProductRevenue.total_quantity).label("quantity"))
        .group_by(ProductRevenue.category)
        .order_by(revenue.desc(), ProductRevenue.category)
    )


def revenue_by_hour() -> Query:
    """Revenue and order lines per weekday (1 is Monday) and hour, UTC."""
    weekday = extract("isodow", OrderLine.order_timestamp)
    hour = extract("hour", OrderLine.order_timestamp)
    # One number for both: of a single expression the planner expects few groups, and counts on several cores.
    slots = select(
        cast(weekday * 24 + hour, Integer).label("slot"),
        func.sum(OrderLine.total_amount).label("revenue"),
        func.count().label("order_lines"),
    ).where(counts_as_revenue(OrderLine))
    slot = slots.group_by(slots.selected_columns.slot).subquery("slots").c
    return select(
        (slot.slot // 24).label("weekday"), (slot.slot % 24).label("hour"), slot.revenue, slot.order_lines
    ).order_by(slot.slot)


def last_batches() -> Query:
    """The last staged batches with their rows by fate, the newest first."""
    return (
        select(
            Batch.batch_id,
            Batch.file_name,
            Batch.loaded_at,
            Batch.rows_read,
            *(getattr(Batch, fate) for fate in FATES),
        )
        .where(Batch.staged_at.is_not(None), Batch.unloaded_at.is_(None))
        .order_by(Batch.batch_id.desc())
        .limit(BATCHES)
    )


def rejects_by_day() -> Query:
    """Rejected rows per day of the load and reason; a row with two reasons is counted under both."""
    reasons = select(OrderRejected.batch_id, func.unnest(OrderRejected.reasons).label("reason")).subquery(
        "reasons"
    )
    return (
        select(Batch.load_date, reasons.c.reason, func.count().label("rows"))
        .join_from(reasons, Batch, Batch.batch_id == reasons.c.batch_id)
        .group_by(Batch.load_date, reasons.c.reason)
        .order_by(Batch.load_date, reasons.c.reason)
    )


def last_checks() -> Query:
    """The checks of the last run that had any."""
    last = (
        select(Run.run_id)
        .where(exists().where(CheckResult.run_id == Run.run_id))
        .order_by(Run.finished_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(CheckResult.name, CheckResult.severity, CheckResult.offending)
        .where(CheckResult.run_id == last)
        .order_by(CheckResult.name)
    )


def with_context(days: Rows) -> Rows:
    """Every day of the last five years, with the mean of seven days and the same day a year before.

    A day without orders has a revenue of 0. The mean is that of the day and the six before it; the day a
    year before is 364 days back, so that it is the same weekday.
    """
    if not days:
        return []
    known = {row["order_date"]: row for row in days}
    first, last = days[0]["order_date"], days[-1]["order_date"]
    span = (last - first).days

    def revenue(day: date, ago: int = 0) -> Decimal:
        row = known.get(day - timedelta(days=ago))
        return row["revenue"] if row else Decimal(0)

    return [
        {
            "order_date": day,
            "revenue": revenue(day),
            "order_lines": known[day]["order_lines"] if day in known else 0,
            "mean_7_days": _mean([revenue(day, n) for n in range(7)]) if age >= 6 else None,
            "year_before": revenue(day, YEAR) if age >= YEAR else None,
        }
        for age in range(max(span - DAYS + 1, 0), span + 1)
        for day in [first + timedelta(days=age)]
    ]


def growth(days: Rows) -> Rows:
    """Revenue of the last 7, 30 and 365 days against the same number of days before them.

    Both end with the last day that has orders; null where the history does not reach back so far.
    """
    found = []
    for name, length in (("week", 7), ("month", 30), ("year", 365)):
        revenue = [row["revenue"] for row in days]
        if not revenue:
            break
        now = sum(revenue[-length:], Decimal(0))
        before = sum(revenue[-2 * length : -length], Decimal(0)) if len(revenue) >= 2 * length else None
        found.append(
            {
                "period": f"last {length} days",
                "name": name,
                "from": days[max(len(days) - length, 0)]["order_date"],
                "revenue": now,
                "before": before,
                "growth": share(now - before, before) if before else None,
            }
        )
    return found


def by_month(orders: Rows, cohorts: Rows) -> Rows:
    """Per month: orders, their average value, and how many of the customers are new."""
    new = {row["cohort"]: row["customers"] for row in cohorts if row["months_since"] == 0}
    return [
        {
            "month": row["month"],
            "revenue": row["revenue"],
            "orders": int(row["orders"]),
            "average_order": (row["revenue"] / row["orders"]).quantize(CENT, ROUND_HALF_EVEN),
            "new_customers": new.get(row["month"], 0),
            "returning_customers": row["customers"] - new.get(row["month"], 0),
        }
        for row in orders
    ]


def retention(cohorts: Rows) -> Rows:
    """The last cohorts, each month with the share of the cohort's customers that ordered in it, percent."""
    size = {row["cohort"]: row["customers"] for row in cohorts if row["months_since"] == 0}
    shown = set(sorted(size)[-COHORTS:])
    return [
        {**row, "retention": share(row["customers"], size[row["cohort"]])}
        for row in cohorts
        if row["cohort"] in shown and row["months_since"] < COHORTS
    ]


def with_shares(rows: Rows, names: Sequence[str]) -> Rows:
    """Beside each of the named columns its share of the column's sum, percent."""
    sums = {name: sum(row[name] for row in rows) for name in names}
    return [row | {f"{name}_share": share(row[name], sums[name]) for name in names} for row in rows]


def share(part: Any, whole: Any) -> Decimal | None:
    """Percent, to one decimal; null of nothing."""
    if not whole:
        return None
    return (Decimal(100) * Decimal(part) / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_EVEN)


def _mean(values: Sequence[Decimal]) -> Decimal:
    return (sum(values, Decimal(0)) / len(values)).quantize(CENT, ROUND_HALF_EVEN)


def month_name(day: date) -> str:
    """Such as 2024-05."""
    return f"{day:%Y-%m}"
