"""The Spark session that everything here runs in: one per process, as Spark has it."""

import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidw.errors import DatabaseError, SettingsError, printable
from minidw.transforms.constructs import Query

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MASTER = "local[*]"
_NEEDED = ("pyspark", "pyiceberg", "pyarrow")

# What the answers depend on, and may not be set otherwise.
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.caseSensitive": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
# What it takes to be quick: the statements that judge are long, and generating code for them takes longer
# than executing them; small shuffles are not spread over 200 tasks.
_QUICK = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.subexpressionElimination.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.log.level": "ERROR",
}


def start_session(master: str | None = None, conf: Mapping[str, str] | None = None) -> "SparkSession":
    """The session of this process, started on a master where there is none yet.

    ``conf``: settings of Spark, such as ``spark.executor.memory``; those that the answers depend on are ours.
    Raises SettingsError where Java, pyspark or the master is missing.
    """
    require_packages()
    require_java()
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they tell is raised as well
    builder: Any = SparkSession.builder.master(master or MASTER).appName("minidw")
    for name, value in {**_QUICK, **(conf or {}), **_FIXED}.items():
        builder = builder.config(name, value)
    try:
        session: SparkSession = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise SettingsError(f"Spark cannot be started on {master or MASTER}: {_first_line(error)}") from None
    return session


def require_packages() -> None:
    """Raise SettingsError, in one line, for what is not installed of Python."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SettingsError(f"{', '.join(missing)} is not installed: pip install 'minidw[spark]'")


def require_java() -> None:
    """Raise SettingsError, in one line, where there is no Java."""
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which("java") or (home and (Path(home) / "bin" / "java").exists())):
        raise SettingsError(
            "Spark needs Java 17 or later: apt-get install default-jre-headless, or set JAVA_HOME"
        )


def execute(session: "SparkSession", statement: Query, parameters: Mapping[str, Any]) -> "DataFrame":
    """The rows of a statement, over the views of the session."""
    from minidw.engines.spark.statements import compiled

    text, bound = compiled(statement, parameters)
    return session.sql(text, args=bound)


@contextmanager
def failures() -> Iterator[None]:
    """What Spark, Iceberg or the disk says, in one line; nothing of a run is stored then.

    Raises DatabaseError.
    """
    from py4j.protocol import Py4JError
    from pyiceberg.exceptions import RESTError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, RESTError) as error:
        raise DatabaseError(f"Spark: {_cause(str(error))}; nothing was stored") from error
    except OSError as error:
        raise DatabaseError(
            f"the lake: {error.strerror or _first_line(error)}; nothing was stored"
        ) from error


def _cause(text: str) -> str:
    """Of the many lines of a failure the one that tells most: the innermost error."""
    found = re.findall(r"^(?:Caused by: )?(?:[\w.]+\.)?(\w*(?:Error|Exception): .+)", text, re.MULTILINE)
    return printable(" ".join((found[-1] if found else text.split("\n")[0]).split()))


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())
