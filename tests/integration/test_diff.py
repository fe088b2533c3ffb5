"""What changed in the marts between two batches, by what was delivered."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import MartChange, Settings, SettingsError
from minidw.schema import all_marts
from tests.support.deliveries import batches, contents, write
from tests.support.feeds import write_feed
from tests.support.servers import filled_engine
from tests.support.terminal import Outcome

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=1)  # type: ignore[arg-type]


def revenue(change: MartChange) -> list[tuple[Any, ...]]:
    """Of each day that changed: the day, the revenue before and after."""
    return [
        (
            row.key["order_date"].day,
            row.before and int(row.before["revenue"]),
            row.after and int(row.after["revenue"]),
        )
        for row in sorted(change.rows, key=lambda row: row.key["order_date"])
    ]


def applied(held: set[tuple[Any, ...]], change: MartChange) -> set[tuple[Any, ...]]:
    """The rows of a mart after a change."""
    lost = {(*row.key.values(), *row.before.values()) for row in change.rows if row.before}
    gained = {(*row.key.values(), *row.after.values()) for row in change.rows if row.after}
    assert lost <= held
    return held - lost | gained


@pytest.fixture(scope="module")
def three_batches(server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Three batches: the second corrects and adds, the third moves an order to another day."""
    directory = tmp_path_factory.mktemp("three")
    rows = [
        "1 | 2024-05-01 | 10\n2 | 2024-05-02 | 20",
        "1 | 2024-05-01 | 11\n3 | 2024-05-03 | 30",
        "2 | 2024-05-04 | 20",
    ]

    def fill(own: Engine) -> None:
        for number, few in enumerate(rows):
            page = f"order_id | order_timestamp | price\n{few}"
            minidw.run(write_feed(directory / f"{number}.csv", page), own)

    with filled_engine(server, engine, "minidw_three", fill) as own:
        yield own


@pytest.fixture
def three(three_batches: Engine) -> Iterator[Connection]:
    """The same in a transaction that is rolled back."""
    with three_batches.connect() as conn, conn.begin() as transaction:
        yield conn
        transaction.rollback()


@pytest.mark.parametrize(
    ("first", "last", "changed"),
    [
        (1, 2, [(1, 10, 11), (3, None, 30)]),
        (2, 3, [(2, 20, None), (4, None, 20)]),
        (1, 3, [(1, 10, 11), (2, 20, None), (3, None, 30), (4, None, 20)]),
        (0, 1, [(1, None, 10), (2, None, 20)]),
    ],
)
def test_the_rows_that_changed_between_two_batches(
    three: Connection, first: int, last: int, changed: list[tuple[Any, ...]]
) -> None:
    found = minidw.diff(first, last, three)
    assert revenue(found.marts[0]) == changed
    assert (found.batches, found.unknown) == ([*range(first + 1, last + 1)], 0)


def test_a_batch_that_was_taken_back_counts_in_neither(three: Connection, feed: WriteFeed) -> None:
    minidw.unload(2, three)
    assert minidw.diff(1, 2, three).marts[0].rows == []
    # One that takes the place of another counts from its own number on, and what came later still holds
    page = "order_id | order_timestamp | price\n"
    minidw.run(feed(f"{page}1 | 2024-05-01 | 12\n2 | 2024-05-02 | 25"), three, replace=1)
    assert revenue(minidw.diff(3, 4, three).marts[0]) == [(1, None, 12)]
    assert revenue(minidw.diff(0, 3, three).marts[0]) == [(4, None, 20)]


def test_what_was_before_a_correction_of_what_was_pruned_is_not_known(three: Connection) -> None:
    three.execute(text("UPDATE raw.batches SET load_date = '2020-01-01' WHERE batch_id = 1"))
    minidw.prune(date(2020, 1, 2), three)
    found = minidw.diff(1, 2, three)
    assert (revenue(found.marts[0]), found.unknown) == ([(1, None, 11), (3, None, 30)], 2)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [(2, 2, "2..2: name the earlier"), (3, 1, "3..1"), (1, 9, "no batch 9"), (8, 9, "no batch 8")],
)
def test_what_is_no_pair_of_batches(three: Connection, first: int, last: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        minidw.diff(first, last, three)


def test_any_two_states_of_random_deliveries(engine: Engine, tmp_path: Path) -> None:
    @settings(max_examples=4, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(batches, min_size=2, max_size=4))
    def compare(delivered: list[Any]) -> None:
        with engine.connect() as conn, conn.begin() as transaction:
            states = [{mart: contents(conn, mart) for mart in all_marts()}]
            for batch in delivered:
                minidw.run(write(tmp_path / "feed.csv", batch), conn, force=True, settings=LENIENT)
                states.append({mart: contents(conn, mart) for mart in all_marts()})
            for first, last in combinations(range(len(states)), 2):
                changes = minidw.diff(first, last, conn).marts
                for mart, change in zip(all_marts(), changes, strict=True):
                    assert applied(states[first][mart], change) == states[last][mart], (first, last, mart)
            transaction.rollback()

    compare()


def test_the_command(cli: Callable[..., Outcome], feed: WriteFeed) -> None:
    for price in (10, 11):
        cli("run", str(feed(f"order_id | price\n1 | {price}")))
    assert "10.00 → 11.00" in cli("diff", "1..2").out
    assert json.loads(cli("diff", "1..2", "--json").out)["marts"][0]["changed"] == 1
    assert "'1-2' is not two batches" in cli("diff", "1-2").err
