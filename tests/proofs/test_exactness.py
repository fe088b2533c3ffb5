"""Whatever is delivered, in whatever order and steps, every table equals the plain-Python model."""

import random
from contextlib import suppress
from datetime import date
from decimal import Decimal
from math import factorial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, select

import minidw
from minidw import Batch, OrderLine, OrderRejected, Settings
from minidw.schema import all_marts
from tests.support import model
from tests.support.deliveries import COLUMNS, batches, contents, write
from tests.support.model import Row, Rules


def to_settings(rules: Rules) -> Settings:
    """The same rules as minidw takes them; no share of rejects is too large for these tests."""
    return Settings(
        order_date_min=rules.first,
        order_date_max=rules.last,
        revenue_statuses=tuple(sorted(rules.revenue)),
        segment_vip=rules.vip,
        max_reject_ratio=Decimal(1),
    )


def assert_staging(conn: Connection, expected: model.Staging) -> None:
    """orders_stg, orders_rejected and the ledger equal the model."""
    columns = (*COLUMNS, "total_amount", "batch_id", "source_row")
    assert {tuple(row) for row in conn.execute(select(*(getattr(OrderLine, name) for name in columns)))} == {
        (*key, line.time, line.customer, line.product, line.category, line.price, line.quantity, line.status,
         line.amount, batch_id, source_row)
        for key, (line, batch_id, source_row) in expected.lines.items()
    }  # fmt: skip
    rejected = conn.execute(select(OrderRejected.batch_id, OrderRejected.source_row, OrderRejected.reasons))
    assert {(b, r): set(reasons) for b, r, reasons in rejected} == expected.rejected
    fates = ("inserted", "updated", "unchanged", "superseded", "rejected")
    ledger = conn.execute(
        select(Batch.batch_id, *(getattr(Batch, fate) for fate in fates)).where(Batch.staged_at.is_not(None))
    )
    assert {row[0]: dict(zip(fates, row[1:], strict=True)) for row in ledger} == expected.fates


class Warehouse(RuleBasedStateMachine):
    """Deliveries, steps, changes of rules and failures in any order."""

    engine: Engine
    directory: Path
    seen = 0

    @initialize()
    def begin(self) -> None:
        self.conn = self.engine.connect()
        self.transaction = self.conn.begin()
        self.in_force = Rules()
        self.delivered: dict[int, list[Row]] = {}
        self.staged = model.Staging()
        self.built = model.marts(self.staged, self.in_force)
        self.staged_by = self.built_by = self.in_force

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.transaction.rollback()
            self.conn.close()

    def deliver(self, delivered: list[Row]) -> None:
        """One batch more."""
        self.delivered[len(self.delivered) + 1] = delivered
        type(self).seen += 1

    def expect_staged(self) -> None:
        """Staging holds all that was delivered, by the rules in force."""
        self.staged, self.staged_by = model.stage(self.delivered, self.in_force), self.in_force

    def expect_built(self) -> None:
        """The marts hold what is staged, by the rules in force."""
        self.built, self.built_by = model.marts(self.staged, self.in_force), self.in_force

    @rule(delivered=batches)
    def load(self, delivered: list[Row]) -> None:
        path = write(self.directory / "feed.csv", delivered)
        minidw.load_raw(path, self.conn, force=True, settings=to_settings(self.in_force))
        self.deliver(delivered)

    @rule(step=st.sampled_from(["stage", "build", "build in full", "replay"]))
    def one_step(self, step: str) -> None:
        in_force = to_settings(self.in_force)
        if "build" in step:
            minidw.build_marts(self.conn, full="full" in step, settings=in_force)
            self.expect_built()
        else:
            minidw.build_staging(self.conn, replay=step == "replay", settings=in_force)
            self.expect_staged()

    @rule(delivered=batches)
    def run(self, delivered: list[Row]) -> None:
        path = write(self.directory / "feed.csv", delivered)
        minidw.run(path, self.conn, force=True, settings=to_settings(self.in_force))
        self.deliver(delivered)
        self.expect_staged()
        self.expect_built()

    @rule(delivered=batches)
    def run_that_crashes(self, delivered: list[Row]) -> None:
        path = write(self.directory / "feed.csv", delivered)
        with suppress(ZeroDivisionError), self.conn.begin_nested():
            minidw.run(path, self.conn, force=True, settings=to_settings(self.in_force))
            raise ZeroDivisionError

    @rule(
        change=st.sampled_from(
            [
                {"first": date(2023, 1, 1)},
                {"first": date(2024, 5, 2)},
                {"first": date(2022, 1, 1)},
                {"revenue": frozenset(model.STATUSES)},
                {"revenue": frozenset({"delivered"})},
                {"vip": Decimal(5000)},
            ]
        )
    )
    def change_a_rule(self, change: dict[str, Any]) -> None:
        self.in_force = model.replace(self.in_force, **change)

    @precondition(lambda self: self.staged_by == self.built_by)
    @rule()
    def verify(self) -> None:
        """Whatever is loaded or staged and waits for the next step, nothing differs from what it follows."""
        assert minidw.verify(self.conn, settings=to_settings(self.built_by)).differences == []

    @invariant()
    def every_table_equals_the_model(self) -> None:
        if not hasattr(self, "conn"):
            return
        assert_staging(self.conn, self.staged)
        for mart in all_marts():
            assert contents(self.conn, mart) == self.built[mart.__tablename__], mart.__tablename__


def explore(engine: Engine, directory: Path, batches: int) -> None:
    """Let hypothesis drive the warehouse through at least so many batches."""
    machine = type(
        "WarehouseUnderTest", (Warehouse,), {"engine": engine, "directory": directory, "batches": 0}
    )
    some_steps = settings(
        max_examples=max(batches // 20, 5),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    while machine.seen < batches:  # type: ignore[attr-defined]
        run_state_machine_as_test(machine, settings=some_steps)


def test_any_sequence_of_steps_agrees_with_the_model(engine: Engine, tmp_path: Path) -> None:
    explore(engine, tmp_path, batches=60)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_long_sequences_of_steps_agree_with_the_model(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    explore(engine, tmp_path, batches=request.config.getoption("--proof"))


@pytest.mark.parametrize("batches", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_every_permutation_of_some_batches_agrees_with_the_model_of_its_order(
    conn: Connection, tmp_path: Path, batches: int
) -> None:
    draw = random.Random(1)
    vocabulary = {
        "order_id": ["1", "2", "3"],
        "line_number": ["1", "2"],
        "order_timestamp": ["2024-05-01 10:00:00", "2024-06-01", "2022-01-01"],
        "customer_id": ["ada", "bob"],
        "product_id": ["p1", "p2"],
        "category": ["books"],
        "price": ["10", "700", "x"],
        "quantity": ["1", "2"],
        "status": ["delivered", "cancelled"],
    }
    feeds = [
        [{name: draw.choice(values) for name, values in vocabulary.items()} for _ in range(4)]
        for _ in range(batches)
    ]
    paths = [write(tmp_path / f"{number}.csv", feed) for number, feed in enumerate(feeds)]

    def visit(order: tuple[int, ...]) -> None:
        """Agree with the model after these batches, then after each of the others on top of them."""
        expected = model.stage({i: feeds[number] for i, number in enumerate(order, 1)}, Rules())
        assert_staging(conn, expected)
        for mart in all_marts():
            assert contents(conn, mart) == model.marts(expected, Rules())[mart.__tablename__]
        visited.append(order)
        for number in set(range(batches)) - set(order):
            with conn.begin_nested() as savepoint:
                minidw.run(paths[number], conn, force=True, settings=to_settings(Rules()))
                visit((*order, number))
                savepoint.rollback()

    visited: list[tuple[int, ...]] = []
    visit(())
    assert len([order for order in visited if len(order) == batches]) == factorial(batches)
