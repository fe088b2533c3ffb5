"""Frames of rows: views of the lake's tables in a session, and frames written as its files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import FromClause

from minidw.engines.spark.catalog import Cut, files_with_rows
from minidw.engines.spark.schemas import spark_schema
from minidw.engines.spark.session import execute
from minidw.transforms.constructs import Query

PART = "minidw_part"
FEW_ROWS = 200_000


@dataclass
class Frames:
    """What a run, or somebody who looks, works with.

    session: of Spark
    cut: the lake; the same object that a run writes
    parameters: what the statements bind
    run: the number of the run that writes
    """

    session: Any
    cut: Cut
    parameters: dict[str, Any]
    run: int = 0
    _kept: list[Any] = field(default_factory=list)

    def execute(self, statement: Query, **more: Any) -> Any:
        """The rows of a statement over the views."""
        return execute(self.session, statement, self.parameters | more)

    def show(self, table: FromClause, files: Sequence[str] | None = None, where: Any = None) -> Any:
        """A view of a table of the lake, by its name without the schema; of some of its files."""
        files = self.cut.files(table, where) if files is None else files
        frame = self.read(files, table)
        frame.createOrReplaceTempView(_name(table))
        return frame

    def read(self, files: Sequence[str], table: FromClause) -> Any:
        """The rows of files, as those of a table."""
        schema = spark_schema(table)
        if not files:
            return self.session.createDataFrame([], schema)
        rows = self.session.read.schema(schema).parquet(*files)
        return rows.select(*(column.name for column in table.c))  # not what the names of directories say

    def write(self, table: FromClause, frame: Any, *, part: str | None = None) -> tuple[list[str], int]:
        """A frame as files of a table, which the lake does not know yet; each within one ``part``.

        Returns those that have rows, and how many rows they have.
        """
        place = f"{self.cut.location}/{str(table).replace('.', '/')}/data/run-{self.run}-{uuid4().hex}"
        if part is not None:
            parted = frame.selectExpr("*", f"{part} AS {PART}")
            if part != "batch_id":  # a batch comes from files of its own: there it lies together already
                parted = parted.hint("rebalance", PART)
            parted.write.partitionBy(PART).parquet(place)
        else:
            frame.write.parquet(place)
        return files_with_rows(place)

    def keep(self, frame: Any, name: str) -> Any:
        """A frame that is used several times, as a view."""
        kept = frame.persist()
        self._kept.append(kept)
        kept.createOrReplaceTempView(name)
        return kept

    def expect(self, rows: int) -> None:
        """Whether it pays to generate code: for so few rows that takes longer than executing it."""
        self.session.conf.set("spark.sql.codegen.wholeStage", str(rows > FEW_ROWS).lower())

    def drop(self) -> None:
        """Let go of what was kept."""
        while self._kept:
            self._kept.pop().unpersist()


def _name(table: Any) -> str:
    return str(table.name)
