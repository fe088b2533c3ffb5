"""The steps, each in one transaction under the one lock: load, stage, build, check; run is all of them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Insert, exists, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from minidw.database import bound, transaction
from minidw.engine import Bind
from minidw.errors import CheckFailedError, DatabaseError, MinidwError, WarehouseBusyError
from minidw.feed.format import Format
from minidw.feed.survey import Feed, survey
from minidw.schema.ledger import Batch, CheckResult, Run
from minidw.settings import Settings
from minidw.steps.build import Built, build
from minidw.steps.check import Checked, execute_checks
from minidw.steps.load import Loaded, load
from minidw.steps.prune import Pruned, remove_rows
from minidw.steps.rules import Moved, RuleChange, counted_revenue, keep_rules, wanted_rules
from minidw.steps.stage import Replayed, Staged, replay_if_due, stage
from minidw.steps.unload import Unloaded, remove_batches, take_back

Progress = Callable[[int], None]
RECONNECT_SECONDS = 5.0


@dataclass
class Result:
    """What a command did, in one commit; the steps that it does not have are empty.

    command: what was asked for, such as ``run``
    file: name of the file that was given; None where there was none
    replayed: what judging earlier batches again made of staging; None where they were not
    staged: each batch that was staged, with its rows by fate
    built: each mart, and how it was brought up to date
    checked: each check, and what it found
    unloaded: each batch that was taken back
    rules: each rule that was changed
    moved: the revenue that ``set_rules`` moved by it
    seconds: time per step, seconds

    Example:
        >>> result = minidw.run("corrections.csv")
        >>> [step for step in result.seconds]
        ['load', 'stage', 'build', 'check']
        >>> result.built[0].mart, result.built[0].method
        ('daily_revenue', 'incremental')
    """

    command: str
    file: str | None = None
    _loaded: Loaded | None = None
    replayed: Replayed | None = None
    staged: list[Staged] = field(default_factory=list)
    built: list[Built] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    _pruned: Pruned | None = None
    unloaded: list[Unloaded] = field(default_factory=list)
    rules: list[RuleChange] = field(default_factory=list)
    moved: Moved | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def loaded(self) -> Loaded:
        """What the load did; AttributeError after a command that loads no file."""
        if self._loaded is None:
            raise AttributeError(f"{self.command} loads no file: its result has no 'loaded'")
        return self._loaded

    @loaded.setter
    def loaded(self, loaded: Loaded) -> None:
        self._loaded = loaded

    @property
    def pruned(self) -> Pruned:
        """What was pruned; AttributeError after every other command."""
        if self._pruned is None:
            raise AttributeError(f"{self.command} prunes nothing: its result has no 'pruned'")
        return self._pruned

    @pruned.setter
    def pruned(self, pruned: Pruned) -> None:
        self._pruned = pruned

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; null for what the command does not do."""
        return {name.removeprefix("_"): value for name, value in asdict(self).items()}


def run(
    source: str | Path | Feed,
    bind: Bind = None,
    *,
    format: Format | None = None,
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
        source: path of the file, ``-`` for standard input, or a file that was surveyed
        bind: where to work; the transaction of a Connection or Session is joined and never committed;
            nothing: what the settings say
        format: how the file is to be read; a CSV that keeps to the contract by default
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
    """
    settings = settings or Settings.from_env()
    feed = surveyed(source, format)

    def work(conn: Connection, result: Result, ruled: Settings) -> None:
        all_steps(
            conn,
            result,
            feed,
            ruled,
            force=force,
            number_lines=number_lines,
            replace=replace,
            progress=progress,
        )

    return _attempt("run", work, bind, settings, create=True, wait=wait, file=feed.name, accept=accept_rules)


def load_raw(
    source: str | Path | Feed,
    bind: Bind = None,
    *,
    format: Format | None = None,
    force: bool = False,
    number_lines: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Result:
    """Load a CSV file into raw as one batch: the first step of ``run``, in a commit of its own.

    Args:
        source, bind, format, force, number_lines, wait, progress, settings: as in ``run``

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
    feed = surveyed(source, format)

    def work(conn: Connection, result: Result, _: Settings) -> None:
        with result.step("load"):
            result.loaded = load(conn, feed, force=force, number_lines=number_lines, progress=progress)

    return _attempt("load", work, bind, settings, create=True, wait=wait, file=feed.name)


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

    return _attempt("stage", work, bind, settings, wait=wait)


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

    return _attempt("build", work, bind, settings, wait=wait)


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

    return _attempt("check", work, bind, settings, wait=wait)


def set_rules(
    changes: Mapping[str, Any], bind: Bind = None, *, wait: bool = True, settings: Settings | None = None
) -> Result:
    """Change rules of the warehouse, judge every batch by them, build and check, in one commit.

    Args:
        changes: new values by the name of the setting, as there or as a value of its type; None for the
            default. What the settings say of the rules is not looked at
        bind, wait, settings: as in ``run``

    Returns:
        ``rules``: each rule that is another now, before and after; and what the steps did.

    Raises:
        SettingsError: there is no such rule or value
        BadFileError, CheckFailedError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> result = minidw.set_rules({"SEGMENT_VIP": 20000, "ORDER_DATE_MAX": None})
        >>> [(change.name, change.before, change.after) for change in result.rules]
        [('SEGMENT_VIP', '10000', '20000')]
    """
    settings = settings or Settings.from_env()
    wanted = wanted_rules(changes)
    return _attempt("rules", follow_rules, bind, settings, wait=wait, wanted=wanted)


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

    return _attempt("prune", work, bind, settings, wait=wait)


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

    return _attempt("unload", work, bind, settings, wait=wait)


def unload_steps(conn: Connection, result: Result, batch_ids: Sequence[int], settings: Settings) -> None:
    """The steps of an unload, in the transaction of the connection."""
    with result.step("unload"):
        result.replayed = replay_if_due(conn, settings, result.checked)
        result.unloaded, _ = remove_batches(conn, settings, take_back(conn, batch_ids), result.checked)
    with result.step("build"):
        result.built = build(conn, settings)
    with result.step("check"):
        result.checked += _check(conn, settings)


def all_steps(
    conn: Connection,
    result: Result,
    feed: Feed,
    settings: Settings,
    *,
    force: bool,
    number_lines: bool,
    replace: int | None = None,
    progress: Progress | None,
) -> None:
    """The steps of a run, in the transaction of the connection."""
    taken = [] if replace is None else take_back(conn, [replace])
    place = taken[0]["place"] if taken else None
    with result.step("load"):
        result.loaded = load(
            conn, feed, force=force, number_lines=number_lines, in_place_of=place, progress=progress
        )
    if taken:
        with result.step("unload"):
            result.replayed = replay_if_due(conn, settings, result.checked)
            result.unloaded, result.staged = remove_batches(
                conn, settings, taken, result.checked, result.loaded.batch_id
            )
    remaining_steps(conn, result, settings)


def remaining_steps(conn: Connection, result: Result, settings: Settings) -> None:
    """Those that follow a load, or a change of the rules."""
    with result.step("stage"):
        landed = result.loaded.batch_id if result.file is not None and not result.loaded.skipped else None
        replayed, staged = stage(conn, settings, result.checked, landed=landed)
        result.replayed = result.replayed or replayed
        result.staged += staged
    with result.step("build"):
        result.built = build(conn, settings)
    with result.step("check"):
        # Other rules judge every batch again, not only what is new.
        result.checked += _check(conn, settings, all_batches=bool(result.rules))


def follow_rules(conn: Connection, result: Result, settings: Settings) -> None:
    """What a change of the rules leads to, and how much revenue that moves."""
    lines_before, revenue_before = counted_revenue(conn)
    remaining_steps(conn, result, settings)
    lines, revenue = counted_revenue(conn)
    result.moved = Moved(lines_before, lines, revenue_before, revenue)


def surveyed(source: str | Path | Feed, format: Format | None) -> Feed:
    """The file, read once in full before any connection is made."""
    return source if isinstance(source, Feed) else survey(source, format or Format())


def _check(conn: Connection, settings: Settings, *, all_batches: bool = False) -> list[Checked]:
    fresh = select(Batch.batch_id).where(Batch.built_at.is_not(None), Batch.checked_at.is_(None))
    batch_ids = list(conn.scalars(fresh))
    checked = execute_checks(conn, settings, None if all_batches else batch_ids)
    if failed := [outcome for outcome in checked if outcome.failed]:
        raise CheckFailedError(
            "; ".join(
                f"check {outcome.name}: {outcome.offending} offending rows, such as {outcome.samples[0]}"
                for outcome in failed
            )
            + "; nothing was stored"
        )
    conn.execute(update(Batch).where(Batch.batch_id.in_(batch_ids)).values(checked_at=func.clock_timestamp()))
    return checked


def _attempt(
    command: str,
    work: Callable[[Connection, Result, Settings], None],
    bind: Bind,
    settings: Settings,
    *,
    create: bool = False,
    wait: bool,
    file: str | None = None,
    accept: bool = False,
    wanted: Mapping[str, Any] | None = None,
) -> Result:
    """Do the work in one transaction, with its line in the ledger; of a failure the line is written alone.

    It is done under the rules of the warehouse; ``accept`` and ``wanted`` are what ``keep_rules`` takes.
    In a transaction of the caller's own a failure is the caller's: the ledger is left as it was.
    """
    result = Result(command, file)
    line: dict[str, Any] = {
        "run_id": uuid4(),
        "command": command,
        "file_name": file,
        "started_at": datetime.now(UTC),
    }
    at_commit = False
    with bound(bind, settings, create=create, wait=wait) as target:
        try:
            with transaction(target, settings, wait=wait) as conn:
                ruled, result.rules = keep_rules(
                    conn, settings, loading=file is not None, accept=accept, wanted=wanted
                )
                work(conn, result, ruled)
                _record(conn, line, result)
                at_commit = True
        except WarehouseBusyError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if not isinstance(target, Engine):
                raise
            # All was done but the commit, whose answer did not come: the ledger has the line or has it not.
            in_doubt = at_commit and isinstance(error, Exception)
            if not (in_doubt and _is_committed(target, settings, line["run_id"])):
                _note_failure(target, line | {"seconds": result.seconds}, error)
                raise
    return result


def _record(conn: Connection, line: dict[str, Any], result: Result) -> None:
    """The line of a success in the ledger, and what its checks found."""
    batch_id = result.loaded.batch_id if result.file is not None else None
    conn.execute(_ledger_line(line, batch_id=batch_id, seconds=result.seconds))
    if result.checked:
        checked = [{"run_id": line["run_id"], **asdict(outcome)} for outcome in result.checked]
        conn.execute(insert(CheckResult), checked)


def _is_committed(engine: Engine, settings: Settings, run_id: UUID) -> bool:
    """Whether a run whose connection broke had committed: the ledger decides."""
    deadline = time.monotonic() + RECONNECT_SECONDS
    while True:
        try:
            # Behind the lock: the server may still be at the commit of the connection that broke.
            with transaction(engine, settings) as conn:
                return conn.scalar(select(exists().where(Run.run_id == run_id))) or False
        except DatabaseError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)


def _note_failure(engine: Engine, line: dict[str, Any], error: BaseException) -> None:
    """Best effort: where the database itself is what failed, the caller's error says so."""
    text = str(error).splitlines()[0] if isinstance(error, MinidwError) else type(error).__name__
    with suppress(SQLAlchemyError), engine.begin() as conn:
        conn.execute(_ledger_line(line, failure=text))


def _ledger_line(line: dict[str, Any], **outcome: Any) -> Insert:
    return insert(Run).values(finished_at=func.clock_timestamp(), **line, **outcome)
