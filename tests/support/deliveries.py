"""Random deliveries, and what the marts hold of them."""

import csv
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from minidw.schema import Mart
from minidw.testing import minidw_batches
from minidw.transforms.values import measures
from tests.support.model import Row

COLUMNS = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
           "quantity", "status")  # fmt: skip

batches = minidw_batches()


def write(path: Path, delivered: list[Row]) -> Path:
    """A CSV of the rows; the name makes the bytes differ in no way, so repeats are forced."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(delivered)
    return path


def contents(conn: Connection, mart: type[Mart]) -> set[tuple[Any, ...]]:
    """The computed columns of every row of a mart."""
    return {tuple(row) for row in conn.execute(select(*(getattr(mart, name) for name in measures(mart))))}
