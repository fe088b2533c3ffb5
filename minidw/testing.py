"""For tests of one's own: a warehouse that is thrown away, feeds from small tables, proof of the marts."""

import csv
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import URL, Engine, text

from minidw import embedded
from minidw.database.engine import Bind, create_engine
from minidw.database.migrate import upgrade
from minidw.database.own_migrations import migrate_own
from minidw.proofs.verify import verify
from minidw.schema.vocabulary import REQUIRED_COLUMNS
from minidw.settings import Settings

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

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

# A cluster of tests need not survive the machine.
THROW_AWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
PLENTY = 4 * 2**30


def write_feed(path: Path, rows: str | Sequence[Mapping[str, str]]) -> Path:
    """Write a CSV from a small table of text, or from rows that map columns to texts.

    Columns that are left out are those of an order line for one book; ``-`` in a table is an empty field.

    Example:
        >>> path = write_feed(Path("two.csv"), '''
        ... order_id | price | category
        ... 7        | 9.50  | toys
        ... 8        | 20    | -
        ... ''')
        >>> minidw.preview(path).result.staged[0].inserted
        2
    """
    if isinstance(rows, str):
        names, *cells = ([cell.strip() for cell in line.split("|")] for line in rows.strip().splitlines())
        given = [
            {name: "" if cell == "-" else cell for name, cell in zip(names, line, strict=True)}
            for line in cells
        ]
    else:
        given = [dict(row) for row in rows]
        names = list(dict.fromkeys(name for row in given for name in row))
    header = [*REQUIRED_COLUMNS, *(name for name in names if name not in REQUIRED_COLUMNS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(DEFAULTS | row for row in given)
    return path


def assert_exact(bind: Bind = None, *, settings: Settings | None = None) -> None:
    """Fail where any table differs from what it follows from, showing the first rows that do.

    Example:
        >>> assert_exact()
    """
    __tracebackhide__ = True
    found = verify(bind, settings=settings).differences
    rows = "\n".join(f"{one.table}: {one.side} {one.row}" for one in found)
    if found:
        raise AssertionError(f"tables are not what they follow from:\n{rows}")


def minidw_batches(*, at_least: int = 1, at_most: int = 8) -> "SearchStrategy[list[dict[str, str]]]":
    """For hypothesis: batches of so many rows, clean and dirty, of few orders, so that they meet.

    A batch is for ``write_feed``, or ``minidw_feed``. Needs hypothesis.

    Example:
        >>> from hypothesis import Phase, find, settings
        >>> batch = find(minidw_batches(at_least=2), bool, settings=settings(phases=[Phase.generate]))
        >>> 2 <= len(batch) <= 8
        True
    """
    from hypothesis import strategies as st

    texts = {
        "order_id": ["1", "2", "3", " 3", "4", "5", ""],
        "line_number": ["1", "1", "1", "2", "0"],
        "order_timestamp": [
            *("2024-05-01 10:00:00", "2024-05-01T23:30:00-05:00", "2024-06-01", "2023-01-01"),
            *("2025-12-31 23:59:59", "1999-12-31 23:00:00", "2999-01-01", "2024-02-30"),
            *("2024-05-01 10:00:00 UTC", "2024-05-01 05:00:00 -0500"),
        ],
        "customer_id": ["ada", "bob", "eve ", "ada"],
        "product_id": ["p1", "p2"],
        "category": ["books", " Toys", ""],
        "price": [
            *("10", "10.00", "10.000000", "1.00001", "0.0001", "700", "3000.5", "9999.9999"),
            *("x", "-1", "NaN"),
        ],
        "quantity": ["1", "1.0", "2", "3", "0", "1.5"],
        "status": ["delivered", "shipped", "pending", "cancelled", "Canceled", "paid"],
    }
    rows = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in texts.items()})
    return st.lists(rows, min_size=at_least, max_size=at_most)


@contextmanager
def temporary_warehouse(settings: Settings | None = None) -> Iterator[Engine]:
    """An engine on a migrated warehouse that is thrown away at the end, with the project's own tables.

    A database of its own on the server of the settings, which must allow to create one; without a server, an
    embedded one in a directory of its own. What is in the user's own warehouse is neither seen nor touched.

    Example:
        >>> with temporary_warehouse() as engine:
        ...     minidw.verify(engine).differences
        []
    """
    settings = settings or Settings.from_env()
    if settings.url is None:
        with temporary_server() as url, _warehouse(url) as engine:
            yield engine
    else:
        with (
            temporary_database(settings.url, f"minidw_test_{uuid4().hex[:12]}") as url,
            _warehouse(url) as engine,
        ):
            yield engine


@contextmanager
def _warehouse(url: URL) -> Iterator[Engine]:
    engine = create_engine(Settings(url=url))
    try:
        upgrade(engine)
        migrate_own(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def temporary_server(binaries: Path | None = None) -> Iterator[URL]:
    """The URL of an embedded PostgreSQL that ends with all it holds; ``binaries``: of another PostgreSQL."""
    with reachable_directory() as directory:
        server = embedded.start(directory / "home", options=THROW_AWAY, binaries=binaries)
        try:
            yield server.url
        finally:
            server.close()
            embedded.stop(directory / "home")


@contextmanager
def temporary_database(server: URL, name: str, template: str = "template0") -> Iterator[URL]:
    """A database that is dropped at the end, a copy of the template."""
    engine = create_engine(Settings(url=server)).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as conn:
            conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'"))
        try:
            yield server.set(database=name)
        finally:
            with engine.connect() as conn:
                conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """A directory that every account can reach, unlike pytest's own: root does not run the server itself."""
    directory = Path(tempfile.mkdtemp(prefix="minidw-test-", dir=_place()))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _place() -> str | None:
    """In memory where there is plenty: a copy of a database costs a fifth there of what it does on a disk."""
    if os.name != "posix":
        return None
    memory = "/dev/shm"  # noqa: S108
    has_plenty = os.path.isdir(memory) and shutil.disk_usage(memory).free > PLENTY  # noqa: PTH112
    # Not pytest's own: the socket of a server lies below, whose path may not be long.
    return memory if has_plenty else "/tmp"  # noqa: S108


__all__ = [
    "assert_exact",
    "minidw_batches",
    "temporary_database",
    "temporary_server",
    "temporary_warehouse",
    "write_feed",
]
