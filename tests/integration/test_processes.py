"""The steps as commands in processes of their own, as a scheduler runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from minidw.settings import Settings
from tests.support.feeds import write_feed

FEEDS = (
    """
    order_id | customer_id | price | status
    1        | ada         | 5     | shipped
    2        | bob         | 7     | shipped
    3        | eve         | 1     | pending
    """,
    """
    order_id | customer_id | price | status
    2        | bob         | 8     | shipped
    4        | ada         | 9     | shipped
    """,
    """
    order_id | customer_id | price | status
    1        | bob         | 5     | shipped
    3        | eve         | 1     | cancelled
    4        | ada         | 9     | shipped
    """,
)
MARTS = ("daily_revenue", "customer_ltv", "product_revenue", "customer_segments")


def command(url: URL, *arguments: str) -> None:
    """A minidw command in a process of its own."""
    environment = os.environ | {"DATABASE_URL": url.render_as_string(hide_password=False)}
    subprocess.run(
        [sys.executable, "-m", "minidw", *arguments], env=environment, check=True, capture_output=True
    )


def contents(engine: Engine) -> list[list[tuple[object, ...]]]:
    """Every row of every mart."""
    with engine.connect() as conn:
        return [
            [tuple(row) for row in conn.execute(text(f"SELECT * FROM mart.{m} ORDER BY 1"))] for m in MARTS
        ]


@pytest.mark.slow
def test_steps_in_processes_interleaved_with_loads_equal_runs(
    database: URL, warehouse: Engine, conn: object, tmp_path: Path
) -> None:
    paths = [write_feed(tmp_path / f"{number}.csv", rows) for number, rows in enumerate(FEEDS)]
    first, second, third = map(str, paths)

    for arguments in (
        ["load", first], ["stage"], ["load", second], ["build"], ["load", third], ["stage"], ["build"],
    ):  # fmt: skip
        command(database, *arguments)
    by_steps = contents(warehouse)
    assert minidw.verify(warehouse).differences == []

    with warehouse.begin() as wiping:
        for table in reversed(minidw.Mart.metadata.sorted_tables):
            wiping.execute(text(f"DELETE FROM {table.fullname}"))
    for path in paths:
        minidw.run(path, warehouse, settings=Settings())
    assert contents(warehouse) == by_steps
