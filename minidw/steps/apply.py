"""Judged rows → staging: what they differ in from it becomes changes, in the queue of the marts."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from minidw.database.tables import lock_at_once, may_rebuild
from minidw.schema.ledger import MartBuild
from minidw.schema.staging import OrderLine, OrderTotal
from minidw.schema.vocabulary import PUBLISHED
from minidw.transforms import replay, staging
from minidw.transforms.constructs import analyze
from minidw.transforms.parse import Scope


@dataclass(frozen=True)
class Applied:
    """How many order lines appeared, ceased, and were as staged already; ``stage``: of their changes."""

    appeared: int
    ceased: int = 0
    unchanged: int = 0
    stage: int = 0


def apply_batch(conn: Connection) -> Applied:
    """Queue as changes what a batch differs in from staging, and make them."""
    conn.execute(analyze(staging.incoming))
    stage = _next_stage(conn)
    ceased, unchanged = _compare(conn, stage, by=staging.VALUES)
    return Applied(_carry_out(conn, stage, replaced=ceased), ceased, unchanged)


def apply_judged(conn: Connection, scope: Scope) -> Applied:
    """Queue as changes what batches, judged again, differ in from staging, and make them."""
    stage = _next_stage(conn)
    vanished = conn.execute(replay.insert_vanished(scope), stage).rowcount
    # The same values may now come from another delivery: then that is where the line comes from.
    replaced, unchanged = _compare(conn, stage, by=(*staging.VALUES, *staging.ORIGIN))
    appeared = _carry_out(conn, stage, replaced=replaced, vanished=vanished)
    return Applied(appeared, vanished + replaced, unchanged, **stage)


def _next_stage(conn: Connection) -> dict[str, int]:
    return {"stage": conn.execute(select(staging.next_stage())).scalar_one()}


def _compare(conn: Connection, stage: dict[str, int], *, by: tuple[str, ...]) -> tuple[int, int]:
    """Leave in ``incoming`` what is new or differs; returns how many lines cease and are unchanged."""
    if not conn.execute(staging.create_held()).rowcount:
        return 0, 0
    conn.execute(analyze(staging.held))
    unchanged = conn.execute(staging.delete_unchanged(by=by)).rowcount
    return conn.execute(staging.insert_ceased(), stage).rowcount, unchanged


def _carry_out(conn: Connection, stage: dict[str, int], *, replaced: int, vanished: int = 0) -> int:
    """Bring the lines of ``incoming`` in, and take out those that vanished; returns how many appeared."""
    appeared = conn.execute(staging.insert_appeared(), stage).rowcount
    if vanished:
        conn.execute(staging.delete_vanished(), stage)
    conn.execute(staging.merge_lines() if replaced else staging.insert_lines())
    conn.execute(staging.merge_totals(), stage)
    return appeared


def fill(conn: Connection) -> Applied:
    """The first lines of a warehouse need no queue: the marts have nothing yet and are built in full.

    The indexes come after the rows, where we may build them, nobody is reading, and no view, foreign key or
    mark of somebody else's holds on to them.
    """
    alone = may_rebuild(conn, OrderLine, staging.INDEXES) and lock_at_once(conn, OrderLine)
    for statement in staging.drop_indexes() if alone else ():
        conn.execute(statement)
    appeared = conn.execute(staging.insert_lines()).rowcount
    for statement in staging.create_indexes() if alone else ():
        conn.execute(statement)
    conn.execute(staging.analyze_lines())
    conn.execute(delete(OrderTotal))
    conn.execute(staging.count_totals())
    made_here = update(MartBuild).where(MartBuild.method != PUBLISHED)
    conn.execute(made_here.values(fingerprint=None, reason="staging was filled at once"))
    return Applied(appeared)
