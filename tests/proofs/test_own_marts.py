"""Whatever mart is declared: its full build, its incremental build, verify, preview and diff agree."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

import minidw
from minidw import Mart, Settings, all_marts
from minidw.proofs.changes import MartChange
from minidw.transforms.values import keys, measures
from tests.support import own_marts, random_marts
from tests.support.deliveries import write

# Few values, so that batches meet: orders change hands, keys come and go, a total loses its last value.
rows = st.fixed_dictionaries(
    {
        "order_id": st.sampled_from("12345"),
        "line_number": st.sampled_from("112"),
        "order_timestamp": st.sampled_from(
            ["2024-05-01 10:00:00", "2024-05-02T23:30:00-05:00", "2024-06-01"]
        ),
        "customer_id": st.sampled_from(["ada", "bob"]),
        "product_id": st.sampled_from(["p1", "p2"]),
        "category": st.sampled_from(["books", "toys"]),
        "price": st.sampled_from(["10", "0.0001", "8.39", "700", "9999.9999"]),
        "quantity": st.sampled_from("1123"),
        "status": st.sampled_from(["delivered", "shipped", "shipped", "pending", "cancelled"]),
    }
)
deliveries = st.lists(rows, min_size=1, max_size=6)
IN_FORCE = Settings(max_reject_ratio=1)  # type: ignore[arg-type]


def contents(conn: Connection) -> dict[type[Mart], dict[Any, Any]]:
    """Each mart: by key, the values."""
    found = {}
    for mart in all_marts():
        key = keys(mart)
        table = conn.execute(select(*mart.__table__.c)).mappings()
        found[mart] = {
            tuple(row[name] for name in key): {name: str(row[name]) for name in row if name not in key}
            for row in table
        }
    return found


def foreseen(before: dict[Any, Any], preview: MartChange) -> dict[Any, Any]:
    """What a mart will hold, by its preview."""
    after = {key: dict(values) for key, values in before.items()}
    for change in preview.rows:
        key = tuple(change.key.values())
        if change.after is None:
            del after[key]
        else:
            after[key] = {name: str(value) for name, value in change.after.items()}
    return after


def without_ratios(mart: type[Mart], held: dict[Any, Any]) -> dict[Any, Any]:
    """The columns that minidw computes; the database divides."""
    return {key: {n: v for n, v in values.items() if n in measures(mart)} for key, values in held.items()}


def prove(engine: Engine, directory: Path, specs: list[random_marts.Spec], batches: list[Any]) -> None:
    """Declare the marts in a warehouse of their own, deliver the batches, and compare after each."""
    with own_marts.for_a_while(), engine.connect() as conn, conn.begin() as transaction:
        for spec in specs:
            random_marts.declare(spec)
        own_marts.create_tables(conn)
        for number, batch in enumerate(batches):
            path = write(directory / "feed.csv", batch)
            before = contents(conn)
            preview = minidw.preview(path, conn, force=True, settings=IN_FORCE)
            assert contents(conn) == before
            if number == 1:
                # Two stages in one build: lines that came and went without any mart having seen them.
                minidw.load_raw(path, conn, force=True, settings=IN_FORCE)
                minidw.build_staging(conn, settings=IN_FORCE)
                assert minidw.verify(conn, settings=IN_FORCE).differences == []
                minidw.build_marts(conn, settings=IN_FORCE)
            else:
                minidw.run(path, conn, force=True, settings=IN_FORCE)
            held = contents(conn)
            assert minidw.verify(conn, settings=IN_FORCE).differences == []
            for mart, expected in zip(all_marts(), preview.marts, strict=True):
                due = without_ratios(mart, foreseen(before[mart], expected))
                assert without_ratios(mart, held[mart]) == due, mart
        changes = minidw.diff(len(batches) - 1, len(batches), conn, settings=IN_FORCE).marts
        for mart, change in zip(all_marts(), changes, strict=True):
            due = without_ratios(mart, foreseen(before[mart], change))
            assert without_ratios(mart, held[mart]) == due, mart
        incremental = contents(conn)
        minidw.build_marts(conn, full=True, settings=IN_FORCE)
        assert contents(conn) == incremental
        transaction.rollback()


def explore(engine: Engine, directory: Path, classes: int) -> int:
    """Draw at least so many classes, several to a warehouse; how many it were."""
    drawn = 0

    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        # Each example takes seconds: the mart at fault is named at once, not made smaller for minutes.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(random_marts.specs, min_size=8, max_size=8), st.lists(deliveries, min_size=3, max_size=5))
    def draw(specs: list[random_marts.Spec], batches: list[Any]) -> None:
        nonlocal drawn
        if drawn < classes:
            prove(engine, directory, specs, batches)
            drawn += sum(1 + len(spec.derived) for spec in specs)

    while drawn < classes:
        draw()
    return drawn


def test_some_marts_drawn_at_random_agree(engine: Engine, tmp_path: Path) -> None:
    # The first of each draw are the simplest.
    assert explore(engine, tmp_path, classes=8) >= 8


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_marts_drawn_at_random_agree(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    classes = request.config.getoption("--proof-marts")
    assert explore(engine, tmp_path, classes=classes) >= classes
