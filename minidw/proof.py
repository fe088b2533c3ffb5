"""The proof: every table against what it follows from, both ways; and why a row is what it is."""

import random
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, cast, func, literal, select

from minidw.database import Bind, reading
from minidw.errors import SettingsError
from minidw.schema.mart import Mart, marts
from minidw.schema.raw import FEED_COLUMNS, Batch, OrderDelivered
from minidw.schema.staging import STAGED_COLUMNS, OrderChange, OrderLine
from minidw.settings import Settings
from minidw.stage import judge_again
from minidw.transforms import replay as replay_sql
from minidw.transforms.marts import difference, is_derived, keys, measures
from minidw.transforms.sql import Query


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
    parameters = settings.rules | {"fraction": sample, "salt": random.getrandbits(62)}
    with reading(bind, settings, snapshot=True) as conn:
        found = _staging_differences(conn, parameters, sample=sample is not None)
        for mart in marts():
            statement = difference(mart, sample=sample is not None)
            found += _differences(conn, f"mart.{mart.__tablename__}", statement, parameters)
        waiting = conn.scalar(select(func.count()).select_from(OrderChange)) or 0
        beyond = select(func.count()).select_from(OrderLine).where(replay_sql.is_pruned(OrderLine))
        lines_beyond_raw = conn.scalar(beyond) or 0
    tables = [
        "staging.orders_rejected",
        "staging.orders_stg",
        *(f"mart.{mart.__tablename__}" for mart in marts()),
    ]
    return Verified(found, tables, waiting, lines_beyond_raw)


def why(
    mart: str | type[Mart], *key: object, bind: Bind = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """The order lines behind one row of a mart, each with the raw row and the file it came from.

    ``key`` is the row's key, one value per key column: ``why("customer_ltv", "42")``. Empty where there is
    no such row. Raises SettingsError for an unknown mart or a key of another length.
    """
    settings = settings or Settings.from_env()
    named = next((m for m in marts() if mart in (m, m.__tablename__, f"mart.{m.__tablename__}")), None)
    if named is None:
        known = ", ".join(m.__tablename__ for m in marts())
        raise SettingsError(f"there is no mart {mart!r}; there are {known}")
    if len(key) != len(keys(named)):
        raise SettingsError(
            f"{named.__tablename__} has the key {', '.join(keys(named))}: give {len(keys(named))} values"
        )
    with reading(bind, settings) as conn:
        return [dict(row) for row in conn.execute(lines_behind(named, key), settings.rules).mappings()]


def lines_behind(mart: type[Mart], key: tuple[object, ...]) -> Query:
    """The order lines that count towards the row of the key, with their raw rows and batches."""
    while is_derived(mart) and issubclass(mart.source, Mart):
        mart = mart.source
    statement = (
        select(
            *(getattr(OrderLine, name) for name in STAGED_COLUMNS),
            OrderLine.total_amount,
            Batch.file_name,
            Batch.loaded_at,
            *(getattr(OrderDelivered, name).label(f"raw_{name}") for name in FEED_COLUMNS),
        )
        .join_from(OrderLine, Batch, OrderLine.batch_id == Batch.batch_id)
        .join(
            OrderDelivered,
            (OrderLine.batch_id == OrderDelivered.batch_id)
            & (OrderLine.source_row == OrderDelivered.source_row),
            isouter=True,
        )
        .order_by(OrderLine.order_timestamp, OrderLine.order_id, OrderLine.line_number)
    )
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderLine))
    for name, value in zip(keys(mart), key, strict=True):
        expression = measures(mart)[name].expression
        assert expression is not None
        statement = statement.where(
            expression(OrderLine) == cast(literal(str(value)), mart.__table__.c[name].type)
        )
    return statement


def _staging_differences(conn: Connection, parameters: dict[str, Any], *, sample: bool) -> list[Difference]:
    judge_again(conn, parameters, sample=sample)
    rejects = replay_sql.rejects_difference(sample=sample)
    found = _differences(conn, "staging.orders_rejected", rejects, parameters)
    conn.execute(replay_sql.delete_outdated())
    lines = replay_sql.lines_difference(sample=sample)
    return found + _differences(conn, "staging.orders_stg", lines, parameters)


def _differences(
    conn: Connection, table: str, statement: Query, parameters: dict[str, Any]
) -> list[Difference]:
    rows = [dict(row) for row in conn.execute(statement, parameters).mappings()]
    return [Difference(table, row.pop("side"), row) for row in rows]
