"""Every table against what it follows from, both ways."""

import random
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from minidw.database import reading
from minidw.engine import Bind
from minidw.errors import SettingsError
from minidw.schema.marts import all_marts
from minidw.schema.staging import OrderChange, OrderLine
from minidw.settings import Settings
from minidw.steps.stage import judge_again
from minidw.transforms import replay
from minidw.transforms.constructs import Query
from minidw.transforms.marts import difference
from minidw.transforms.parse import Scope


@dataclass(frozen=True)
class Difference:
    """A row that only one side has: ``side`` is held for what a table holds, due for what it should hold."""

    table: str
    side: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Verified:
    """Every difference found, the tables compared, and the changes that wait and explain some of them.

    ``lines_beyond_raw``: order lines that cannot be compared with raw, for their batches were pruned.
    """

    differences: list[Difference]
    tables: list[str]
    changes_waiting: int
    lines_beyond_raw: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def verify(bind: Bind = None, *, sample: float | None = None, settings: Settings | None = None) -> Verified:
    """Compare every mart with its from-scratch query, and staging with raw, in one snapshot.

    ``sample``: compare a random part of the keys, such as 0.01. Writes nothing and holds no lock.
    """
    settings = settings or Settings.from_env()
    if sample is not None and not 0 < sample <= 1:
        raise SettingsError(f"sample: {sample} is not a part of the keys; give a number above 0 and up to 1")
    scope = Scope.ALL if sample is None else Scope.SAMPLE
    parameters = settings.rules | {"fraction": sample, "salt": random.getrandbits(62)}
    with reading(bind, settings, snapshot=True) as conn:
        found = _staging_differences(conn, parameters, scope)
        for mart in all_marts():
            statement = difference(mart, scope)
            found += _differences(conn, f"mart.{mart.__tablename__}", statement, parameters)
        waiting = conn.scalar(select(func.count()).select_from(OrderChange)) or 0
        beyond = select(func.count()).select_from(OrderLine).where(replay.is_pruned(OrderLine))
        lines_beyond_raw = conn.scalar(beyond) or 0
    tables = [
        "staging.orders_rejected",
        "staging.orders_stg",
        *(f"mart.{mart.__tablename__}" for mart in all_marts()),
    ]
    return Verified(found, tables, waiting, lines_beyond_raw)


def _staging_differences(conn: Connection, parameters: dict[str, Any], scope: Scope) -> list[Difference]:
    judge_again(conn, parameters, scope)
    rejects = replay.rejects_difference(scope)
    found = _differences(conn, "staging.orders_rejected", rejects, parameters)
    conn.execute(replay.delete_outdated())
    lines = replay.lines_difference(scope)
    return found + _differences(conn, "staging.orders_stg", lines, parameters)


def _differences(
    conn: Connection, table: str, statement: Query, parameters: dict[str, Any]
) -> list[Difference]:
    rows = [dict(row) for row in conn.execute(statement, parameters).mappings()]
    return [Difference(table, row.pop("side"), row) for row in rows]
