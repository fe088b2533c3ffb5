"""Every table of a lake, as of one run, against what it follows from: the rows of raw, judged again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import case, func, literal, or_, select, union_all

from minidw.engines.spark.catalog import lake_path, read_lake
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.ledger import TABLE, read_ledger
from minidw.engines.spark.raw import RAW, show_ledger
from minidw.engines.spark.session import failures, start_session
from minidw.engines.spark.stage import JUDGED, LINES, NEWEST, REJECTED, find_fates, judge, newest_of
from minidw.engines.spark.statements import check_marts
from minidw.proofs.verify import Difference, Verified
from minidw.schema.ledger import Batch
from minidw.schema.marts import all_marts
from minidw.schema.staging import OrderLine, OrderRejected
from minidw.schema.vocabulary import ADMITTED_FATES, STAGED_COLUMNS
from minidw.settings import Settings
from minidw.transforms.constructs import Query, both_ways
from minidw.transforms.marts import difference
from minidw.transforms.replay import fates
from minidw.transforms.staging import LINE_KEY, ORIGIN

FIRST = 20


def verify(
    *,
    lake: str | Path,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Verified:
    """Compare every table of a lake with what it follows from, as of its last run. Writes nothing.

    Args:
        lake, master, conf, settings: as in ``run``

    Returns:
        The number of differing rows of each table and the first of them; none where all is well.

    Raises:
        SettingsError: there is no lake, or Java or pyspark is missing
        DatabaseError: the catalog cannot be read
    """
    settings = settings or Settings.from_env()
    check_marts(all_marts())
    cut, rules = read_lake(lake_path(lake), settings)
    frames = Frames(start_session(master, conf), cut, rules.rules)
    ledger = read_ledger(cut)
    tables: dict[str, int] = {}
    differences: list[Difference] = []
    try:
        with failures():
            show_ledger(frames, ledger, ledger)
            for held in (RAW, REJECTED, LINES, *(mart.__table__ for mart in all_marts())):
                frames.show(held)
            judge(frames, ledger)
            find_fates(frames, again=True)
            frames.keep(frames.execute(newest_of([row["batch_id"] for row in ledger])), NEWEST.name)
            frames.show(LINES)
            for name, statement in _comparisons():
                found = frames.execute(statement)
                tables[name] = tables.get(name, 0) + found.count()
                for row in found.limit(FIRST).collect() if tables[name] else ():
                    values = row.asDict()
                    differences.append(Difference(name, values.pop("side"), values))
    finally:
        frames.drop()
    return Verified(differences, tables, 0, [], 0)


def _comparisons() -> Iterator[tuple[str, Query]]:
    yield str(TABLE), _counts_differing()
    held = select(*(getattr(OrderRejected, name) for name in (*ORIGIN, "reasons")))
    due = select(*(JUDGED.c[name] for name in (*ORIGIN, "reasons"))).where(JUDGED.c.reasons.is_not(None))
    yield str(REJECTED), both_ways(held, due, key=ORIGIN)
    lines = select(*(getattr(OrderLine, name) for name in STAGED_COLUMNS))
    yield str(LINES), both_ways(lines, select(*(NEWEST.c[name] for name in STAGED_COLUMNS)), key=LINE_KEY)
    for mart in all_marts():
        yield str(mart.__table__), difference(mart)


def _counts_differing() -> Query:
    """Batches whose rows in raw, or whose fates, are not those of the ledger."""
    raw = select(RAW.c.batch_id, literal("rows").label("fate"), func.count().label("number"))
    rejected = select(OrderRejected.batch_id, literal("rejected").label("fate"), func.count().label("number"))
    admitted = select(fates.c.batch_id, fates.c.fate, func.count().label("number"))
    counted = union_all(
        raw.group_by(RAW.c.batch_id),
        rejected.group_by(OrderRejected.batch_id),
        admitted.group_by(fates.c.batch_id, fates.c.fate),
    ).subquery("counted")

    def number(fate: str) -> Any:
        return func.coalesce(func.sum(case((counted.c.fate == fate, counted.c.number))), 0)

    found = (
        select(
            counted.c.batch_id, *(number(fate).label(fate) for fate in ("rows", "rejected", *ADMITTED_FATES))
        )
        .group_by(counted.c.batch_id)
        .subquery("found")
    )
    whole: dict[str, Any] = {
        "rows": Batch.rows_read - Batch.malformed,
        "rejected": Batch.rejected - Batch.malformed,
    }
    due = whole | {fate: getattr(Batch, fate) for fate in ADMITTED_FATES}
    labelled = [value.label(name) for name, value in due.items()]
    return (
        select(literal("held").label("side"), Batch.batch_id, *labelled)
        .join_from(Batch, found, Batch.batch_id == found.c.batch_id, isouter=True)
        .where(or_(*(value != func.coalesce(found.c[name], 0) for name, value in due.items())))
    )
