"""Delivered rows → staging, by the selects of PostgreSQL: only the months that they touch are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import and_, column, exists, func, select, table

from minidw.engines.spark.catalog import Lake, by_batch, by_month, in_months
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.statements import typed
from minidw.feed.declaration import from_dict
from minidw.feed.feed import AS_CONTRACTED, Translation
from minidw.schema.staging import OrderLine, OrderRejected
from minidw.schema.vocabulary import ADMITTED_FATES, STAGED_COLUMNS
from minidw.transforms.constructs import Query
from minidw.transforms.judge import batches_by_feed, judged_by_feed
from minidw.transforms.parse import Scope
from minidw.transforms.replay import create_fates, fates
from minidw.transforms.staging import LINE_KEY, ORIGIN, admitted, incoming

LINES, REJECTED = OrderLine.__table__, OrderRejected.__table__
_MONTH = "date_trunc('MONTH', order_timestamp)::date"
NEWEST = table("orders_newest", *(column(c.name, c.type) for c in LINES.c))
JUDGED = table("orders_judged", *(column(c.name, c.type) for c in incoming.c))


@dataclass
class StagedLake:
    """What a stage made of its batches.

    fates: rows by fate, of each batch
    months: the first days of the months that were written; None: all of them
    """

    fates: dict[int, dict[str, int]]
    months: list[date] | None = None


def translations_of(batches: Sequence[Mapping[str, Any]]) -> dict[Translation, list[int]]:
    """The batches whose feeds do not keep to the contract, by what those declare."""
    found: dict[Translation, list[int]] = {}
    for batch in batches:
        found.setdefault(from_dict(batch["feed"]).translation, []).append(batch["batch_id"])
    found.pop(AS_CONTRACTED, None)
    return found


def judge(frames: Frames, batches: Sequence[Mapping[str, Any]]) -> None:
    """Judge the rows of batches, once: from here on they are the view of the judged rows."""
    translated = translations_of(batches)
    statement = judged_by_feed(Scope.ALL, tuple(translated))
    rows = frames.execute(statement, **batches_by_feed(translated))
    frames.keep(rows, "orders_judged")


def stage(frames: Frames, lake: Lake, batches: Sequence[int], *, again: bool) -> StagedLake:
    """Bring the judged rows of batches into staging; ``again``: of all batches there are."""
    _write_rejects(frames, lake, again=again)
    find_fates(frames, again=again)
    counts = frames.execute(_counts()).collect()
    found: dict[int, dict[str, int]] = {batch: dict.fromkeys(ADMITTED_FATES, 0) for batch in batches}
    for batch_id, fate, rows in counts:
        if batch_id in found:
            found[batch_id][fate] = rows
    frames.keep(frames.execute(newest_of(batches)), NEWEST.name)
    staged = StagedLake(found)
    staged.months = None if again else _touched(frames)
    _write_lines(frames, lake, staged.months)
    return staged


def _write_rejects(frames: Frames, lake: Lake, *, again: bool) -> None:
    rejected = frames.session.sql(
        "SELECT batch_id, source_row, reasons FROM orders_judged WHERE reasons IS NOT NULL"
    )
    files, _ = frames.write(REJECTED, rejected, part="batch_id")
    if again:
        lake.replace(REJECTED, files, by=by_batch())
    else:
        lake.append(REJECTED, files, by=by_batch())


def find_fates(frames: Frames, *, again: bool) -> None:
    """The fate of every admitted row; the staged line stands for all earlier deliveries of its order line."""
    frames.session.table("orders_judged").createOrReplaceTempView(incoming.name)
    rows = frames.execute(typed(LINES, select(*(incoming.c[n] for n in STAGED_COLUMNS)).where(admitted)))
    if not again:
        frames.show(LINES)
        rows = rows.unionByName(frames.execute(_held()))
    rows.selectExpr("*", "CAST(NULL AS ARRAY<STRING>) AS reasons").createOrReplaceTempView(incoming.name)
    frames.keep(frames.execute(create_fates().query), fates.name)


def _held() -> Query:
    """The staged lines that the judged rows may replace."""
    same_line = and_(*(getattr(OrderLine, name) == JUDGED.c[name] for name in LINE_KEY))
    return select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS)).where(
        exists().where(same_line, JUDGED.c.reasons.is_(None))
    )


def _counts() -> Query:
    return select(fates.c.batch_id, fates.c.fate, func.count().label("rows")).group_by(
        fates.c.batch_id, fates.c.fate
    )


def newest_of(batches: Sequence[int]) -> Query:
    """The rows of batches that staging must hold now."""
    same_row = and_(*(incoming.c[name] == fates.c[name] for name in ORIGIN))
    return (
        select(*(incoming.c[name] for name in STAGED_COLUMNS))
        .join_from(incoming, fates, same_row)
        .where(fates.c.recency == 1, fates.c.batch_id.in_(batches))
    )


def _touched(frames: Frames) -> list[date]:
    """The months that lines come into, and those that they leave."""
    line = " AND ".join(f"s.{name} = n.{name}" for name in LINE_KEY)
    months = frames.session.sql(
        f"SELECT {_MONTH} AS month FROM orders_newest UNION"
        " SELECT date_trunc('MONTH', s.order_timestamp)::date"
        f" FROM orders_stg s JOIN orders_newest n ON {line}"
    )
    return sorted(row[0] for row in months.collect())


def _write_lines(frames: Frames, lake: Lake, months: list[date] | None) -> None:
    newest = frames.session.table(NEWEST.name)
    if months is None:
        files, _ = frames.write(LINES, newest, part=_MONTH)
        lake.replace(LINES, files, by=by_month("order_timestamp"))
    elif months:
        where = in_months("order_timestamp", months)
        stay = frames.show(LINES, where=where).join(newest, list(LINE_KEY), "left_anti")
        files, _ = frames.write(LINES, stay.select(*newest.columns).unionByName(newest), part=_MONTH)
        lake.replace(LINES, files, where, by=by_month("order_timestamp"))
    frames.show(LINES)
