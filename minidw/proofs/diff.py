"""The rows of each mart that changed between two batches, from what was delivered: no old state is kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError
from minidw.proofs.changes import MartChange, change_of
from minidw.schema.ledger import Batch
from minidw.schema.marts import all_marts
from minidw.settings import Settings
from minidw.steps.replay import judge_again, translated_batches
from minidw.steps.rules import rules_in_force
from minidw.transforms import replay, staging, states
from minidw.transforms.constructs import analyze
from minidw.transforms.parse import Scope, named_orders


@dataclass(frozen=True)
class Diff:
    """How the marts changed between two batches.

    first, last: the batches; what the first brought is not in it, what the last brought is
    batches: those that made the change, of those that are there
    marts: what changed in each mart
    unknown: order lines whose earlier version was pruned: they seem to be gained, whatever they were before

    Example:
        >>> corrected = minidw.run("corrections.csv")
        >>> minidw.diff(1, 2).marts[1].changed
        2
    """

    first: int
    last: int
    batches: list[int]
    marts: list[MartChange]
    unknown: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def diff(
    first: int, last: int, bind: Bind = None, *, rows: int | None = None, settings: Settings | None = None
) -> Diff:
    """The rows of each mart that changed between two batches. Writes nothing and holds no lock.

    A state is what the deliveries up to a batch say by the present rules, of those that are there: one that
    was unloaded counts in neither, and one that replaced another counts from its own number on. Marts are
    compared as their declarations are now, marts of one's own too; no earlier state is kept anywhere.

    Args:
        first: number of the batch after which the change begins; 0 for the empty warehouse
        last: number of the batch with which it ends
        bind: where to read; nothing: what the settings say
        rows: at most so many rows per mart, those of the largest change first; all of them by default
        settings: those of the environment by default

    Returns:
        Of each mart the rows gained, lost and changed.

    Raises:
        SettingsError: there is no such batch, or they are the wrong way round
        DatabaseError: the warehouse cannot be read

    Example:
        >>> corrected = minidw.run("corrections.csv")
        >>> for change in minidw.diff(1, 2).marts[0].rows:
        ...     before = change.before["revenue"] if change.before else None
        ...     print(change.key["order_date"], before, change.after["revenue"])
        2024-05-04 None 120.0000
        2024-05-02 75.5000 70.0000
    """
    settings = settings or Settings.from_env()
    if not 0 <= first < last:
        raise SettingsError(f"{first}..{last}: name the earlier batch first")
    with reading(bind, settings, snapshot=True) as conn:
        rules = rules_in_force(conn, settings).rules
        later = _batches_since(conn, first, last)
        conn.execute(states.name_orders_since(first, later, translated_batches(conn)))
        conn.execute(analyze(named_orders))
        judge_again(conn, rules, Scope.NAMED)
        for state, batch_id in (("before", first), ("after", last)):
            _build_state(conn, state, batch_id, rules)
        marts = [
            change_of(conn, mart, states.mart_table(mart, "before"), states.mart_table(mart, "after"), rows)
            for mart in all_marts()
        ]
        conn.execute(replay.create_fates())
        unknown = conn.scalar(states.lines_with_pruned_past(later)) or 0
    return Diff(first, last, [batch_id for batch_id in later if batch_id <= last], marts, unknown)


def _batches_since(conn: Connection, first: int, last: int) -> Sequence[int]:
    """The staged batches after the first, in raw still. Raises SettingsError where one of both never was."""
    known = set(conn.scalars(select(Batch.batch_id).where(Batch.batch_id.in_([first, last]))))
    if missing := {first, last} - known - {0}:
        raise SettingsError(f"there is no batch {min(missing)}: minidw status lists the last ones")
    later = select(Batch.batch_id).where(replay.to_replay, Batch.batch_id > first)
    return conn.scalars(later.order_by(Batch.batch_id)).all()


def _build_state(conn: Connection, state: str, batch_id: int, rules: dict[str, Any]) -> None:
    """The marts after a batch, in temporary tables."""
    held = replay.fates_table(f"fates_{state}")
    conn.execute(replay.create_fates(held, staging.incoming.c.batch_id <= batch_id))
    conn.execute(analyze(held))
    lines = states.lines_after(held)
    for mart in all_marts():
        for statement in states.fill(mart, state, lines):
            conn.execute(statement, rules)
