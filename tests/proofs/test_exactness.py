"""Whatever is delivered, of any feeds and in any order, every table equals the plain-Python model."""

import random
from collections.abc import Callable
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
from sqlalchemy import Connection, Engine, select, update

import minidw
from minidw import Batch, OrderDelivered, OrderLine, OrderRejected, Settings, SettingsError
from minidw.schema import all_marts
from tests.support import model
from tests.support.deliveries import COLUMNS, contents, write
from tests.support.exports import FEEDS, Export, exports
from tests.support.model import Rules

SETTINGS = {
    "first": "order_date_min",
    "last": "order_date_max",
    "revenue": "revenue_statuses",
    "vip": "segment_vip",
    "currency": "currency",
    "zone": "time_zone",
}
CHANGES: list[dict[str, Any]] = [
    {"first": date(2023, 1, 1)},
    {"first": date(2024, 5, 2)},
    {"last": date(2025, 12, 31)},
    {"last": date(2024, 5, 2), "first": date(1999, 1, 1)},
    {"revenue": frozenset(model.STATUSES)},
    {"revenue": frozenset({"delivered"})},
    {"vip": Decimal(5000)},
    {"zone": "America/New_York"},
    {"currency": "USD"},
]


def saying(rules: dict[str, Any]) -> Settings:
    """Settings that say so much of the rules; no share of rejects is too large for these tests."""
    said: dict[str, Any] = {SETTINGS[name]: value for name, value in rules.items()}
    return Settings(max_reject_ratio=Decimal(1), **said)


def assert_staging(conn: Connection, expected: model.Staging) -> None:
    """orders_stg, orders_rejected and the ledger equal the model."""
    columns = (*COLUMNS, "discount", "total_amount", "batch_id", "source_row")
    assert {tuple(row) for row in conn.execute(select(*(getattr(OrderLine, name) for name in columns)))} == {
        (*key, line.time, line.customer, line.product, line.category, line.price, line.quantity, line.status,
         line.discount, line.amount, batch_id, source_row)
        for key, (line, batch_id, source_row) in expected.lines.items()
    }  # fmt: skip
    rejected = conn.execute(select(OrderRejected.batch_id, OrderRejected.source_row, OrderRejected.reasons))
    assert {(b, r): set(reasons) for b, r, reasons in rejected} == expected.rejected
    fates = ("inserted", "updated", "unchanged", "superseded", "rejected")
    ledger = conn.execute(
        select(Batch.batch_id, *(getattr(Batch, fate) for fate in fates)).where(
            Batch.staged_at.is_not(None), Batch.unloaded_at.is_(None)
        )
    )
    assert {row[0]: dict(zip(fates, row[1:], strict=True)) for row in ledger} == expected.fates


environments = st.sampled_from([{}, {}, {}, *CHANGES])
deliveries = st.runner().flatmap(lambda machine: st.sampled_from(machine.drawn)).flatmap(exports)
picks = st.integers(0, 99)
load_days = st.sampled_from([None, None, date(2024, 4, 29), date(2024, 4, 30), date(2024, 5, 1)])


class Warehouse(RuleBasedStateMachine):
    """Deliveries, steps, environments, changes of rules, what is taken back and failures in any order."""

    engine: Engine
    directory: Path
    seen = 0
    drawn: tuple[str, ...]
    feeds: set[str]

    @initialize()
    def begin(self) -> None:
        self.conn = self.engine.connect()
        self.transaction = self.conn.begin()
        self.kept: dict[str, Any] = {"currency": "EUR"}  # the feeds need one
        minidw.set_rules({"CURRENCY": "EUR"}, self.conn, settings=saying({}))
        self.delivered: dict[int, model.Batch] = {}
        self.places: dict[int, int] = {}
        self.waiting: set[int] = set()
        self.load_days: dict[int, date] = {}
        self.staged, self.verified = model.Staging(), False
        self.built = model.marts(self.staged, Rules())

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.transaction.rollback()
            self.conn.close()

    @property
    def in_force(self) -> Rules:
        return Rules(**self.kept)

    def refused(
        self, said: dict[str, Any], call: Callable[..., Any], *arguments: Any, **options: Any
    ) -> bool:
        """Call with settings that say so much of the rules: refused where the warehouse keeps others."""
        if all(self.kept.get(name, value) == value for name, value in said.items()):
            call(*arguments, settings=saying(said), **options)
            return False
        with pytest.raises(SettingsError, match=r"in the settings, but .* in the warehouse"):
            call(*arguments, settings=saying(said), **options)
        return True

    def deliver(self, delivered: Export, said: dict[str, Any], *, in_place_of: int | None = None) -> int:
        """One batch more; with the first, the warehouse keeps the rules of its settings."""
        self.verified = False
        self.kept = vars(Rules()) | said | self.kept
        batch_id = len(self.places) + 1
        self.delivered[batch_id] = delivered.batch
        self.places[batch_id] = self.places.get(in_place_of or batch_id, batch_id)
        self.waiting.add(batch_id)
        type(self).seen += 1
        type(self).feeds.add(delivered.toml)
        return batch_id

    def stage_all(self) -> None:
        """The model stages what waits."""
        self.waiting.clear()
        self.stage_again()

    def stage_again(self) -> None:
        """The model stages what was staged, each batch in its place."""
        self.verified = False
        ids = sorted(self.delivered.keys() - self.waiting, key=self.places.__getitem__)
        in_order = {batch_id: self.delivered[batch_id] for batch_id in ids}
        self.staged = model.stage(in_order, self.in_force, self.load_days)

    def build(self) -> None:
        """The model builds what is staged."""
        self.verified = False
        self.built = model.marts(self.staged, self.in_force)

    def follow(self) -> None:
        """The model goes through all steps."""
        self.stage_all()
        self.build()

    def pick(self, number: int) -> int:
        """One of the batches that are there."""
        return sorted(self.delivered)[number % len(self.delivered)]

    @rule(several=st.lists(deliveries, min_size=1, max_size=4), said=environments, load_day=load_days)
    def load(self, several: list[Export], said: dict[str, Any], load_day: date | None) -> None:
        for delivered in several:
            self.load_one(delivered, said, load_day)

    def load_one(self, delivered: Export, said: dict[str, Any], load_day: date | None) -> None:
        path = delivered.write(self.directory / "feed.csv")
        if self.refused(said, minidw.load_raw, path, self.conn, feed=delivered.feed, force=True):
            return
        batch_id = self.deliver(delivered, said)
        if load_day:
            for table in (Batch, OrderDelivered):
                then = update(table).where(table.batch_id == batch_id).values(load_date=load_day)
                self.conn.execute(then)
            self.load_days[batch_id] = load_day

    @rule(step=st.sampled_from(["stage", "build", "build in full", "replay"]), said=environments)
    def one_step(self, step: str, said: dict[str, Any]) -> None:
        if "build" in step:
            if not self.refused(said, minidw.build_marts, self.conn, full="full" in step):
                self.build()
        elif not self.refused(said, minidw.build_staging, self.conn, replay=step == "replay"):
            self.stage_all()

    @rule(delivered=deliveries, said=environments)
    def run(self, delivered: Export, said: dict[str, Any]) -> None:
        path = delivered.write(self.directory / "feed.csv")
        if not self.refused(said, minidw.run, path, self.conn, feed=delivered.feed, force=True):
            self.deliver(delivered, said)
            self.follow()

    @rule(delivered=deliveries, said=environments)
    def run_and_accept_the_rules(self, delivered: Export, said: dict[str, Any]) -> None:
        path = delivered.write(self.directory / "feed.csv")
        minidw.run(path, self.conn, feed=delivered.feed, force=True, accept_rules=True, settings=saying(said))
        self.deliver(delivered, said)
        self.kept |= said
        self.follow()

    @rule(delivered=deliveries, said=environments)
    def run_that_crashes(self, delivered: Export, said: dict[str, Any]) -> None:
        path = delivered.write(self.directory / "feed.csv")
        with suppress(ZeroDivisionError), self.conn.begin_nested():
            minidw.run(
                path, self.conn, feed=delivered.feed, force=True, accept_rules=True, settings=saying(said)
            )
            raise ZeroDivisionError

    @precondition(lambda self: self.delivered)
    @rule(numbers=st.lists(picks, min_size=1, max_size=2), said=environments)
    def unload(self, numbers: list[int], said: dict[str, Any]) -> None:
        gone = {self.pick(number) for number in numbers}
        if not self.refused(said, minidw.unload, [*gone], self.conn):
            for batch_id in gone:
                del self.delivered[batch_id]
            self.waiting -= gone
            self.stage_again()
            self.build()

    @precondition(lambda self: self.delivered)
    @rule(number=picks, delivered=deliveries, said=environments)
    def replace(self, number: int, delivered: Export, said: dict[str, Any]) -> None:
        path, old = delivered.write(self.directory / "feed.csv"), self.pick(number)
        if not self.refused(said, minidw.run, path, self.conn, feed=delivered.feed, force=True, replace=old):
            self.deliver(delivered, said, in_place_of=old)
            del self.delivered[old]
            self.follow()

    @precondition(lambda self: self.delivered)
    @rule(number=picks, said=environments)
    def erase(self, number: int, said: dict[str, Any]) -> None:
        names = {row["customer_id"].strip() for batch in self.delivered.values() for row in batch.rows}
        if not (customers := sorted(names - {"guest"})):  # which names nobody
            return
        customer, results = customers[number % len(customers)], []

        def erase_one(**options: Any) -> None:
            results.append(minidw.erase(customer, self.conn, **options))

        if not self.refused(said, erase_one):
            alias = {"customer_id": results[0].erased[0].pseudonym}
            for batch in self.delivered.values():
                for row in batch.rows:
                    row.update(alias if row["customer_id"].strip() == customer else {})
            self.stage_again()
            self.build()

    @rule(
        change=st.sampled_from([*CHANGES, *({name: None} for name in SETTINGS if name != "currency")]),
        said=environments,
    )
    def change_a_rule(self, change: dict[str, Any], said: dict[str, Any]) -> None:
        changes = {SETTINGS[name].upper(): value for name, value in change.items()}
        minidw.set_rules(changes, self.conn, settings=saying(said))
        defaults = vars(Rules())
        self.kept |= {name: defaults[name] if value is None else value for name, value in change.items()}
        self.follow()

    @precondition(lambda self: not self.verified)
    @rule()
    def verify(self) -> None:
        """Whatever is loaded or staged and waits for the next step, nothing differs from what it follows."""
        self.verified = True
        assert minidw.verify(self.conn, settings=Settings()).differences == []

    @invariant()
    def every_table_equals_the_model(self) -> None:
        if not hasattr(self, "conn"):
            return
        assert_staging(self.conn, self.staged)
        for mart in all_marts():
            assert contents(self.conn, mart) == self.built[mart.__tablename__], mart.__tablename__


def explore(engine: Engine, directory: Path, batches: int, feeds: tuple[str, ...]) -> None:
    """Let hypothesis drive the warehouse through at least so many batches of these feeds."""
    given = {"engine": engine, "directory": directory, "drawn": feeds, "feeds": set()}
    machine = type("WarehouseUnderTest", (Warehouse,), given)
    some_steps = settings(
        max_examples=max(batches // 20, 3),
        stateful_step_count=25 if batches > 20 else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    while machine.seen < batches:  # type: ignore[attr-defined]
        run_state_machine_as_test(machine, settings=some_steps)
    assert len(machine.feeds) == len(feeds)  # type: ignore[attr-defined]


def test_any_sequence_of_steps_agrees_with_the_model(engine: Engine, tmp_path: Path) -> None:
    explore(engine, tmp_path, batches=15, feeds=("contract", "american"))  # each more makes it slower


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_long_sequences_of_steps_agree_with_the_model(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    explore(engine, tmp_path, request.config.getoption("--proof"), tuple(FEEDS))


@pytest.mark.parametrize("batches", [3, pytest.param(5, marks=pytest.mark.slow)])
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
                minidw.run(paths[number], conn, force=True, settings=saying({}))
                visit((*order, number))
                savepoint.rollback()

    visited: list[tuple[int, ...]] = []
    visit(())
    assert len([order for order in visited if len(order) == batches]) == factorial(batches)
