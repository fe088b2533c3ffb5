"""What a file would change: the run, rolled back on purpose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Numeric,
    TableClause,
    and_,
    case,
    column,
    func,
    or_,
    select,
    table,
)

from minidw.database.engine import Bind
from minidw.database.transaction import transaction
from minidw.feed.format import Format
from minidw.feed.given import Input
from minidw.feed.survey import SurveyedFile
from minidw.pipeline.files import surveyed
from minidw.pipeline.result import Result
from minidw.pipeline.sequence import all_steps, follow_rules, unload_steps
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.schema.words import Role
from minidw.settings import Settings
from minidw.steps.rules import keep_rules, wanted_rules
from minidw.transforms.constructs import CreateTemporary, Query
from minidw.transforms.values import keys, measures, named


@dataclass(frozen=True)
class RowChange:
    """A row that a mart would gain, lose, or hold with other values.

    key: the key of the row, by column
    before: its other columns as they are; None where it would be gained
    after: its other columns as they would be; None where it would be lost

    Example:
        >>> change = minidw.preview("corrections.csv").marts[0].rows[0]
        >>> change.key, change.after["revenue"]
        ({'order_date': datetime.date(2024, 5, 4)}, Decimal('120.0000'))
    """

    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class MartPreview:
    """How a mart would change.

    mart: name of its table
    gained, lost, changed: number of rows
    rows: those of the largest change first

    Example:
        >>> daily = minidw.preview("corrections.csv").marts[0]
        >>> daily.mart, daily.gained, daily.lost, daily.changed
        ('daily_revenue', 1, 0, 1)
    """

    mart: str
    gained: int
    lost: int
    changed: int
    rows: list[RowChange]


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    result: what the run would have returned
    marts: what it would change in each mart

    Example:
        >>> [mart.gained for mart in minidw.preview("corrections.csv").marts]
        [1, 0, 0, 0]
    """

    result: Result
    marts: list[MartPreview]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"result": self.result.as_dict()}


class _RolledBack(Exception):  # noqa: N818 - raised to leave a transaction, not to report anything
    pass


def preview(
    source: Input | SurveyedFile,
    bind: Bind = None,
    *,
    name: str | None = None,
    rows: int | None = None,
    format: Format | None = None,
    force: bool = False,
    number_lines: bool = False,
    replace: int | None = None,
    accept_rules: bool = False,
    wait: bool = True,
    progress: Callable[[int], None] | None = None,
    settings: Settings | None = None,
) -> Preview:
    """Run a file and roll it back: what would it change? The database is left as it was.

    Args:
        source: the file, as in ``run``
        bind: where to work; nothing: what the settings say
        rows: at most so many rows per mart, those of the largest change first; all of them by default
        name, format, force, number_lines, replace, accept_rules, wait, progress, settings: as in ``run``

    Returns:
        The result that the run would have, and what it would change in each mart.

    Raises:
        BadFileError, CheckFailedError, SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> seen = minidw.preview("corrections.csv")
        >>> seen.result.staged[0].updated
        1
        >>> minidw.status()["batches"][0]["file_name"]
        'orders.csv'
    """
    settings = settings or Settings.from_env()
    file = surveyed(source, format, name)
    result = Result("preview", file.name)

    def run_it(conn: Connection) -> None:
        ruled, result.rules = keep_rules(conn, settings, loading=True, accept=accept_rules)
        all_steps(
            conn,
            result,
            file,
            ruled,
            force=force,
            number_lines=number_lines,
            replace=replace,
            progress=progress,
        )

    return _rolled_back(run_it, result, bind, settings, wait=wait, rows=rows)


def preview_unload(
    batch_ids: int | Sequence[int],
    bind: Bind = None,
    *,
    rows: int | None = None,
    wait: bool = True,
    settings: Settings | None = None,
) -> Preview:
    """Take batches back as ``unload`` does, and roll it back: what would that change?

    Args:
        batch_ids: the number of a batch, or several
        bind, rows, wait, settings: as in ``preview``

    Returns:
        As in ``preview``.

    Raises:
        SettingsError, CheckFailedError, WarehouseBusyError, DatabaseError: as in ``unload``

    Example:
        >>> minidw.preview_unload(1).marts[0].lost
        2
    """
    settings = settings or Settings.from_env()
    result = Result("preview")
    chosen = [batch_ids] if isinstance(batch_ids, int) else list(batch_ids)

    def take_them_back(conn: Connection) -> None:
        unload_steps(conn, result, chosen, keep_rules(conn, settings)[0])

    return _rolled_back(take_them_back, result, bind, settings, wait=wait, rows=rows)


def preview_rules(
    changes: Mapping[str, Any],
    bind: Bind = None,
    *,
    rows: int | None = None,
    wait: bool = True,
    settings: Settings | None = None,
) -> Preview:
    """Change rules as ``set_rules`` does, and roll it back: what would that change?

    Args:
        changes: new values by the name of the setting; None for the default
        bind, rows, wait, settings: as in ``preview``

    Returns:
        As in ``preview``.

    Raises:
        SettingsError, BadFileError, CheckFailedError, WarehouseBusyError, DatabaseError: as in ``set_rules``

    Example:
        >>> minidw.preview_rules({"REVENUE_STATUSES": "delivered"}).marts[0].lost
        1
    """
    settings = settings or Settings.from_env()
    wanted = wanted_rules(changes)
    result = Result("preview")

    def change_them(conn: Connection) -> None:
        ruled, result.rules = keep_rules(conn, settings, wanted=wanted)
        follow_rules(conn, result, ruled)

    return _rolled_back(change_them, result, bind, settings, wait=wait, rows=rows)


def _rolled_back(
    work: Callable[[Connection], None],
    result: Result,
    bind: Bind,
    settings: Settings,
    *,
    wait: bool,
    rows: int | None,
) -> Preview:
    """What work on a connection would change in the marts."""
    found: list[MartPreview] = []
    try:
        with transaction(bind, settings, wait=wait) as conn:
            for mart in all_marts():
                copy = select(*(getattr(mart, name) for name in measures(mart)))
                conn.execute(CreateTemporary(_before(mart).name, copy))
            work(conn)
            found = [_preview_mart(conn, mart, rows) for mart in all_marts()]
            raise _RolledBack
    except _RolledBack:
        return Preview(result, found)


def changed_rows(mart: type[Mart]) -> Query:
    """The rows of a mart that differ from its copy, the largest change first; ``kind`` says how."""
    before, after = _before(mart), mart.__table__
    key, columns = keys(mart), list(measures(mart))
    values = [name for name in columns if name not in key]
    same_key = and_(*(before.c[name] == after.c[name] for name in key))
    amounts = [name for name in (*named(mart, Role.TOTAL), *values) if _is_number(after.c[name])]
    size = [func.abs(func.coalesce(after.c[name], 0) - func.coalesce(before.c[name], 0)) for name in amounts]
    gained, lost = before.c[key[0]].is_(None), after.c[key[0]].is_(None)
    return (
        select(
            case((gained, "gained"), (lost, "lost"), else_="changed").label("kind"),
            *(func.coalesce(after.c[name], before.c[name]).label(f"key_{name}") for name in key),
            *(before.c[name].label(f"before_{name}") for name in values),
            *(after.c[name].label(f"after_{name}") for name in values),
        )
        .join_from(before, after, same_key, full=True)
        .where(or_(gained, lost, *(before.c[name].is_distinct_from(after.c[name]) for name in values)))
        .order_by(
            *(change.desc() for change in size[:1]),
            *(func.coalesce(after.c[name], before.c[name]) for name in key),
        )
    )


def _is_number(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, Integer | Numeric)


def _preview_mart(conn: Connection, mart: type[Mart], rows: int | None) -> MartPreview:
    statement = changed_rows(mart)
    kinds = statement.order_by(None).subquery("kinds")
    numbers: dict[str, int] = dict(
        conn.execute(select(kinds.c.kind, func.count()).group_by(kinds.c.kind)).all()
    )
    found = []
    for row in conn.execute(statement.limit(rows)).mappings():

        def part(prefix: str, row: Any = row) -> dict[str, Any]:
            return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}

        kind = row["kind"]
        before = None if kind == "gained" else part("before_")
        found.append(RowChange(part("key_"), before, None if kind == "lost" else part("after_")))
    return MartPreview(
        mart.__tablename__, numbers.get("gained", 0), numbers.get("lost", 0), numbers.get("changed", 0), found
    )


def _before(mart: type[Mart]) -> TableClause:
    """The temporary copy of a mart, as it is before the run."""
    columns = (column(name, mart.__table__.c[name].type) for name in measures(mart))
    return table(f"before_{mart.__tablename__}", *columns)
