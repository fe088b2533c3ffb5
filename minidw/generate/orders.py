"""Fake orders → CSV: a feed to try the warehouse on, clean or with the faults of real ones.

Customers and products come from Faker and are the same every day; the rows come from the seed and the day.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate, chain, cycle, product
from pathlib import Path
from random import Random

from minidw.errors import SettingsError, printable

log = logging.getLogger(__name__)

FEED_DIRECTORY = Path("data/raw")
HEADER = "order_id,order_timestamp,customer_id,product_id,category,price,quantity,status"
COLUMNS = HEADER.split(",")
FIRST_DAY, LAST_DAY = date(2023, 1, 1), date(2025, 12, 31)
PRICE_RANGES = {  # whole units of the currency
    "beauty": (5, 90),
    "books": (5, 60),
    "electronics": (50, 1500),
    "fashion": (10, 200),
    "home": (15, 400),
    "sports": (10, 300),
    "toys": (5, 120),
}
STATUS_WEIGHTS = {"delivered": 75, "shipped": 15, "pending": 8, "cancelled": 2}
QUANTITY_WEIGHTS = {1: 50, 2: 22, 3: 12, 4: 7, 5: 4, 6: 2, 7: 2, 8: 1}
DISCOUNTS = (0, 0, 0, 5, 10)  # percent off a product's base price, each equally likely
_CUSTOMERS, _PRODUCTS = 5_000, 500
_POOL_SEED = 20_230_101
_BLOCK = 20_000  # rows held in memory at a time
Row = dict[str, str]
Spoil = Callable[[Row, Row], Row]  # (this row, an earlier valid row) → what is written instead of this row


def _put(**templates: str) -> Spoil:
    """A spoiler that rewrites some columns; ``{}`` stands for the value that was there."""
    return lambda row, _: row | {name: text.format(row[name]) for name, text in templates.items()}


# Faults of one row, by the reason it is rejected for; none breaks the file's structure. Values are written
# as they stand, so one that holds a comma brings its own quotes.
REJECTED: tuple[tuple[str, Spoil], ...] = (
    ("MISSING_KEY", _put(order_id="")),
    ("NOT_FINITE", _put(price="NaN")),
    ("UNKNOWN_STATUS", _put(status="returned")),
    ("BAD_TIMESTAMP", _put(order_timestamp="2024-02-30 10:00:00")),
    ("NOT_POSITIVE", _put(quantity="0")),
    ("BAD_NUMBER", _put(price="${}")),
    ("MISSING_KEY", _put(customer_id="")),
    ("TOO_MANY_DECIMALS", _put(price="12.34567")),
    ("BAD_TIMESTAMP", _put(order_timestamp="01/02/2024")),
    ("INVISIBLE_CHARACTER", _put(customer_id="{}\N{NO-BREAK SPACE}")),
    ("NOT_POSITIVE", _put(price="-{}")),
    ("REPEATED_HEADER", lambda _row, _earlier: {name: name for name in COLUMNS}),
    ("BAD_NUMBER", _put(price='"1,234.50"')),
    ("OUT_OF_RANGE", _put(quantity="2147483648")),
    ("MISSING_KEY", _put(product_id="  ")),
    ("NOT_FINITE", _put(price="-Infinity")),
    ("BAD_TIMESTAMP", _put(order_timestamp="now")),
    ("BAD_NUMBER", _put(price="1e3")),
    ("OUT_OF_RANGE_DATE", _put(order_timestamp="1999-12-31 23:59:59")),
    ("NOT_POSITIVE", _put(quantity="-1")),
    ("BAD_NUMBER", _put(quantity="{}.5")),
    ("NOT_POSITIVE", _put(price="0.00")),
)
# What is untidy but staged, or superseded. The first may not look at the earlier row: there is none yet.
ACCEPTED: tuple[tuple[str, Spoil], ...] = (
    ("blank category", _put(category="")),
    ("exact duplicate", lambda _, earlier: earlier),
    ("padded status", _put(status=" {} ")),
    ("correction", lambda _, earlier: earlier | {"quantity": str(int(earlier["quantity"]) % 8 + 1)}),
    ("upper-case status", lambda row, _: row | {"status": row["status"].upper()}),
    ("spaces around keys", _put(order_id=" {}", customer_id="{} ", product_id=" {} ")),
    ("offset", lambda row, _: row | {"order_timestamp": row["order_timestamp"][:10] + "T12:30:00+05:00"}),
)


def generate_orders(
    path: str | Path | None = None,
    *,
    rows: int = 10_000,
    day: date | None = None,
    seed: int | None = None,
    dirty: float = 0.0,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
    overwrite: bool = True,
) -> Path:
    """Write a CSV file of fake orders.

    Args:
        path: the file to write; ``data/raw/orders_YYYYMMDD.csv`` of the day by default
        rows: number of rows, 0 or more (10,000)
        day: the day in the order ids and in the file's name (today)
        seed: the same seed with the same other arguments gives the same bytes (another every time)
        dirty: share of rows that are bad, untidy or repeated, 0 to 1 inclusive (0); every other one of them
            is to be rejected
        first_day: day of the earliest orders (2023-01-01)
        last_day: day of the latest orders (2025-12-31); by default a load takes none beyond tomorrow
        overwrite: replace the file where it exists already (True)

    Returns:
        The path of the file.

    Raises:
        SettingsError: an argument is out of its range, the file cannot be written or is there already, or
            Faker is not installed

    Example:
        >>> path = minidw.generate_orders(rows=100, day=date(2025, 3, 1), seed=7, dirty=0.1)
        >>> print(path)
        data/raw/orders_20250301.csv
        >>> minidw.run(path).staged[0].rejected
        5
    """
    if rows < 0:
        raise SettingsError(f"rows must not be negative, but is {rows}")
    if not 0 <= dirty <= 1:
        raise SettingsError(f"dirty must lie between 0 and 1, but is {dirty}")
    if first_day > last_day:
        raise SettingsError(f"the first day of the orders, {first_day}, is after the last one, {last_day}")
    day = day or date.today()
    path = Path(path or FEED_DIRECTORY / f"orders_{_compact(day)}.csv")
    _refuse(path, overwrite=overwrite)
    seed = secrets.randbits(64) if seed is None else seed
    customers, offers = _pools()
    draw = Random(f"{seed} {day} rows")
    blocks = _blocks(customers, offers, rows, f"{_compact(day)}-", (first_day, last_day), draw)
    lines = chain.from_iterable(_spoiled(blocks, dirty, Random(f"{seed} {day} dirty")))
    write_beside(path, chain([HEADER + "\n"], lines), overwrite=overwrite)
    return path


def next_day(directory: Path, today: date) -> date:
    """The day to generate for: ``today``, or the day after the newest feed if that is not older."""
    days = [today]
    for path in directory.glob(f"orders_{'[0-9]' * 8}.csv"):
        with suppress(ValueError, OverflowError):  # eight digits that are no date, or the last there is
            days.append(date.fromisoformat(path.stem[-8:]) + timedelta(days=1))
    return max(days)


def _compact(day: date) -> str:
    return day.isoformat().replace("-", "")


def _pools() -> tuple[list[str], list[str]]:
    """The customers, and every ``product,category,price`` on offer, as they stand in the CSV."""
    try:
        from faker import Faker
    except ImportError:
        raise SettingsError("generating orders needs Faker: pip install 'minidw[all]'") from None
    fake = Faker()
    fake.seed_instance(_POOL_SEED)
    customers = [fake.unique.bothify("C#####") for _ in range(_CUSTOMERS)]
    offers = []
    for _ in range(_PRODUCTS):
        product_id = fake.unique.bothify("P####")
        category = fake.random_element(tuple(PRICE_RANGES))
        low, high = (100 * units for units in PRICE_RANGES[category])
        base = fake.random_int(low, high)
        for percent in DISCOUNTS:
            cents = max(low, base * (100 - percent) // 100)
            offers.append(f"{product_id},{category},{cents // 100}.{cents % 100:02}")
    return customers, offers


def _blocks(
    customers: list[str], offers: list[str], rows: int, prefix: str, days: tuple[date, date], rng: Random
) -> Iterator[list[str]]:
    """The clean lines. Ready-made pieces are drawn a column at a time, which is what makes this fast."""
    first, last = (day.toordinal() for day in days)

    @lru_cache(maxsize=100_000)
    def hour_text(hour: int) -> str:
        return f"{date.fromordinal(first + hour // 24)} {hour % 24:02}"

    seconds = [f"{minute:02}:{second:02}" for minute, second in product(range(60), repeat=2)]
    endings = [f"{quantity},{status}\n" for quantity, status in product(QUANTITY_WEIGHTS, STATUS_WEIGHTS)]
    weights = list(accumulate(a * b for a, b in product(QUANTITY_WEIGHTS.values(), STATUS_WEIGHTS.values())))
    for start in range(0, rows, _BLOCK):
        log.info("generate: %s of %s rows", f"{start:,}", f"{rows:,}")
        numbers = range(start + 1, min(start + _BLOCK, rows) + 1)
        size = len(numbers)
        columns = zip(
            numbers,
            map(hour_text, rng.choices(range(24 * (last - first + 1)), k=size)),
            rng.choices(seconds, k=size),
            rng.choices(customers, k=size),
            rng.choices(offers, k=size),
            rng.choices(endings, cum_weights=weights, k=size),
            strict=True,
        )
        yield [
            f"{prefix}{number:07},{hour}:{second},{customer},{offer},{ending}"
            for number, hour, second, customer, offer, ending in columns
        ]


def _spoiled(blocks: Iterable[list[str]], share: float, rng: Random) -> Iterator[list[str]]:
    """Spoil a share of the lines, accepted and rejected faults in turn, so that every kind comes early."""
    kinds = chain.from_iterable(zip(cycle(ACCEPTED), cycle(REJECTED), strict=False))
    earlier: Row = {}
    seen = 0
    for lines in blocks:
        # Rounding the running totals makes the count exact over the whole file.
        count = round(share * (seen + len(lines))) - round(share * seen)
        seen += len(lines)
        for position in sorted(rng.sample(range(len(lines)), count)):
            row = dict(zip(COLUMNS, lines[position].rstrip("\n").split(","), strict=True))
            kind = next(kinds)
            row = kind[1](row, earlier)
            lines[position] = ",".join(row.values()) + "\n"
            if kind in ACCEPTED:
                earlier = row
        yield lines


def _refuse(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that is taken, before anything is written."""
    try:
        if path.exists() and not path.is_file():  # as root, the rename would replace even /dev/null
            raise SettingsError(f"cannot write {printable(str(path))}: not a regular file")
        if path.exists() and not overwrite:
            raise SettingsError(
                f"{printable(str(path))} is there already; it is written over only where that is asked for"
            )
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError | ValueError) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return SettingsError(f"cannot write {printable(str(path))}: {reason}")


def write_beside(path: Path, texts: Iterable[str], *, overwrite: bool) -> None:
    """Write beside ``path`` and rename, so that nobody loads half a file."""
    _refuse(path, overwrite=overwrite)
    partial = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(texts)
        _refuse(path, overwrite=overwrite)  # it may have come in the meantime
        partial.replace(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # renamed away, or never made
            partial.unlink()
