"""Random deliveries, and what the marts hold of them."""

import csv
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Connection, select

from minidw.schema import Mart
from minidw.transforms.values import measures
from tests.support.model import Row

COLUMNS = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
           "quantity", "status")  # fmt: skip

rows = st.fixed_dictionaries(
    {
        "order_id": st.sampled_from(["1", "2", "3", " 3", "4", "5", ""]),
        "line_number": st.sampled_from(["1", "1", "1", "2", "0"]),
        "order_timestamp": st.sampled_from(
            ["2024-05-01 10:00:00", "2024-05-01T23:30:00-05:00", "2024-06-01", "2023-01-01",
             "2025-12-31 23:59:59", "1999-12-31 23:00:00", "2999-01-01", "2024-02-30",
             "2024-05-01 10:00:00 UTC", "2024-05-01 05:00:00 -0500"]
        ),
        "customer_id": st.sampled_from(["ada", "bob", "eve ", "ada"]),
        "product_id": st.sampled_from(["p1", "p2"]),
        "category": st.sampled_from(["books", " Toys", ""]),
        "price": st.sampled_from(["10", "10.00", "10.000000", "1.00001", "0.0001",
                                   "700", "3000.5", "9999.9999", "x", "-1", "NaN"]),
        "quantity": st.sampled_from(["1", "1.0", "2", "3", "0", "1.5"]),
        "status": st.sampled_from(["delivered", "shipped", "pending", "cancelled", "Canceled", "paid"]),
    }
)  # fmt: skip

batches = st.lists(rows, min_size=1, max_size=8)


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
