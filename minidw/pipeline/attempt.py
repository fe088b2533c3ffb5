"""An attempt: the work in one transaction under the one lock, with its line in the ledger."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Insert, exists, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from minidw.database.engine import Bind
from minidw.database.transaction import bound, transaction
from minidw.errors import DatabaseError, MinidwError, WarehouseBusyError
from minidw.pipeline.notices import notify
from minidw.pipeline.result import Result
from minidw.schema.ledger import CheckResult, Run
from minidw.settings import Settings
from minidw.steps.rules import keep_rules

RECONNECT_SECONDS = 5.0


def attempt(
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
                notify(conn, line["run_id"], command, result.built)
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
