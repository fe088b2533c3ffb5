"""Each check finds what it is for, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

import minidw
from minidw.settings import Settings
from minidw.steps.check import checks, execute_checks

DAMAGE = {
    "raw_has_rows": "UPDATE raw.batches SET staged_at = NULL, built_at = NULL, rows_read = 0;"
    " DELETE FROM raw.orders_all",
    "raw_has_order_ids": "UPDATE raw.orders_all SET order_id = ' ' WHERE source_row = 1",
    "batches_add_up": "DELETE FROM raw.orders_all WHERE source_row = 1",
    "staging_covers_batches": "DELETE FROM staging.orders_rejected",
    "amounts_positive": "ALTER TABLE staging.orders_stg DROP CONSTRAINT ck_orders_stg_negative_if_returned;"
    " UPDATE staging.orders_stg SET quantity = -quantity, total_amount = -total_amount, status = 'cancelled'",
    "dates_in_range": "UPDATE staging.orders_stg SET order_timestamp = '2030-01-01' WHERE order_id = '1'",
    "totals_agree": "UPDATE staging.orders_totals SET quantity = quantity + 1",
    "marts_populated": "DELETE FROM mart.customer_segments",
    "segments_known": "UPDATE mart.customer_segments SET segment = 'Gold'",
    "revenue_agrees": "UPDATE mart.daily_revenue SET revenue = revenue + 0.0001",
}


@pytest.fixture
def loaded(conn: Connection, feed: Callable[..., Path]) -> Connection:
    """A warehouse of two order lines, a cancelled one and a reject."""
    path = feed(
        "order_id | price | status\n1 | 5 | shipped\n2 | 6 | shipped\n3 | 7 | cancelled\n4 | x | shipped"
    )
    minidw.run(path, conn, settings=Settings.from_env({"MAX_REJECT_RATIO": "0.5"}))
    return conn


def found(conn: Connection) -> set[str]:
    """The names of the checks that find something."""
    return {outcome.name for outcome in execute_checks(conn, Settings()) if outcome.offending}


def test_a_sound_warehouse_passes_every_check(loaded: Connection) -> None:
    assert found(loaded) == set()


def test_an_empty_warehouse_passes_every_check(conn: Connection) -> None:
    assert found(conn) == set()


def test_there_is_a_case_for_every_check() -> None:
    assert set(DAMAGE) == {check.name for check in checks(all_batches=True)}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_check_finds_its_damage(loaded: Connection, name: str) -> None:
    loaded.execute(text(DAMAGE[name]))
    assert name in found(loaded)


def test_a_check_gives_up_to_five_samples(loaded: Connection) -> None:
    loaded.execute(text("UPDATE mart.daily_revenue SET revenue = 1"))
    outcome = next(o for o in execute_checks(loaded, Settings()) if o.name == "revenue_agrees")
    assert (outcome.severity, outcome.failed, outcome.offending) == ("error", True, 1)
    assert outcome.samples == [
        {"total": "daily_revenue.revenue", "in_mart": "1.0000", "in_source": "11.0000"}
    ]


def test_check_stores_its_results_and_raises_nothing(loaded: Connection) -> None:
    loaded.execute(text("DELETE FROM mart.daily_revenue"))
    result = minidw.run_checks(loaded)
    assert {outcome.name for outcome in result.checked if outcome.failed} == {
        "marts_populated",
        "revenue_agrees",
    }
    stored = loaded.scalars(
        text(
            "SELECT name FROM raw.check_results JOIN raw.runs USING (run_id)"
            " WHERE command = 'check' AND offending > 0"
        )
    )
    assert set(stored) == {"marts_populated", "revenue_agrees"}
