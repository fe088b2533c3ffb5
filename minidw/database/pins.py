"""What a transaction of ours depends on is set at its start: a run means the same whatever the server,
the role or the environment set."""

from typing import Any

import sqlalchemy
from sqlalchemy import Connection, func, select

PINNED = {
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "lock_timeout": "10s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_connection_check_interval": "1s",
    "synchronize_seqscans": "off",
    "jit": "off",
    # A batch looks up its order lines in the indexes: right on any disk of today, and in memory.
    "random_page_cost": "1.1",
    # What a select of ours computes per row costs far more than handing the row from one core to another.
    "parallel_setup_cost": "100",
    "parallel_tuple_cost": "0.01",
    # A hash table of several processes lies in shared memory, of which a container has 64 MB by default.
    "enable_parallel_hash": "off",
    # What a run gathers statistics of is joined once: a rough idea will do, in a fifth of the time.
    "default_statistics_target": "10",
    "work_mem": "128MB",
    "maintenance_work_mem": "256MB",
}


def pin(conn: Connection) -> dict[str, str]:
    """Set what the work depends on, for this transaction; returns what it was."""
    driver: Any = conn.connection.driver_connection
    pinned = PINNED | ({"transaction_timeout": "0"} if driver.server_version >= 170000 else {})
    current = select(*(func.current_setting(name).label(name) for name in pinned))
    before = dict(conn.execute(current).one()._mapping)
    conn.execute(set_local(pinned))
    return before


def set_local(values: dict[str, str]) -> sqlalchemy.Executable:
    """Set parameters for this transaction."""
    return select(*(func.set_config(name, value, True) for name, value in values.items()))
