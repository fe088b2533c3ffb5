"""What minidw gives to tests of a user's own: feeds from small tables, and dirty batches."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, find, given, settings

from minidw.feed.survey import survey
from minidw.testing import minidw_batches, write_feed

Batch = list[dict[str, str]]


@settings(max_examples=20)
@given(minidw_batches(at_least=2, at_most=3))
def test_a_batch_is_a_feed_of_so_many_rows(batch: Batch) -> None:
    assert 2 <= len(batch) <= 3
    assert survey(write_feed(Path("batch.csv"), batch)).rows == len(batch)


@pytest.mark.parametrize(
    "dirt",
    [
        lambda batch: any(not row["order_id"] for row in batch),
        lambda batch: any(row["price"] == "NaN" for row in batch),
        lambda batch: any(row["status"] == "paid" for row in batch),
        lambda batch: any(row["order_timestamp"].startswith("2024-02-30") for row in batch),
        lambda batch: len(batch) > len({row["order_id"].strip() for row in batch}),
    ],
    ids=["no key", "no number", "no status", "no day", "an order twice"],
)
def test_batches_are_dirty_in_many_ways(dirt: Callable[[Batch], bool]) -> None:
    some = settings(max_examples=500, phases=[Phase.generate])
    find(minidw_batches(), dirt, settings=some)  # it raises where there is none


def test_a_feed_is_what_its_table_says() -> None:
    path = write_feed(Path("two.csv"), "order_id | note | category\n1 | x y | -")
    assert path.read_text() == (
        "order_id,order_timestamp,customer_id,product_id,category,price,quantity,status,note\n"
        "1,2024-05-01 10:00:00,c1,p1,,10.00,1,delivered,x y\n"
    )


PROBE = """
import sys

def test_nothing_is_imported_for_a_test_that_asks_for_nothing():
    assert not {"sqlalchemy", "minidw.testing", "hypothesis", "psycopg2"} & set(sys.modules)
"""


def test_the_plugin_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    # Other plugins that are installed here would import what they like.
    plugins = ["-p", "minidw.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, tmp_path],
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
