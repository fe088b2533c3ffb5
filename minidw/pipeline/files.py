"""Bringing a file into the warehouse."""

from sqlalchemy import Connection

from minidw.database.engine import Bind
from minidw.feed.feed import Feed
from minidw.feed.given import Input
from minidw.feed.survey import SurveyedFile, survey
from minidw.pipeline.attempt import attempt
from minidw.pipeline.result import Result
from minidw.pipeline.sequence import Progress, all_steps
from minidw.settings import Settings
from minidw.steps.load import load


def run(
    source: Input | SurveyedFile,
    bind: Bind = None,
    *,
    name: str | None = None,
    feed: Feed | None = None,
    force: bool = False,
    number_lines: bool = False,
    replace: int | None = None,
    accept_rules: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Result:
    """Bring a CSV file into the warehouse: load, stage, build and check in one commit.

    A file whose bytes are there already is skipped; whatever an earlier step left undone is done.

    Args:
        source: path of the file; ``-`` for standard input; an ``https://`` URL, or with the extra ``s3`` one
            of ``s3://``; bytes; a file object, read from where it stands; an iterable of mappings from column
            to value, whose columns are those of the first; or, with the extra ``arrow``, a data frame:
            anything with ``__arrow_c_stream__``. Rows and frames are recognised by the CSV that they become
        bind: where to work; the transaction of a Connection or Session is joined and never committed;
            nothing: what the settings say
        name: what the file is called in the ledger; by default as it is called where it comes from. Its
            suffix, such as ``.csv.gz``, says how bytes are packed
        feed: how the file is to be read; a CSV that keeps to the contract by default
        force: load it although its bytes are there already (False)
        number_lines: the rows of an order are its lines: number them in file order (False)
        replace: number of a batch to unload; the file takes its place in the order of deliveries, so that
            what corrected it later still does. None by default
        accept_rules: where the settings say otherwise than the rules of the warehouse, change these, and
            everything that follows from them, in the same commit (False)
        wait: where another runner holds the warehouse, wait for it (True)
        progress: called with the number of bytes read since it was last called, while the file is loaded
        settings: those of the environment by default

    Returns:
        What each step did; ``loaded.skipped`` says that the bytes were there already.

    Raises:
        BadFileError: the file is refused, or too many of its rows are
        CheckFailedError: a check of severity ``error`` found rows
        SettingsError: an argument or a setting is wrong, or says otherwise than the rules of the warehouse
        WarehouseBusyError: another runner holds the warehouse, and ``wait`` is false
        DatabaseError: the database cannot be used

    Nothing of the file is stored then, save the ledger's note of the failure.

    Example:
        >>> staged = minidw.run("corrections.csv").staged[0]
        >>> staged.inserted, staged.updated
        (1, 1)
        >>> minidw.run("corrections.csv").loaded.skipped
        True

        A row of a program:

        >>> order = {"order_id": "1007", "order_timestamp": datetime(2024, 5, 5, 12), "customer_id": "ada",
        ...          "product_id": "lamp", "price": Decimal("40.00"), "quantity": 1, "status": "pending"}
        >>> minidw.run([order | {"category": "books"}], name="shop").staged[0].inserted
        1
    """
    settings = settings or Settings.from_env()
    file = surveyed(source, feed, name)

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
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

    return attempt("run", work, bind, settings, create=True, wait=wait, file=file.name, accept=accept_rules)


def load_raw(
    source: Input | SurveyedFile,
    bind: Bind = None,
    *,
    name: str | None = None,
    feed: Feed | None = None,
    force: bool = False,
    number_lines: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Result:
    """Load a CSV file into raw as one batch: the first step of ``run``, in a commit of its own.

    Args:
        source, bind, name, feed, force, number_lines, wait, progress, settings: as in ``run``

    Returns:
        ``loaded``: the batch and the rows it has.

    Raises:
        BadFileError: the file is refused
        SettingsError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> minidw.load_raw("corrections.csv").loaded.rows_read
        2
    """
    settings = settings or Settings.from_env()
    file = surveyed(source, feed, name)

    def work(conn: Connection, result: Result, _: Settings) -> None:
        with result.step("load"):
            result.loaded = load(conn, file, force=force, number_lines=number_lines, progress=progress)

    return attempt("load", work, bind, settings, create=True, wait=wait, file=file.name)


def surveyed(source: Input | SurveyedFile, feed: Feed | None, name: str | None) -> SurveyedFile:
    """The file, read once in full before any connection is made."""
    return source if isinstance(source, SurveyedFile) else survey(source, feed, name=name)
