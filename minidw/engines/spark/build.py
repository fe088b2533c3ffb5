"""Staging → marts in the lake: by months where a key is the day of the order, in full where none is."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Cast, Column, Date, DateTime

from minidw.engines.spark.catalog import Lake, by_month, in_months
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.stage import LINES
from minidw.engines.spark.statements import typed
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.schema.words import local_day
from minidw.settings import Settings
from minidw.steps.build import Built
from minidw.transforms.marts import fingerprint, query
from minidw.transforms.values import is_derived, keys, value_of

FINGERPRINT = "minidw.fingerprint"
"""The property of a table of the lake that says how its mart was defined when it was built."""


def build(frames: Frames, lake: Lake, months: list[date] | None, *, full: dict[str, str]) -> list[Built]:
    """Bring every mart up to date with the months of staging that were written; None: with all of them.

    ``full``: marts that are to be built in full, and why.
    """
    return [_build(frames, lake, mart, months, full.get(mart.__tablename__)) for mart in all_marts()]


def _build(frames: Frames, lake: Lake, mart: type[Mart], months: list[date] | None, why: str | None) -> Built:
    start = time.perf_counter()
    day = day_of(mart)
    if why is None and months is None:
        why = "all of staging was written"
    if why is None and not months:
        return _built(frames, mart, "none", "no month changed", start)
    if why is None and day is not None:
        assert months is not None
        reason = _by_months(frames, lake, mart, day, months)
        return _built(frames, mart, "incremental", reason, start)
    _in_full(frames, lake, mart, day)
    why = why or f"its key has no day of the order: {', '.join(keys(mart))}"
    return _built(frames, mart, "full", why, start)


def day_of(mart: type[Mart]) -> str | None:
    """The key of a mart that is the day or time of the order, which tells the month of its lines."""
    if is_derived(mart):
        return None
    for name in keys(mart):
        clause: Any = value_of(mart, name, mart.source)
        while isinstance(clause, Cast) and isinstance(clause.type, Date | DateTime):
            clause = clause.clause
        clause = clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause
        if isinstance(clause, local_day):
            (clause, _) = clause.clauses
        if isinstance(clause, Column) and clause.name == "order_timestamp":
            return name
    return None


def _in_full(frames: Frames, lake: Lake, mart: type[Mart], day: str | None) -> None:
    table = mart.__table__
    rows = frames.execute(typed(table, query(mart)))
    files, _ = frames.write(table, rows, part=_month(day))
    lake.replace(table, files, by=by_month(day) if day else None)


def _by_months(frames: Frames, lake: Lake, mart: type[Mart], day: str, months: Sequence[date]) -> str:
    """Only the months of the mart that changed lines may stand in, from the lines of those.

    A day on the clocks of another zone may lie in the month beside that of its time in UTC.
    """
    table = mart.__table__
    written = sorted(_with_neighbours(months)) if frames.parameters["time_zone"] != "UTC" else list(months)
    read = sorted(_with_neighbours(written)) if written != list(months) else written
    frames.show(LINES, where=in_months("order_timestamp", read))
    listed = ", ".join(f"DATE '{month}'" for month in written)
    rows = frames.execute(typed(table, query(mart))).where(f"{_month(day)} IN ({listed})")
    files, _ = frames.write(table, rows, part=_month(day))
    lake.replace(table, files, in_months(day, written), by=by_month(day))
    frames.show(LINES)
    return f"{len(written)} {'month' if len(written) == 1 else 'months'} changed"


def _with_neighbours(months: Sequence[date]) -> set[date]:
    found = set(months)
    for month in months:
        found.add((month - timedelta(days=1)).replace(day=1))
        found.add((month + timedelta(days=31)).replace(day=1))
    return found


def _month(day: str | None) -> str | None:
    return None if day is None else f"date_trunc('MONTH', `{day}`)::date"


def _built(frames: Frames, mart: type[Mart], method: str, reason: str, start: float) -> Built:
    rows = frames.show(mart.__table__).count()
    return Built(mart.__tablename__, method, reason, rows, round(time.perf_counter() - start, 3))


def stale_marts(lake: Lake, settings: Settings) -> dict[str, str]:
    """The marts that are not built by their present definition, and why they are to be built in full."""
    found = {}
    for mart in all_marts():
        table = lake.tables.get(str(mart.__table__))
        if table is None:
            found[mart.__tablename__] = "never built"
        elif table.properties.get(FINGERPRINT) != fingerprint(mart, settings.rules):
            found[mart.__tablename__] = "its definition or rules changed"
    return found


def note_marts(lake: Lake, stale: Mapping[str, str], settings: Settings) -> None:
    """Note how the marts are defined that were built in full."""
    for mart in all_marts():
        if mart.__tablename__ in stale:
            lake.note(mart.__table__, {FINGERPRINT: fingerprint(mart, settings.rules)})
