"""Feeds as small tables, so that a test states its data where it is read."""

import csv
from pathlib import Path

from minidw.schema.vocabulary import REQUIRED_COLUMNS

DEFAULTS = {
    "order_id": "1",
    "order_timestamp": "2024-05-01 10:00:00",
    "customer_id": "c1",
    "product_id": "p1",
    "category": "books",
    "price": "10.00",
    "quantity": "1",
    "status": "delivered",
}


def write_feed(path: Path, rows: str) -> Path:
    """Write a CSV from a table such as::

        order_id | price
        1        | 9.50

    Columns that are left out have the defaults above; ``-`` is an empty field.
    """
    lines = [[cell.strip() for cell in line.split("|")] for line in rows.strip().splitlines()]
    names, *cells = lines
    header = [*REQUIRED_COLUMNS, *(name for name in names if name not in REQUIRED_COLUMNS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        for line in cells:
            given = {name: "" if cell == "-" else cell for name, cell in zip(names, line, strict=True)}
            writer.writerow(DEFAULTS | given)
    return path
