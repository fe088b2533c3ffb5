"""Feeds for the benchmarks: random orders, with dates all over the history or of its last day."""

import random
from pathlib import Path

HEADER = "order_id,order_timestamp,customer_id,product_id,category,price,quantity,status\n"
CATEGORIES = ("books", "electronics", "fashion", "home", "toys")
STATUSES, STATUS_WEIGHTS = ("delivered", "shipped", "pending", "cancelled"), (75, 15, 8, 2)
CUSTOMERS, PRODUCTS = 100_000, 2_000
BLOCK = 50_000


def write_feed(path: Path, rows: int, *, first_id: int, recent: bool = False) -> Path:
    """Orders ``first_id`` and following; ``recent``: all of the last day of 2025, in the order of time."""
    draw = random.Random(first_id)
    with path.open("w") as file:
        file.write(HEADER)
        for start in range(0, rows, BLOCK):
            size = min(BLOCK, rows - start)
            if recent:
                times = [_time(2025, 364 * 86400 + n * 86400 // rows) for n in range(start, start + size)]
            else:
                years = draw.choices((2023, 2024, 2025), k=size)
                times = list(map(_time, years, draw.choices(range(365 * 86400), k=size)))
            columns = zip(
                range(first_id + start, first_id + start + size),
                times,
                draw.choices(range(CUSTOMERS), k=size),
                draw.choices(range(PRODUCTS), k=size),
                draw.choices(range(100, 100_000), k=size),
                draw.choices(range(1, 9), k=size),
                draw.choices(STATUSES, STATUS_WEIGHTS, k=size),
                strict=True,
            )
            file.writelines(
                f"{order},{at},C{customer},P{product},{CATEGORIES[product % 5]},"
                f"{cents / 100:.2f},{units},{status}\n"
                for order, at, customer, product, cents, units, status in columns
            )
    return path


_MONTHS = [(month, day) for month, days in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)
           for day in range(1, days + 1)]  # fmt: skip


def _time(year: int, second: int) -> str:
    day, rest = divmod(second, 86400)
    month, date = _MONTHS[day]
    return f"{year}-{month:02}-{date:02} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
