"""staging → mart: each mart by its changes, or in full where that is due."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Executable, delete, func, select, table, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from minidw.database.connection import is_lost, one_line
from minidw.errors import DatabaseError, SettingsError
from minidw.schema.ledger import Batch, MartBuild
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.schema.staging import OrderChange, OrderTotal
from minidw.schema.vocabulary import PUBLISHED
from minidw.settings import Settings
from minidw.transforms.constructs import analyze
from minidw.transforms.incremental import incremental_build
from minidw.transforms.marts import fingerprint, full_build
from minidw.transforms.values import cannot_be_taken_back

log = logging.getLogger(__name__)

# Measured on 400,000 order lines of 100,000 customers: from so many changes per order line on, building a
# mart in full is faster. Where a key lost a line, its smallest and largest are looked up again: far sooner.
FULL_FROM = 0.75
FULL_FROM_WITH_EXTREMES = 0.2
# Below this both take a moment.
FEW_CHANGES = 10_000


@dataclass(frozen=True)
class Built:
    """How a mart was brought up to date.

    mart: name of its table
    method: full, incremental or none
    reason: why that method
    rows: the rows that the mart has now
    seconds: time it took, seconds

    Example:
        >>> built = minidw.run("corrections.csv").built[0]
        >>> built.method, built.reason, built.rows
        ('incremental', '3 changes to 5 order lines', 3)
    """

    mart: str
    method: str
    reason: str
    rows: int
    seconds: float


def build(conn: Connection, settings: Settings, *, full: bool = False) -> list[Built]:
    """Bring every mart up to date with staging and empty the queue of changes."""
    known = {
        mart: (definition, reason)
        for mart, definition, reason in conn.execute(
            select(MartBuild.mart, MartBuild.fingerprint, MartBuild.reason)
        )
    }
    changes = conn.scalar(select(func.count()).select_from(OrderChange)) or 0
    lines = int(conn.scalar(select(func.sum(OrderTotal.order_lines))) or 0)
    elsewhere = _published(conn, lines, full=full)
    if changes:
        # By them the planner knows how many keys of a mart the changes touch.
        conn.execute(analyze(OrderChange.__table__))
    built: dict[type[Mart], Built] = {}
    for mart in all_marts():
        start = time.perf_counter()
        definition = fingerprint(mart, settings.rules)
        source = built.get(mart.source) if issubclass(mart.source, Mart) else None
        if full:
            method, reason = "full", "asked for"
        elif elsewhere.get(mart.__tablename__):
            method, reason = "none", elsewhere[mart.__tablename__]
        elif mart.__tablename__ not in known:
            method, reason = "full", "never built"
        elif known[mart.__tablename__][0] is None:
            method, reason = "full", known[mart.__tablename__][1]
        elif known[mart.__tablename__][0] != definition:
            method, reason = "full", "its definition or rules changed"
        elif source is not None and source.method == "full":
            method, reason = "full", f"{source.mart} was built in full"
        else:
            method, reason = _by_size(mart, changes, lines)
        if method != "none":
            log.info("build mart.%s: %s", mart.__tablename__, method)
            _execute(conn, mart, full_build(mart) if method == "full" else incremental_build(mart), settings)
            note_build(conn, mart, definition, method, reason)
        rows = conn.scalar(select(func.count()).select_from(mart)) or 0
        seconds = round(time.perf_counter() - start, 3)
        built[mart] = Built(mart.__tablename__, method, reason, rows, seconds)
    left = (
        _leave_behind(conn, known.keys() - {mart.__tablename__ for mart in built}) if changes or full else []
    )
    conn.execute(delete(OrderChange))
    unbuilt = update(Batch).where(Batch.staged_at.is_not(None), Batch.built_at.is_(None))
    conn.execute(unbuilt.values(built_at=func.clock_timestamp()))
    return [*built.values(), *left]


def _published(conn: Connection, lines: int, *, full: bool) -> dict[str, str]:
    """The marts that were published here, and from where; SettingsError where there are lines to build."""
    there = select(MartBuild.mart, MartBuild.reason).where(MartBuild.method == PUBLISHED)
    found: dict[str, str] = dict(conn.execute(there).all())
    if found and lines and not full:
        raise SettingsError(
            f"the marts here are published, from {next(iter(found.values()))}: load files there; to build"
            " them from this warehouse instead, minidw build --full before the first file; nothing was stored"
        )
    return found


def _leave_behind(conn: Connection, marts: Iterable[str]) -> list[Built]:
    """Marts that are built elsewhere, and that this process does not know: the changes pass them by.

    Where they are declared, the next build makes them in full.
    """
    reason = "a build passed it by: it was not declared there"
    left = []
    for mart in sorted(marts):
        if conn.scalar(select(func.to_regclass(f"mart.{mart}"))) is None:
            conn.execute(delete(MartBuild).where(MartBuild.mart == mart))
            continue
        values = {"fingerprint": None, "reason": reason}
        conn.execute(update(MartBuild).where(MartBuild.mart == mart).values(values))
        rows = conn.scalar(select(func.count()).select_from(table(mart, schema="mart"))) or 0
        left.append(Built(mart, "none", "it is not declared here: is MINIDW_MARTS set?", rows, 0.0))
    return left


def _by_size(mart: type[Mart], changes: int, lines: int) -> tuple[str, str]:
    """The method that is faster for so many changes, and why."""
    if not changes:
        return "none", "no changes are waiting"
    limit = FULL_FROM_WITH_EXTREMES if cannot_be_taken_back(mart) else FULL_FROM
    size = f"{changes:,} change{'s' * (changes != 1)} to {lines:,} order line{'s' * (lines != 1)}"
    if changes >= FEW_CHANGES and changes > lines * limit:
        return "full", f"{size}, over {limit} of them"
    return "incremental", size


def _execute(
    conn: Connection, mart: type[Mart], statements: Sequence[Executable], settings: Settings
) -> None:
    """Execute the statements of a mart; an error says which mart it was."""
    try:
        for statement in statements:
            conn.execute(statement, settings.rules)
    except DBAPIError as error:
        if is_lost(error):
            raise
        raise DatabaseError(f"mart.{mart.__tablename__}: {one_line(error, conn)}") from error


def note_build(conn: Connection, mart: type[Mart], fingerprint: str, method: str, reason: str) -> None:
    """Note how a mart was built last."""
    values = {
        "fingerprint": fingerprint,
        "built_at": func.clock_timestamp(),
        "method": method,
        "reason": reason,
    }
    record = insert(MartBuild).values(mart=mart.__tablename__, **values)
    conn.execute(record.on_conflict_do_update(index_elements=[MartBuild.mart], set_=values))
