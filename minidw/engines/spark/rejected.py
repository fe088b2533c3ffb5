"""Why rows of a run were rejected: counted by reason, with an example of each, before anything is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minidw.engines.spark.frames import Frames
from minidw.engines.spark.ledger import Row
from minidw.feed.declaration import from_dict
from minidw.schema.vocabulary import NO_FAULTS, RAW_COLUMNS
from minidw.settings import Settings
from minidw.steps.examples import Example, example_of
from minidw.steps.stage import refuse_too_many


@dataclass
class Rejected:
    """The rejected rows of a batch; ``faults``: those in which there is one."""

    rows: int = 0
    faults: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)


def explain(frames: Frames, batches: Sequence[Row]) -> dict[int, Rejected]:
    """The rejected rows of each batch."""
    found = {batch["batch_id"]: Rejected(batch["malformed"], batch["malformed"]) for batch in batches}
    feeds = {batch["batch_id"]: from_dict(batch["feed"]) for batch in batches}
    if not feeds:
        return found
    chosen = ", ".join(map(str, feeds))
    set_aside = ", ".join(f"'{code}'" for code in NO_FAULTS)
    for batch_id, rows, faults in frames.session.sql(
        f"SELECT batch_id, count(*), count_if(exists(reasons, code -> code NOT IN ({set_aside})))"
        f" FROM orders_judged WHERE reasons IS NOT NULL AND batch_id IN ({chosen}) GROUP BY batch_id"
    ).collect():
        found[batch_id].rows += rows
        found[batch_id].faults += faults
    if not any(batch.rows for batch in found.values()):
        return found
    values = ", ".join(f"o.{name}" for name in RAW_COLUMNS)
    firsts = frames.session.sql(
        "WITH reasons AS (SELECT batch_id, source_row, explode(reasons) AS reason FROM orders_judged"
        f" WHERE batch_id IN ({chosen})), firsts AS (SELECT batch_id, reason, count(*) AS rows,"
        " min(source_row) AS source_row FROM reasons GROUP BY batch_id, reason)"
        f" SELECT f.*, {values} FROM firsts f JOIN orders_all o USING (batch_id, source_row)"
        " ORDER BY f.batch_id, f.rows DESC, f.reason"
    )
    for row in firsts.collect():
        first: dict[str, Any] = row.asDict()
        batch = found[first["batch_id"]]
        batch.reasons[first["reason"]] = first["rows"]
        feed = feeds[first["batch_id"]]
        batch.examples.append(example_of(first["reason"], first["source_row"], first, feed))
    return found


def refuse(batches: Sequence[Row], found: dict[int, Rejected], settings: Settings) -> None:
    """Raise BadFileError for the first batch that has more rejects than the settings allow."""
    for batch in batches:
        it = found[batch["batch_id"]]
        if it.rows:
            refuse_too_many(batch, it.rows, it.faults, it.reasons, it.examples, settings)
