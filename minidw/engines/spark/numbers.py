"""Orders of several lines that come without line numbers: refused, as all their rows would be line 1."""

from collections.abc import Sequence

from minidw.engines.spark.frames import Frames
from minidw.engines.spark.ledger import Row
from minidw.schema.staging import OrderLine
from minidw.steps.losses import has_numbers, without_numbers
from minidw.transforms.losses import orders_without_numbers
from minidw.transforms.parse import Scope
from minidw.transforms.staging import incoming


def refuse_without_numbers(frames: Frames, ledger: Sequence[Row], fresh: Sequence[Row]) -> None:
    """Raise BadFileError for the first batch that brings such an order."""
    numbered = any(map(has_numbers, (*ledger, *fresh)))
    suspects = [row for row in fresh if numbered and not has_numbers(row)]
    if not suspects:
        return
    frames.show(OrderLine.__table__)
    for row in suspects:
        frames.session.table("orders_judged").where(f"batch_id <= {row['batch_id']}").createOrReplaceTempView(
            incoming.name
        )
        for scope in (Scope.BATCH, Scope.NAMED):
            found = frames.execute(orders_without_numbers(row["batch_id"], scope))
            if example := found.first():
                raise without_numbers(row["file_name"], found.count(), example.asDict())
