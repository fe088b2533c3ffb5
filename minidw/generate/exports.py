"""Fake exports: about a thousand orders as a known shop writes them, and the revenue that they come to.

The revenue is added up from the orders, never read from the text: it says what a load must come to.
"""

import csv
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from minidw.errors import SettingsError, printable
from minidw.generate.orders import FIRST_DAY, LAST_DAY, write_beside
from minidw.generate.shops import SHOPS, Line, Order

EXPORT_DIRECTORY = Path("data/exports")
_PRODUCTS, _CUSTOMERS = 60, 300
_CATEGORIES = ("Mugs", "Wear, warm", 'Posters "large"', "Bücher", "")
_LINES, _QUANTITIES = (1, 1, 1, 2, 2, 3, 5), (1, 1, 1, 2, 3, 12)


@dataclass(frozen=True)
class GeneratedExport:
    """An export that was generated.

    path: the file
    feed: the known feed that reads it
    orders: how many orders it has
    lines: how many of their lines count towards revenue
    revenue: what these come to, in ``currency``
    currency: what the amounts are in; None where the export does not say it

    Example:
        >>> export = minidw.generate_export("etsy", orders=100, seed=7)
        >>> print(export.path.name, export.lines, export.revenue)
        etsy.csv 206 92935.50
    """

    path: Path
    feed: str
    orders: int
    lines: int
    revenue: Decimal
    currency: str | None


def generate_export(
    feed: str,
    path: str | Path | None = None,
    *,
    orders: int = 1_000,
    seed: int | None = None,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
    overwrite: bool = True,
) -> GeneratedExport:
    """Write fake orders as the export of a known shop, such as Shopify's, and say what revenue they come to.

    Args:
        feed: a known feed: shopify, woocommerce, amazon, etsy, square, magento, online-retail or superstore
        path: the file to write; ``data/exports/FEED.csv`` by default, ``.txt`` of Amazon
        orders: number of orders, 0 or more, each of one line to five (1,000)
        seed: the same seed with the same other arguments gives the same bytes (another every time)
        first_day, last_day: days of the orders, in UTC (2023-01-01 to 2025-12-31)
        overwrite: replace the file where it exists already (True)

    Returns:
        The file, and what a warehouse must hold of it.

    Raises:
        SettingsError: an argument is out of its range, or the file cannot be written or is there already

    Example:
        >>> export = minidw.generate_export("magento", orders=100, seed=7)
        >>> result = minidw.run(export.path, feed=minidw.named_feed("magento"))
        >>> result.staged[0].rejected
        0
    """
    if feed not in SHOPS:
        raise SettingsError(f"there is no generator of {printable(feed)!r}; there are {', '.join(SHOPS)}")
    if orders < 0:
        raise SettingsError(f"orders must not be negative, but is {orders}")
    if first_day > last_day:
        raise SettingsError(f"the first day of the orders, {first_day}, is after the last one, {last_day}")
    shop = SHOPS[feed]
    suffix = "txt" if shop.delimiter == "\t" else "csv"
    path = Path(path or EXPORT_DIRECTORY / f"{feed}.{suffix}")
    seed = secrets.randbits(64) if seed is None else seed
    rng = Random(f"{seed} {feed}")
    out = io.StringIO()
    writer = csv.writer(out, delimiter=shop.delimiter, quoting=shop.quoting, lineterminator=shop.line_end)
    writer.writerow(shop.header)
    amounts: list[Decimal] = []
    for order in _orders(orders, (first_day, last_day), rng):
        for row, amount in shop.write(order, rng):
            writer.writerow([row.get(name, "") for name in shop.header])
            amounts += [] if amount is None else [amount]
    write_beside(path, [out.getvalue()], overwrite=overwrite)
    return GeneratedExport(path, feed, orders, len(amounts), sum(amounts, Decimal(0)), shop.currency)


def _orders(number: int, days: tuple[date, date], rng: Random) -> Iterator[Order]:
    """Orders of a few customers and products, in the order of their times."""
    products = [
        (f"SKU-{n:03}", f"Product {n}", rng.choice(_CATEGORIES), Decimal(rng.randint(50, 30_000)) / 100)
        for n in range(_PRODUCTS)
    ]
    start = datetime.combine(days[0], datetime.min.time(), UTC)
    seconds = ((days[1] - days[0]).days + 1) * 86_400 - 1
    for n, second in enumerate(sorted(rng.randrange(seconds) for _ in range(number)), 1):
        lines = [
            Line(*product, rng.choice(_QUANTITIES), rng.choice((0, 0, 0, 10, 25)))
            for product in rng.sample(products, rng.choice(_LINES))
        ]
        customer = None if rng.random() < 0.1 else f"c{rng.randrange(_CUSTOMERS)}@example.org"
        yield Order(n, start + timedelta(seconds=second), customer, tuple(lines))
