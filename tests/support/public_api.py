"""A program over the whole public API, as strict a caller writes it: mypy reads it, nobody runs it.

CI reads it here, and a slow test reads it beside a wheel, where the types are those that are installed.
"""

from collections.abc import Generator, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Mapped, Session

import minidw


class CategoryDay(minidw.Mart):
    """Sales per category and day. One row per category and day."""

    __tablename__ = "category_day"

    category: Mapped[str] = minidw.key(lambda line: line.category)
    day: Mapped[date] = minidw.key(lambda line: line.order_timestamp)
    revenue: Mapped[Decimal] = minidw.total(lambda line: line.total_amount)
    cheapest: Mapped[Decimal] = minidw.smallest(lambda line: line.price)
    dearest: Mapped[Decimal] = minidw.largest(lambda line: line.price)
    order_lines: Mapped[int] = minidw.count()
    revenue_per_line: Mapped[Decimal] = minidw.ratio("revenue", "order_lines")


class Shown(minidw.Mart):
    """One row per customer with revenue."""

    __tablename__ = "shown"
    source = minidw.CustomerLtv

    customer_id: Mapped[str] = minidw.key(lambda customer: customer.customer_id)
    lifetime_value: Mapped[Decimal] = minidw.value(lambda customer: customer.lifetime_value)


@minidw.check
def no_free_category() -> Select[str]:
    return select(CategoryDay.category).where(CategoryDay.revenue == 0)


@minidw.check(severity="warning")
def quiet_days() -> Select[date]:
    return select(minidw.DailyRevenue.order_date).where(minidw.DailyRevenue.order_lines == 1)


def warehouse() -> Engine:
    settings = minidw.Settings(home=Path(".minidw"), max_reject_ratio=Decimal("0.1"))
    engine = assert_type(minidw.create_engine(settings, create=False), Engine)
    minidw.upgrade(engine, revision="head")
    minidw.downgrade(engine, revision="base", wait=False)
    assert_type(minidw.check_schema(engine), list[str])
    assert_type(minidw.init_project("shop"), list[Path])
    minidw.run_own_migrations()
    return engine


def deliver(bind: minidw.Bind, given: minidw.Input) -> minidw.Result:
    feed = minidw.Feed(dates="dmy", decimal=",", columns={"order_id": "nr"})
    assert_type(minidw.named_feed("shopify"), minidw.Feed)
    inspection = assert_type(minidw.inspect("orders.csv"), minidw.Inspection)
    assert_type(inspection.findings, dict[str, minidw.Finding])
    minidw.run("orders.csv", bind, feed=feed, progress=print)
    minidw.run(Path("orders.csv"), name="today")
    minidw.run(b"order_id", bind)
    minidw.run([{"order_id": "1", "price": Decimal("9.50")}], bind)
    with Path("orders.csv").open("rb") as binary, Path("orders.csv").open() as text:
        minidw.run(binary, bind)
        minidw.run(text, bind)
    minidw.load_raw("https://example.org/orders.csv", bind)
    minidw.build_staging(bind, replay=True)
    minidw.build_marts(bind, full=True)
    minidw.run_checks(bind)
    minidw.set_rules({"SEGMENT_VIP": 5}, bind)
    return minidw.run(given, bind, force=True, replace=1, accept_rules=True, wait=False)


def look_at(result: minidw.Result) -> None:
    assert_type(result.loaded, minidw.Loaded)
    assert_type(result.replayed, minidw.Replayed | None)
    assert_type(result.staged, list[minidw.Staged])
    assert_type(result.staged[0].examples, list[minidw.Example])
    assert_type(result.built, list[minidw.Built])
    assert_type(result.checked, list[minidw.Checked])
    assert_type(result.pruned, minidw.Pruned)
    assert_type(result.unloaded, list[minidw.Unloaded])
    assert_type(result.erased, list[minidw.Erased])
    assert_type(result.rules, list[minidw.RuleChange])
    assert_type(result.moved, minidw.Moved | None)
    assert_type(result.as_dict(), dict[str, Any])


def take_back(session: Session) -> None:
    assert_type(minidw.unload([1, 2], session), minidw.Result)
    assert_type(minidw.prune(date(2025, 1, 1), session), minidw.Result)
    assert_type(minidw.erase("ada", session), minidw.Result)


def prove(bind: minidw.Bind) -> None:
    preview = assert_type(minidw.preview("orders.csv", bind, rows=5), minidw.Preview)
    changes = assert_type(preview.marts, list[minidw.MartChange])
    assert_type(changes[0].rows, list[minidw.RowChange])
    assert_type(minidw.preview_unload(1, bind), minidw.Preview)
    assert_type(minidw.preview_rules({"SEGMENT_VIP": None}, bind), minidw.Preview)
    assert_type(minidw.diff(1, 2, bind), minidw.Diff)
    verified = assert_type(minidw.verify(bind, sample=0.1), minidw.Verified)
    assert_type(verified.differences, list[minidw.Difference])
    explained: list[dict[str, Any]] = minidw.why(minidw.ProductRevenue, ("lamp", "home"), bind, limit=20)
    assert_type(explained, list[dict[str, Any]])
    assert_type(minidw.history("1001", bind), list[dict[str, Any]])


def report(bind: minidw.Bind) -> None:
    assert_type(minidw.report(bind), dict[str, list[dict[str, Any]]])
    assert_type(minidw.status(bind), dict[str, list[dict[str, Any]]])
    assert_type(minidw.rules(bind), list[minidw.RuleInForce])
    assert_type(minidw.write_report("report.html", bind), Path)
    assert_type(minidw.show("daily_revenue", bind, where=["revenue > 100"]), list[dict[str, Any]])
    assert_type(minidw.export(bind=bind, to="out", format="parquet"), list[minidw.Exported])
    rejected = assert_type(minidw.rejects("orders.csv", bind, limit=5), list[minidw.Reject])
    assert_type(rejected[0].faults, tuple[minidw.Fault, ...])


def hand_over(bind: minidw.Bind) -> Generator[minidw.Notice, None, None]:
    where = minidw.DailyRevenue.revenue > 100
    assert_type(minidw.read(minidw.DailyRevenue, bind, where=where), Iterator[minidw.DailyRevenue])
    assert_type(minidw.read(CategoryDay, bind), Iterator[CategoryDay])
    assert_type(minidw.read("shown", bind), Iterator[minidw.Mart])
    minidw.to_arrow("daily_revenue", bind)
    assert_type(minidw.all_marts(), tuple[type[minidw.Mart], ...])
    return minidw.listen(timeout=0.5)


def make_up() -> None:
    assert_type(minidw.generate_orders(rows=10, seed=7), Path)
    made = assert_type(minidw.generate_export("shopify", orders=10), minidw.GeneratedExport)
    assert_type(made.revenue, Decimal)
    assert_type(minidw.__version__, str)


def query(session: Session) -> None:
    day = session.get(minidw.DailyRevenue, date(2025, 1, 1))
    if day is not None:
        assert_type(day.revenue, Decimal)
    segment = select(minidw.CustomerSegments.segment).join(
        minidw.CustomerLtv, minidw.CustomerLtv.customer_id == minidw.CustomerSegments.customer_id
    )
    assert_type(session.scalars(segment).first(), str | None)
    assert_type(session.scalars(select(minidw.OrderLine.quantity)).first(), int | None)
    for table in (
        *(minidw.Batch, minidw.Run, minidw.CheckResult, minidw.MartBuild, minidw.RuleVersion),
        *(minidw.Erasure, minidw.ErasureKey, minidw.LineMalformed, minidw.OrderLanded),
        *(minidw.OrderDelivered, minidw.OrderRejected, minidw.OrderChange, minidw.OrderTotal),
    ):
        select(table)
    assert_type(minidw.Base.metadata.tables["mart.daily_revenue"].name, str)


def run_until_stored(path: Path) -> int:
    try:
        return minidw.run(path).loaded.batch_id
    except minidw.BadFileError as error:
        print(error.file, error.line, error.code)
    except minidw.CheckFailedError as error:
        print(error)
    except minidw.ConnectionLostError:
        return run_until_stored(path)
    except minidw.WarehouseBusyError:
        return 0
    except (minidw.EmbeddedError, minidw.DatabaseError, minidw.DeclarationError, minidw.SettingsError):
        raise
    except (minidw.DataError, minidw.MinidwError) as error:
        raise SystemExit(error.exit_code) from error
    return 0
