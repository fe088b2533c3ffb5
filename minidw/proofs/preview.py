"""What a file would change: the run, rolled back on purpose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, TableClause, column, select, table

from minidw.database.engine import Bind
from minidw.database.transaction import transaction
from minidw.feed.feed import Feed
from minidw.feed.given import Input
from minidw.feed.survey import SurveyedFile
from minidw.pipeline.files import surveyed
from minidw.pipeline.result import Result
from minidw.pipeline.sequence import all_steps, follow_rules, unload_steps
from minidw.proofs.changes import MartChange, change_of
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.settings import Settings
from minidw.steps.rules import keep_rules, wanted_rules
from minidw.transforms.constructs import CreateTemporary
from minidw.transforms.values import measures


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
    marts: list[MartChange]

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
    feed: Feed | None = None,
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
        name, feed, force, number_lines, replace, accept_rules, wait, progress, settings: as in ``run``

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
    file = surveyed(source, feed, name)
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
    found: list[MartChange] = []
    try:
        with transaction(bind, settings, wait=wait) as conn:
            for mart in all_marts():
                copy = select(*(getattr(mart, name) for name in measures(mart)))
                conn.execute(CreateTemporary(_before(mart).name, copy))
            work(conn)
            found = [change_of(conn, mart, _before(mart), mart.__table__, rows) for mart in all_marts()]
            raise _RolledBack
    except _RolledBack:
        return Preview(result, found)


def _before(mart: type[Mart]) -> TableClause:
    """The temporary copy of a mart, as it is before the run."""
    columns = (column(name, mart.__table__.c[name].type) for name in measures(mart))
    return table(f"before_{mart.__tablename__}", *columns)
