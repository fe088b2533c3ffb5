"""Old batches can leave raw: staging, marts and ledger stay right, and verify says what it cannot compare."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.orm import Session

import minidw
from minidw import (
    Batch,
    CustomerLtv,
    OrderDelivered,
    OrderLanded,
    OrderLine,
    OrderRejected,
    Settings,
    all_marts,
)
from tests.support.deliveries import batches, contents, write

WriteFeed = Callable[..., Path]

TODAY = datetime.now(UTC).date()
TOMORROW = TODAY + timedelta(days=1)
LENIENT = Settings(max_reject_ratio=Decimal(1))


def count(bind: Engine | Connection, table: type[Any]) -> int:
    """The number of rows of a table."""
    with Session(bind) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def age(bind: Engine, batch_id: int, loaded: date) -> None:
    """Let a batch have been loaded on another day."""
    with bind.begin() as conn:
        conn.execute(text(f"UPDATE raw.batches SET load_date = '{loaded}' WHERE batch_id = {batch_id}"))


def test_old_batches_leave_raw_and_nothing_else(warehouse: Engine, feed: WriteFeed) -> None:
    first = feed(
        "order_id | customer_id | price\n1 | ada | 5\n2 | ada | 7\n3 | bob | x\n4 | bob | 1\n5 | bob | 1"
    )
    minidw.run(first, warehouse, settings=LENIENT)
    minidw.run(feed("order_id | customer_id | price\n2 | ada | 8"), warehouse)
    age(warehouse, 1, TODAY - timedelta(days=30))

    pruned = minidw.prune(TODAY, warehouse).pruned

    assert (pruned.batch_ids, pruned.rows) == ([1], 5)
    assert [count(warehouse, table) for table in (OrderDelivered, OrderLine, OrderRejected, Batch)] == [
        1,
        4,
        1,
        2,
    ]
    assert not any(outcome.offending for outcome in minidw.run_checks(warehouse).checked)
    verified = minidw.verify(warehouse)
    assert (verified.differences, verified.lines_beyond_raw) == ([], 3)
    (line,) = minidw.why("daily_revenue", "2024-05-01", warehouse)[:1]
    assert (line["order_id"], line["file_name"], line["raw_price"]) == ("1", "feed_001.csv", None)
    assert minidw.run(first, warehouse).loaded.skipped


def test_a_batch_that_the_marts_do_not_have_yet_stays(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.load_raw(feed("order_id\n1"), warehouse)
    assert minidw.prune(TOMORROW, warehouse).pruned == minidw.Pruned([], 0)
    minidw.build_staging(warehouse)
    assert minidw.prune(TOMORROW, warehouse).pruned == minidw.Pruned([], 0)
    minidw.build_marts(warehouse)
    assert minidw.prune(TOMORROW, warehouse).pruned == minidw.Pruned([1], 1)
    assert (count(warehouse, OrderDelivered), count(warehouse, OrderLanded)) == (0, 0)


def test_a_changed_rule_judges_what_raw_still_has(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | order_timestamp\n1 | 2024-01-01\n2 | 2024-01-01"), warehouse)
    minidw.prune(TOMORROW, warehouse)
    minidw.run(feed("order_id | order_timestamp\n3 | 2024-01-02\n4 | 2025-01-01"), warehouse)

    replayed = minidw.set_rules({"ORDER_DATE_MIN": date(2025, 1, 1)}, warehouse).replayed

    assert replayed is not None
    assert (replayed.batches, replayed.ceased, replayed.pruned) == (1, 1, 1)
    with Session(warehouse) as session:
        assert session.scalars(select(OrderLine.order_id).order_by(OrderLine.order_id)).all() == [
            "1",
            "2",
            "4",
        ]
        assert session.scalars(select(CustomerLtv.order_lines)).all() == [3]
    assert minidw.verify(warehouse).differences == []
    assert not any(outcome.failed for outcome in minidw.run_checks(warehouse).checked)
    assert minidw.build_staging(warehouse).replayed is None


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    before=st.lists(batches, min_size=1, max_size=3),
    after=st.lists(batches, max_size=2),
    replay=st.booleans(),
)
def test_whatever_comes_after_a_pruning_is_as_it_would_be_without(
    conn: Connection, tmp_path: Path, before: list[Any], after: list[Any], replay: bool
) -> None:
    def deliver(*, pruning: bool) -> list[Any]:
        """All tables after the batches, with a pruning among them or not."""
        with conn.begin_nested() as savepoint:
            for delivered in before:
                minidw.run(write(tmp_path / "feed.csv", delivered), conn, force=True, settings=LENIENT)
            if pruning:
                minidw.prune(TOMORROW, conn)
            for delivered in after:
                minidw.run(write(tmp_path / "feed.csv", delivered), conn, force=True, settings=LENIENT)
            minidw.build_staging(conn, replay=replay, settings=LENIENT)
            minidw.build_marts(conn, settings=LENIENT)
            assert minidw.verify(conn, settings=LENIENT).differences == []
            lines = set(map(tuple, conn.execute(select(OrderLine.__table__))))
            found = [lines, *(contents(conn, mart) for mart in all_marts())]
            savepoint.rollback()
        return found

    assert deliver(pruning=True) == deliver(pruning=False)
