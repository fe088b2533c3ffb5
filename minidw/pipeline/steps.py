"""The steps by themselves, and what keeps a warehouse: prune, unload and erase."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection

from minidw.database.engine import Bind
from minidw.pipeline.attempt import attempt
from minidw.pipeline.result import Result
from minidw.pipeline.sequence import erase_steps, unload_steps
from minidw.settings import Settings
from minidw.steps.build import build
from minidw.steps.check import execute_checks
from minidw.steps.erase import identifiers
from minidw.steps.prune import remove_rows
from minidw.steps.stage import stage


def build_staging(
    bind: Bind = None, *, replay: bool = False, wait: bool = True, settings: Settings | None = None
) -> Result:
    """Stage every batch that is not staged yet: the second step of ``run``, in a commit of its own.

    Args:
        bind, wait, settings: as in ``run``
        replay: judge the batches that are staged already again as well (False); they are anyway where a rule
            of theirs has changed

    Returns:
        ``staged``: each batch with its rows by fate; ``replayed``: what judging again changed.

    Raises:
        BadFileError: too many rows of a batch are rejected
        SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> result = minidw.load_raw("corrections.csv")
        >>> minidw.build_staging().staged[0].updated
        1
        >>> minidw.build_staging().staged
        []
    """
    settings = settings or Settings.from_env()

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        with result.step("stage"):
            result.replayed, result.staged = stage(conn, ruled, result.checked, again=replay)

    return attempt("stage", work, bind, settings, wait=wait)


def build_marts(
    bind: Bind = None, *, full: bool = False, wait: bool = True, settings: Settings | None = None
) -> Result:
    """Bring the marts up to date with staging: the third step of ``run``, in a commit of its own.

    Args:
        bind, wait, settings: as in ``run``
        full: build them from scratch (False)

    Returns:
        ``built``: each mart, by which method it was built, and why.

    Raises:
        SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> [built.method for built in minidw.build_marts().built]
        ['none', 'none', 'none', 'none']
        >>> minidw.build_marts(full=True).built[0].reason
        'asked for'
    """
    settings = settings or Settings.from_env()

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        with result.step("build"):
            result.built = build(conn, ruled, full=full)

    return attempt("build", work, bind, settings, wait=wait)


def run_checks(bind: Bind = None, *, wait: bool = True, settings: Settings | None = None) -> Result:
    """Execute the checks on everything that is there, and keep their results.

    Args:
        bind, wait, settings: as in ``run``

    Returns:
        ``checked``: each check; one that failed is in the result, and no exception.

    Raises:
        SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> [check.name for check in minidw.run_checks().checked if check.failed]
        []
    """
    settings = settings or Settings.from_env()

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        with result.step("check"):
            result.checked = execute_checks(conn, ruled)

    return attempt("check", work, bind, settings, wait=wait)


def prune(before: date, bind: Bind = None, *, wait: bool = True, settings: Settings | None = None) -> Result:
    """Remove the raw rows of old batches that have reached the marts.

    Staging, the marts and the ledger stay, and the same files are still recognised. What staging has of a
    pruned batch can no longer be compared with raw, nor judged again when a rule changes: it stands.

    Args:
        before: the batches that were loaded before this day, exclusive, UTC
        bind, wait, settings: as in ``run``

    Returns:
        ``pruned``: the batches, and how many rows they had.

    Raises:
        SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> pruned = minidw.prune(date(2100, 1, 1)).pruned
        >>> pruned.batch_ids, pruned.rows
        ([1], 5)
    """
    settings = settings or Settings.from_env()

    def work(conn: Connection, result: Result, _: Settings) -> None:
        with result.step("prune"):
            result.pruned = remove_rows(conn, before)

    return attempt("prune", work, bind, settings, wait=wait)


def unload(
    batch_ids: int | Sequence[int], bind: Bind = None, *, wait: bool = True, settings: Settings | None = None
) -> Result:
    """Take batches back: their rows leave raw, and everything becomes what the other deliveries say.

    An earlier version of an order line comes back, the marts follow, and the ledger keeps the batch with the
    time it was unloaded. The same bytes can be loaded again. All of it is one commit, after the checks.

    Args:
        batch_ids: the number of a batch, or several
        bind, wait, settings: as in ``run``

    Returns:
        ``unloaded``: each batch, and the order lines that ceased and came back; and what the steps did.

    Raises:
        SettingsError: there is no such batch, or it was pruned: nothing tells any more what it named
        CheckFailedError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> corrected = minidw.run("corrections.csv")
        >>> [(batch.file, batch.ceased, batch.came_back) for batch in minidw.unload(2).unloaded]
        [('corrections.csv', 2, 1)]
    """
    settings = settings or Settings.from_env()
    chosen = [batch_ids] if isinstance(batch_ids, int) else list(batch_ids)

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        unload_steps(conn, result, chosen, ruled)

    return attempt("unload", work, bind, settings, wait=wait)


def erase(
    customers: str | Sequence[str],
    bind: Bind = None,
    *,
    wait: bool = True,
    settings: Settings | None = None,
) -> Result:
    """Replace customers by pseudonyms everywhere, for good; the orders and what they add up to stay.

    Each is replaced in raw, staging, the marts and what the ledger tells; what else a row of the customer
    brought, and the feed makes no column of, is emptied. The ledger keeps that and when, not whom, and a
    keyed hash by which a later delivery of the same customer is told. What minidw does not hold keeps the
    name: the CSV files, backups, the write-ahead log, and the files of the server until a vacuum.

    Args:
        customers: the id of a customer, as it is staged, or several
        bind, wait, settings: as in ``run``

    Returns:
        ``erased``: of each customer the pseudonym, and how many order lines, delivered rows and mentions had
        the name; and what the steps did.

    Raises:
        SettingsError: nothing names a customer, or not every place can be reached
        CheckFailedError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> erased = minidw.erase("ada").erased[0]
        >>> erased.order_lines, erased.pseudonym[:7]
        (2, 'erased-')
        >>> minidw.report()["top customers"][1]["lifetime_value"]
        Decimal('115.5000')
    """
    settings = settings or Settings.from_env()
    chosen = identifiers(customers)

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        erase_steps(conn, result, chosen, ruled)

    return attempt("erase", work, bind, settings, wait=wait)
