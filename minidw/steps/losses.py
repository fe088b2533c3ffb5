"""Losses that would be silent: told as checks of severity warning, or refused where they are certain."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, TableClause, exists, select

from minidw.errors import BadFileError
from minidw.schema.checks import Check
from minidw.schema.erasure import Erasure
from minidw.schema.ledger import Batch
from minidw.steps.check import SAMPLES, Checked, outcome_of
from minidw.transforms import losses
from minidw.transforms.constructs import Query
from minidw.transforms.erasures import delivered_again
from minidw.transforms.parse import Scope


def refuse_without_numbers(conn: Connection, batch: RowMapping, scope: Scope) -> None:
    """Raise BadFileError where orders that have several lines come without line numbers.

    Each of their rows would be line 1, and all but one of the rows would be lost, and one line replaced.
    """
    if has_numbers(batch):
        return
    if not conn.scalar(losses.batches_with_numbers(without=batch["batch_id"])):
        return
    offending = losses.orders_without_numbers(batch["batch_id"], scope)
    found = outcome_of(conn, Check("orders_without_numbers", "error", offending))
    if found.failed:
        raise without_numbers(batch["file_name"], found.offending, found.samples[0])


def without_numbers(file: str, number: int, example: Mapping[str, Any]) -> BadFileError:
    """So many orders of a file are staged with several lines, such as this one."""
    orders = "1 order is" if number == 1 else f"{number} orders are"
    return BadFileError(
        file,
        "NO_LINE_NUMBERS",
        f"{orders} staged with several lines, such as {example['order_id']} up to line"
        f" {example['last_line']}, but come without line numbers here: all rows of an order would be its"
        " line 1; name the column that has them with --column line_number=THEIRS, or number the rows with"
        " --number-lines; nothing was stored",
    )


def has_numbers(batch: RowMapping | Mapping[str, Any]) -> bool:
    """Whether the rows of a batch have line numbers."""
    declared = (batch["feed"] or {}).get("columns", {})
    return bool(batch["numbered_lines"]) or "line_number" in batch["header"] or "line_number" in declared


def tell_lost_in(
    conn: Connection,
    batch: RowMapping,
    warned: list[Checked],
    *,
    rejected: int,
    ceased: int,
    gone: Collection[int] = (),
) -> None:
    """What a batch loses: rows rejected that name a staged line, lines replaced by others of their number."""
    batch_id = batch["batch_id"]
    if rejected:
        _tell(conn, warned, "rejects_of_staged_lines", losses.rejects_of_staged_lines(batch_id))
    if ceased and batch["numbered_lines"]:
        _tell(conn, warned, "numbered_lines_replaced", losses.numbered_lines_replaced(batch_id, gone))


def tell_erased_in(conn: Connection, batch: RowMapping, warned: list[Checked]) -> None:
    """Customers that a batch brings back although they were erased."""
    if conn.scalar(select(exists().select_from(Erasure))):
        _tell(conn, warned, "erased_customers_delivered", delivered_again(batch["batch_id"]))


def tell_lost_to_pruning(conn: Connection, warned: list[Checked], fates: TableClause, scope: Scope) -> None:
    """Order lines about to vanish, of which a pruned batch had an earlier version that cannot come back."""
    if conn.scalar(select(exists().where(Batch.pruned_at.is_not(None)))):
        _tell(conn, warned, "pruned_versions_lost", losses.pruned_versions(fates, scope))


def _tell(conn: Connection, warned: list[Checked], name: str, offending: Query) -> None:
    """Add an outcome, where there is anything; several batches of one run have one outcome of a name."""
    found = outcome_of(conn, Check(name, "warning", offending))
    before = [outcome for outcome in warned if outcome.name == name]
    for outcome in before:
        warned.remove(outcome)
        samples = [*outcome.samples, *found.samples][:SAMPLES]
        found = Checked(name, found.severity, outcome.offending + found.offending, samples)
    if found.offending:
        warned.append(found)
