"""The lock of the warehouse: one runner at a time, and who it is."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, func, select

from minidw.database.pins import PINNED, set_local
from minidw.errors import DatabaseError, WarehouseBusyError

LOCK_KEY = 0x6D696E696477


@dataclass(frozen=True)
class Lock:
    """What one runner at a time may hold, and how a message calls it."""

    key: int = LOCK_KEY
    name: str = "the warehouse"


WAREHOUSE = Lock()


def lock_statement(lock: Lock = WAREHOUSE) -> sqlalchemy.Select[Any]:
    """Wait for the warehouse and hold it until the transaction ends."""
    return select(func.pg_advisory_xact_lock(lock.key))


def hold(conn: Connection, *, wait: bool, lock: Lock = WAREHOUSE) -> None:
    """Hold the warehouse, or what else is to be held, until the transaction ends.

    Raises WarehouseBusyError where another holds it and ``wait`` is false, and DatabaseError in a
    transaction that would not see what that one commits.
    """
    # A snapshot older than the lock would not show what the runner before committed.
    isolation: str = conn.execute(select(func.current_setting("transaction_isolation"))).scalar_one()
    if isolation != "read committed":
        raise DatabaseError(f"this transaction is {isolation.upper()}; give minidw a READ COMMITTED one")
    if wait:
        # Another run may take any time; only what is locked beside us must not hold a run up.
        conn.execute(set_local({"lock_timeout": "0"}))
        conn.execute(lock_statement(lock))
        conn.execute(set_local({"lock_timeout": PINNED["lock_timeout"]}))
    elif not conn.scalar(select(func.pg_try_advisory_xact_lock(lock.key))):
        who = holder(conn, lock)
        raise WarehouseBusyError(
            f"{lock.name} is in use{f' by {who}' if who else ''}; try again, or leave out --no-wait"
        )


# Our lock among those of every database of the server.
_LOCKS = (
    "pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.objsubid = 1"
    " AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
)


def number_waiting(conn: Connection) -> int:
    """How many runners wait for the warehouse."""
    waiting = sqlalchemy.text(f"SELECT count(*) FROM {_LOCKS} AND NOT l.granted")
    return int(conn.execute(waiting, {"key": LOCK_KEY}).scalar_one())


def holder(conn: Connection, lock: Lock = WAREHOUSE) -> str | None:
    """Who holds the warehouse now, in words; None where nobody does."""
    found = conn.execute(
        sqlalchemy.text(
            f"SELECT a.pid, a.usename, a.application_name, a.xact_start FROM {_LOCKS} AND l.granted"
        ),
        {"key": lock.key},
    ).first()
    if found is None:
        return None
    since = f", since {found.xact_start:%H:%M:%S} UTC" if found.xact_start else ""
    return f"process {found.pid} ({found.usename}, {found.application_name or 'unnamed'}{since})"
