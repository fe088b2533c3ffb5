"""A run on Spark: files into the lake, staged, built and checked, in one commit."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from minidw.database.transaction import bound, transaction
from minidw.engines.spark.build import build, note_marts, stale_marts
from minidw.engines.spark.catalog import Lake, lake_path, lake_transaction
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.landing import LandedFile, land
from minidw.engines.spark.ledger import Row, admit, read_ledger, write_ledger
from minidw.engines.spark.numbers import refuse_without_numbers
from minidw.engines.spark.raw import RAW, of_batches, show_ledger, write_raw
from minidw.engines.spark.rejected import Rejected, explain, refuse
from minidw.engines.spark.result import LakeRun
from minidw.engines.spark.session import failures, start_session
from minidw.engines.spark.stage import judge, stage
from minidw.engines.spark.statements import check_marts
from minidw.errors import BadFileError, SettingsError
from minidw.feed import Feed, find_files
from minidw.feed.declaration import from_dict
from minidw.schema.marts import all_marts
from minidw.schema.vocabulary import FATES
from minidw.settings import Settings
from minidw.steps.replay import need_currency
from minidw.steps.rules import keep_rules
from minidw.steps.stage import Staged, hints_of
from minidw.transforms.judge import rules_fingerprint


def run(
    files: Sequence[str | Path],
    *,
    lake: str | Path,
    master: str | None = None,
    feed: Feed | None = None,
    number_lines: bool = False,
    force: bool = False,
    wait: bool = True,
    conf: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> LakeRun:
    """Bring CSV files into a lake: load, stage, build and check on Spark, all of them in one commit or none.

    The lake is a directory of Iceberg tables; their catalog is in the database of the settings, whose rules
    hold in the lake too. A file whose bytes are there already is skipped.

    Args:
        files: paths, globs or directories that every worker sees under the same path; oldest name first
        lake: the directory of the lake, likewise; made where there is none
        master: of Spark, such as ``spark://host:7077`` or ``local[2]``; all cores of this machine by default
        feed, number_lines, force, wait, settings: as in ``minidw.run``
        conf: further settings of Spark, such as ``spark.executor.memory``

    Returns:
        What each step did.

    Raises:
        BadFileError: a file is refused, or too many of its rows are; nothing of any file is stored
        CheckFailedError: a batch does not add up
        DeclarationError: Spark would compute a mart otherwise than PostgreSQL does
        SettingsError: Java or pyspark is missing, an argument or a setting is wrong
        WarehouseBusyError: another runner holds the lake, and ``wait`` is false
        DatabaseError: the database cannot be used
    """
    settings = settings or Settings.from_env()
    location = lake_path(lake)
    check_marts(all_marts())
    sources = [_absolute(path) for path in find_files(map(str, files))]
    session = start_session(master, conf)
    with (
        bound(None, settings, create=True, wait=wait) as engine,
        transaction(engine, settings, wait=wait) as conn,
    ):
        ruled, _ = keep_rules(conn, settings, loading=True)
    result, landing = LakeRun(location), f"{location}/landing/{uuid4().hex}"
    try:
        with failures(), result.step("land"):
            landed = _land(session, sources, landing, feed or Feed(), number_lines=number_lines)
        with lake_transaction(location, settings, wait=wait) as written, failures():
            _run(
                Frames(session, written, ruled.rules, written.run + 1), written, result, landed, ruled, force
            )
    finally:
        session.catalog.clearCache()
        shutil.rmtree(landing, ignore_errors=True)
    return result


def _kept_rules(settings: Settings, *, wait: bool) -> Settings:
    """The settings under the rules of the warehouse, which holds them for the lake too."""
    with (
        bound(None, settings, create=True, wait=wait) as engine,
        transaction(engine, settings, wait=wait) as conn,
    ):
        ruled, _ = keep_rules(conn, settings, loading=True)
    return ruled


def _absolute(path: str) -> str:
    if path == "-":
        raise SettingsError("standard input cannot be read by the workers of Spark: give it a name")
    return path if "://" in path else str(Path(path).absolute())


def _land(
    session: Any, sources: Sequence[str], directory: str, feed: Feed, *, number_lines: bool
) -> list[LandedFile]:
    """Each file in a task of its own. Raises BadFileError for the first that is refused."""

    def task(source: str) -> LandedFile | BadFileError:
        return land(source, directory, feed, number_lines=number_lines)

    landed = session.sparkContext.parallelize(sources, len(sources)).map(task).collect()
    for outcome in landed:
        if isinstance(outcome, BadFileError):
            raise outcome
    return list(landed)


def _run(
    frames: Frames, lake: Lake, result: LakeRun, landed: list[LandedFile], settings: Settings, force: bool
) -> None:
    ledger = read_ledger(lake)
    result.loaded, new = admit(ledger, landed, force=force)
    fresh = [row for row, _ in new]
    for row in fresh:
        need_currency(settings.rules, from_dict(row["feed"]).translation)
    outdated = [row for row in ledger if row["rules"] != _rules_of(row, settings)]
    stale = stale_marts(lake, settings)
    if not fresh and not outdated and not stale:
        return
    judged = [*ledger, *fresh] if outdated else fresh
    frames.expect(sum(row["rows_read"] for row in (*ledger, *fresh)))
    with result.step("load"):
        write_raw(frames, lake, new)
    with result.step("judge"):
        show_ledger(frames, [*ledger, *fresh], judged)
        frames.show(RAW, where=of_batches(judged) if judged else None)
        judge(frames, judged)
        rejected = explain(frames, judged)
        refuse(fresh, rejected, settings)
    with result.step("stage"):
        refuse_without_numbers(frames, ledger, fresh)
        months = _stage(frames, lake, result, fresh, judged, rejected, settings)
    with result.step("build"):
        result.built = build(frames, lake, months, full=stale)
        note_marts(lake, stale, settings)
    with result.step("check"):
        write_ledger(lake, [*ledger, *fresh])
        lake.tag(frames.run)
    frames.drop()
    result.run, result.months = frames.run, None if months is None else len(months)


def _rules_of(row: Row, settings: Settings) -> str:
    return rules_fingerprint(settings.rules, from_dict(row["feed"]).translation)


def _stage(
    frames: Frames,
    lake: Lake,
    result: LakeRun,
    fresh: Sequence[Row],
    judged: Sequence[Row],
    rejected: Mapping[int, Rejected],
    settings: Settings,
) -> list[date] | None:
    """Staging, and what the ledger then says of each batch; returns the months that were written."""
    if not judged:
        return []
    again = len(judged) > len(fresh)
    staged = stage(frames, lake, [row["batch_id"] for row in judged], again=again)
    now = datetime.now(UTC)
    for row in judged:
        fates = staged.fates[row["batch_id"]] | {"rejected": rejected[row["batch_id"]].rows}
        row |= {"rules": _rules_of(row, settings), **fates}
        row |= dict.fromkeys(("staged_at", "built_at", "checked_at"), now)
    result.replayed = len(judged) - len(fresh) if again else 0
    result.staged = [_staged(row, rejected[row["batch_id"]], settings) for row in fresh]
    return staged.months


def _staged(row: Row, rejected: Rejected, settings: Settings) -> Staged:
    counts = {name: row[name] for name in ("batch_id", "rows_read", *FATES)}
    hints = hints_of(row, rejected.reasons, row["superseded"], settings)
    return Staged(
        file=row["file_name"], **counts, reasons=rejected.reasons, examples=rejected.examples, hints=hints
    )
