"""What is in a lake: its batches and tables, its marts at a glance, and the answer to a question in SQL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minidw.engines.spark.catalog import Cut, lake_path, read_lake, run_of
from minidw.engines.spark.frames import Frames
from minidw.engines.spark.ledger import read_ledger
from minidw.engines.spark.session import start_session
from minidw.errors import SettingsError, printable
from minidw.reports.data import daily_revenue, segments, top_customers, top_products
from minidw.schema.base import Base
from minidw.schema.vocabulary import FATES
from minidw.settings import Settings

Rows = list[dict[str, Any]]


def status(*, lake: str | Path, settings: Settings | None = None) -> dict[str, Rows]:
    """The batches and the tables of a lake, as of its last run; no Spark is started for it.

    Args:
        lake, settings: as in ``run``

    Returns:
        ``batches``: each file with its rows by fate. ``tables``: each with its rows, files and bytes, and the
        runs whose snapshots are kept.

    Raises:
        SettingsError: there is no lake
        DatabaseError: the catalog cannot be read
    """
    cut, _ = read_lake(lake_path(lake), settings or Settings.from_env())
    names = ("batch_id", "file_name", "load_date", "rows_read", *FATES)
    batches = [{name: row[name] for name in names} for row in read_ledger(cut)]
    return {"batches": batches, "tables": [_table(cut, name) for name in sorted(cut.tables)]}


def _table(cut: Cut, name: str) -> dict[str, Any]:
    table = cut.tables[name]
    snapshot = table.current_snapshot()
    summary: Mapping[str, str] = snapshot.summary.additional_properties if snapshot else {}
    return {
        "table": name,
        "rows": int(summary.get("total-records", 0)),
        "files": int(summary.get("total-data-files", 0)),
        "bytes": int(summary.get("total-files-size", 0)),
        "runs": ", ".join(map(str, sorted(filter(None, map(run_of, table.refs()))))),
    }


def report(
    *,
    lake: str | Path,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> dict[str, Rows]:
    """The marts of a lake at a glance, as ``minidw.report`` has those of a warehouse.

    Args:
        lake, master, conf, settings: as in ``run``

    Raises:
        SettingsError: there is no lake, or Java or pyspark is missing
        DatabaseError: the catalog cannot be read
    """
    frames = _frames(lake, master, conf, settings)
    selects = {
        "daily revenue": daily_revenue(),
        "top customers": top_customers(),
        "top products": top_products(),
        "segments": segments(),
    }
    return {
        title: [row.asDict() for row in frames.execute(statement).collect()]
        for title, statement in selects.items()
    }


def ask(
    question: str,
    *,
    lake: str | Path,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Rows:
    """The rows that Spark SQL answers, over the tables of a lake as of its last run, by their names alone.

    Args:
        question: such as ``SELECT * FROM daily_revenue``
        lake, master, conf, settings: as in ``run``

    Raises:
        SettingsError: Spark does not understand the question, there is no lake, or Spark is missing
        DatabaseError: the catalog cannot be read
    """
    from pyspark.errors import PySparkException

    frames = _frames(lake, master, conf, settings)
    try:
        return [row.asDict() for row in frames.session.sql(question).collect()]
    except PySparkException as error:
        line = " ".join(str(error).split("\n")[0].split())
        raise SettingsError(printable(line)) from None


def _frames(
    lake: str | Path, master: str | None, conf: Mapping[str, str] | None, settings: Settings | None
) -> Frames:
    """All tables as views."""
    cut, rules = read_lake(lake_path(lake), settings or Settings.from_env())
    frames = Frames(start_session(master, conf), cut, rules.rules)
    for name in cut.tables:
        if name in Base.metadata.tables:
            frames.show(Base.metadata.tables[name])
    return frames
