"""Every table against what it follows from, both ways."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, exists, func, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError
from minidw.feed.feed import Translation
from minidw.schema.ledger import Batch, MartBuild
from minidw.schema.marts import all_marts
from minidw.schema.staging import OrderChange, OrderLine
from minidw.schema.vocabulary import PUBLISHED
from minidw.settings import Settings
from minidw.steps.replay import judge_again, translated_batches
from minidw.steps.rules import rules_in_force
from minidw.transforms import marts, proof, replay
from minidw.transforms.constructs import Query
from minidw.transforms.judge import batches_by_feed
from minidw.transforms.parse import Scope

Progress = Callable[[str, int, int], None]
"""Called with what is looked at next, how many parts are done, and how many there are."""

Comparison = tuple[str, Query | None]
"""A table, and the rows in which it differs; none where there is nothing to compare."""

QUEUE = "staging.orders_changes"


@dataclass(frozen=True)
class Difference:
    """A row that only one side has.

    table: the table, with its schema
    side: ``held`` for a row that the table holds and should not, ``due`` for one that it should hold
    row: column name and value

    Example:
        >>> with minidw.create_engine().begin() as conn:
        ...     conn.exec_driver_sql("UPDATE mart.customer_ltv SET order_lines = 9 WHERE customer_id = 'bob'")
        ...     for difference in minidw.verify(conn).differences:
        ...         print(difference.table, difference.side, difference.row["order_lines"])
        <sqlalchemy.engine.cursor.CursorResult object at ...>
        mart.customer_ltv due 1
        mart.customer_ltv held 9
    """

    table: str
    side: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Verified:
    """What was compared, and how it differs.

    tables: the number of differing rows of each table that was compared
    differences: the first of them, up to 20 of each comparison
    changes_waiting: changes that the marts are not to have yet; they are compared as of the last build
    full_builds_waiting: marts that the next build makes in full. One that was defined otherwise when it
        was built is compared with its present definition, and may differ
    lines_beyond_raw: order lines that cannot be compared with raw, for their batches were pruned

    Example:
        >>> minidw.verify().changes_waiting
        0
    """

    differences: list[Difference]
    tables: dict[str, int]
    changes_waiting: int
    full_builds_waiting: list[str]
    lines_beyond_raw: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def verify(
    bind: Bind = None,
    *,
    sample: float | None = None,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Verified:
    """Compare every table with what it follows from, in one snapshot. Writes nothing and holds no lock.

    The ledger, rejects and order lines are held against the rows of raw, judged again; the control totals
    against the order lines; the changes that wait against both; and each mart against its from-scratch
    query over what was staged when it was built. The rows are compared, counted and kept by the server,
    however many differ.

    Args:
        bind: where to read; nothing: what the settings say
        sample: compare a random part of the keys, above 0 and up to 1, such as 0.01; counts and control
            totals are left out then. All of them by default
        progress: called before each part with its name
        settings: those of the environment by default

    Returns:
        What was compared; ``differences`` is empty where all is well.

    Raises:
        SettingsError: the sample is no part, or the settings say otherwise than the rules of the warehouse
        DatabaseError: the warehouse cannot be read

    Example:
        >>> verified = minidw.verify()
        >>> verified.tables["mart.daily_revenue"], verified.differences
        (0, [])
    """
    settings = settings or Settings.from_env()
    if sample is not None and not 0 < sample <= 1:
        raise SettingsError(f"sample: {sample} is not a part of the keys; give a number above 0 and up to 1")
    scope = Scope.ALL if sample is None else Scope.SAMPLE
    with reading(bind, settings, snapshot=True) as conn:
        rules = rules_in_force(conn, settings).rules
        parameters = rules | {"fraction": sample, "salt": random.getrandbits(62)}
        builds: dict[str, str | None] = dict(
            conn.execute(select(MartBuild.mart, MartBuild.fingerprint)).all()
        )
        elsewhere = select(MartBuild.mart).where(MartBuild.method == PUBLISHED)
        published = set(conn.scalars(elsewhere))
        waiting = conn.scalar(select(func.count()).select_from(OrderChange)) or 0
        unbuilt = conn.scalar(select(exists().where(Batch.staged_at.is_not(None), Batch.built_at.is_(None))))
        translated = translated_batches(conn)
        parameters |= batches_by_feed(translated)
        comparisons = [
            *(_of_raw() if scope is Scope.ALL else ()),
            *_of_staging(scope, translated),
            *(_of_queue(scope, builds) if waiting or unbuilt else [(QUEUE, None)]),
            *_of_marts(scope, builds, published, changes=waiting > 0),
        ]

        def report(part: str, done: int) -> None:
            if progress is not None:
                progress(part, done, len(comparisons) + 1)

        report("raw.orders_all, judged again", 0)
        judge_again(conn, parameters, scope)
        conn.execute(replay.create_fates())
        tables = dict.fromkeys((table for table, _ in comparisons), 0)
        differences = []
        for done, (table, statement) in enumerate(comparisons, start=1):
            report(table, done)
            number, rows = _differences(conn, statement, parameters)
            tables[table] += number
            differences += [Difference(table, row.pop("side"), row) for row in rows]
        beyond = select(func.count()).select_from(OrderLine).where(replay.is_pruned(OrderLine))
        lines_beyond_raw = conn.scalar(beyond) or 0
    outdated = [
        mart.__tablename__
        for mart in all_marts()
        if builds.get(mart.__tablename__) != marts.fingerprint(mart, rules)
    ]
    return Verified(differences, tables, waiting, outdated, lines_beyond_raw)


def _of_raw() -> list[Comparison]:
    return [
        ("raw.orders_all", proof.delivered_rows()),
        ("raw.lines_malformed", proof.malformed_lines()),
        ("raw.batches", proof.ledger_counts()),
        ("staging.orders_totals", proof.totals()),
    ]


def _of_staging(scope: Scope, translated: Mapping[Translation, Sequence[int]]) -> list[Comparison]:
    rejects, lines = proof.rejects(scope, translated), proof.lines(scope)
    return [("staging.orders_rejected", rejects), ("staging.orders_stg", lines)]


def _of_queue(scope: Scope, builds: dict[str, str | None]) -> list[Comparison]:
    filled = not builds or None in builds.values()
    return [(QUEUE, statement) for statement in proof.changes(scope, filled=filled)]


def _of_marts(
    scope: Scope, builds: dict[str, str | None], published: set[str], *, changes: bool
) -> list[Comparison]:
    """What was published here follows from nothing that is here."""
    return [
        (
            f"mart.{mart.__tablename__}",
            None
            if mart.__tablename__ in published
            else proof.mart(mart, scope, built=builds.get(mart.__tablename__) is not None, changes=changes),
        )
        for mart in all_marts()
    ]


def _differences(
    conn: Connection, statement: Query | None, parameters: dict[str, Any]
) -> tuple[int, list[dict[str, Any]]]:
    """How many rows differ, and the first of them."""
    if statement is None:
        return 0, []
    rows = [dict(row) for row in conn.execute(proof.first_rows(statement), parameters).mappings()]
    numbers = [row.pop("differing") for row in rows]
    return (numbers[0] if numbers else 0), rows
