"""The state of the warehouse and the marts at a glance, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from minidw.database.engine import Bind
from minidw.database.lock import holder, number_waiting
from minidw.database.transaction import reading
from minidw.schema import (
    Batch,
    CheckResult,
    CustomerLtv,
    CustomerSegments,
    DailyRevenue,
    MartBuild,
    OrderChange,
    OrderLine,
    OrderTotal,
    ProductRevenue,
    RuleVersion,
    Run,
)
from minidw.schema.vocabulary import FATES, SEGMENTS
from minidw.settings import Settings
from minidw.steps.rules import RuleInForce, present_rules
from minidw.transforms.constructs import Query

Rows = list[dict[str, Any]]


def daily_revenue(days: int = 10) -> Query:
    """The latest days and their revenue."""
    return (
        select(DailyRevenue.order_date, DailyRevenue.revenue, DailyRevenue.order_lines)
        .order_by(DailyRevenue.order_date.desc())
        .limit(days)
    )


def top_customers(number: int = 10) -> Query:
    """The customers of the highest lifetime value."""
    return (
        select(
            CustomerLtv.customer_id,
            CustomerLtv.lifetime_value,
            CustomerLtv.order_lines,
            CustomerLtv.last_order_at,
        )
        .order_by(CustomerLtv.lifetime_value.desc(), CustomerLtv.customer_id)
        .limit(number)
    )


def top_products(number: int = 10) -> Query:
    """The products of the highest revenue."""
    product = ProductRevenue
    return (
        select(
            product.product_id,
            product.category,
            product.total_revenue,
            product.total_quantity,
            product.avg_order_value,
        )
        .order_by(product.total_revenue.desc(), product.product_id, product.category)
        .limit(number)
    )


def segments() -> Query:
    """Customers and their value per segment, from VIP down: in the same order every day."""
    order = case({segment: place for place, segment in enumerate(SEGMENTS)}, value=CustomerSegments.segment)
    return (
        select(
            CustomerSegments.segment,
            func.count().label("customers"),
            func.sum(CustomerSegments.lifetime_value).label("lifetime_value"),
        )
        .group_by(CustomerSegments.segment)
        .order_by(order)
    )


def report(bind: Bind = None, *, settings: Settings | None = None) -> dict[str, Rows]:
    """The marts at a glance, as data.

    Args:
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        By title, the first ten rows: the latest days, the customers and products of the highest value, the
        segments. A row is a dict of column name and value; money is in the currency of the orders.

    Raises:
        DatabaseError: the warehouse cannot be read

    Example:
        >>> for row in minidw.report()["top customers"]:
        ...     print(row["customer_id"], row["lifetime_value"])
        bob 151.0000
        ada 115.5000
    """
    with reading(bind, settings or Settings.from_env()) as conn:
        return {
            "daily revenue": _rows(conn, daily_revenue()),
            "top customers": _rows(conn, top_customers()),
            "top products": _rows(conn, top_products()),
            "segments": _rows(conn, segments()),
        }


def status(bind: Bind = None, *, settings: Settings | None = None) -> dict[str, Rows]:
    """The state of the warehouse, as data.

    Args:
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        ``batches``: the last ten with their rows by fate, newest first; ``marts``: how each was built last,
        and why; ``waiting``: batches that are not staged yet and changes that are not built yet;
        ``failed runs``: the last ten, newest first; ``warnings``: the last ten checks of severity warning
        that found something, with samples; ``in use``: who holds the warehouse now, and how many runners
        wait, no row where nobody does. A row is a dict of column name and value.

    Raises:
        DatabaseError: the warehouse cannot be read

    Example:
        >>> minidw.load_raw("corrections.csv").loaded.batch_id
        2
        >>> minidw.status()["waiting"]
        [{'batches_to_stage': 1, 'changes_to_build': 0}]
    """
    batches = (
        select(
            *(
                getattr(Batch, name)
                for name in ("batch_id", "file_name", "loaded_at", "staged_at", "built_at", "unloaded_at")
            ),
            *(getattr(Batch, name) for name in ("rows_read", *FATES)),
        )
        .order_by(Batch.batch_id.desc())
        .limit(10)
    )
    waiting = select(
        select(func.count())
        .select_from(Batch)
        .where(Batch.staged_at.is_(None), Batch.unloaded_at.is_(None))
        .scalar_subquery()
        .label("batches_to_stage"),
        select(func.count()).select_from(OrderChange).scalar_subquery().label("changes_to_build"),
    )
    failed = (
        select(Run.finished_at, Run.command, Run.file_name, Run.failure)
        .where(Run.failure.is_not(None))
        .order_by(Run.finished_at.desc())
        .limit(10)
    )
    warnings = (
        select(Run.finished_at, Run.file_name, CheckResult.name, CheckResult.offending, CheckResult.samples)
        .join_from(CheckResult, Run, CheckResult.run_id == Run.run_id)
        .where(CheckResult.severity == "warning", CheckResult.offending > 0)
        .order_by(Run.finished_at.desc(), CheckResult.name)
        .limit(10)
    )
    builds = select(MartBuild.mart, MartBuild.built_at, MartBuild.method, MartBuild.reason).order_by(
        MartBuild.mart
    )
    with reading(bind, settings or Settings.from_env()) as conn:
        by = holder(conn)
        return {
            "batches": _rows(conn, batches),
            "marts": _rows(conn, builds),
            "waiting": _rows(conn, waiting),
            "failed runs": _rows(conn, failed),
            "warnings": _rows(conn, warnings),
            "in use": [{"by": by, "waiting": number_waiting(conn)}] if by else [],
        }


@dataclass(frozen=True)
class Holdings:
    """How much there is: batches, the rows delivered in them, and the order lines that hold."""

    batches: int
    rows_read: int
    order_lines: int


def holdings(
    bind: Bind = None, *, where: Sequence[ColumnElement[bool]] = (), settings: Settings | None = None
) -> Holdings:
    """What the warehouse holds; ``where`` limits the batches."""
    batches = select(func.count(), func.coalesce(func.sum(Batch.rows_read), 0)).where(*where)
    lines = select(func.coalesce(func.sum(OrderTotal.order_lines), 0))
    with reading(bind, settings or Settings.from_env()) as conn:
        number, rows = conn.execute(batches).one()
        return Holdings(number, int(rows), int(conn.execute(lines).scalar_one()))


def order_lines_of(customers: Sequence[str], bind: Bind = None, *, settings: Settings | None = None) -> int:
    """How many order lines customers have that hold."""
    lines = select(func.count()).where(OrderLine.customer_id.in_(customers))
    with reading(bind, settings or Settings.from_env()) as conn:
        return conn.scalar(lines) or 0


def rules(bind: Bind = None, *, settings: Settings | None = None) -> list[RuleInForce]:
    """The rules of the warehouse, and what the settings say of them.

    Args:
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        Each rule: its value, where that is from and since when, and what the settings say.

    Raises:
        DatabaseError: the warehouse cannot be read

    Example:
        >>> {rule.name: rule.value for rule in minidw.rules()}["ORDER_DATE_MIN"]
        '2000-01-01'
    """
    settings = settings or Settings.from_env()
    with reading(bind, settings) as conn:
        return list(present_rules(conn, settings).values())


def rule_versions(bind: Bind = None, *, settings: Settings | None = None) -> Rows:
    """Every version of the rules that were ever changed: what was set when, by whom. The oldest first."""
    columns = [
        getattr(RuleVersion, name) for name in ("set_at", "name", "value", "origin", "version", "set_by")
    ]
    changed = select(RuleVersion.name).where(RuleVersion.version > 1)
    versions = (
        select(*columns)
        .where(RuleVersion.name.in_(changed))
        .order_by(RuleVersion.set_at, RuleVersion.name, RuleVersion.version)
    )
    with reading(bind, settings or Settings.from_env()) as conn:
        return _rows(conn, versions)


def _rows(conn: Connection, statement: Query) -> Rows:
    return [dict(row) for row in conn.execute(statement).mappings()]
