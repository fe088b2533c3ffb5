"""What a commit tells those who listen: which run it was, and the marts that it built."""

import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from selectors import EVENT_READ, DefaultSelector
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, func, select

from minidw.database.connection import connection
from minidw.database.engine import Bind
from minidw.database.transaction import bound
from minidw.errors import SettingsError
from minidw.settings import Settings
from minidw.steps.build import Built

CHANNEL = "minidw"
LONGEST = 7999  # bytes of a payload


@dataclass(frozen=True)
class Notice:
    """That a run was committed which built marts: what was read of these before may be out of date.

    run_id: the run; its line in ``raw.runs`` says more
    command: such as ``run`` or ``unload``
    marts: names of the tables; None where they are too many to be named, so any may have changed

    Example:
        >>> minidw.Notice.from_text("somebody else's")
    """

    run_id: UUID
    command: str
    marts: tuple[str, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"run_id": str(self.run_id)}

    def as_text(self) -> str:
        """The payload of the notification."""
        text = json.dumps(self.as_dict())
        return text if len(text) <= LONGEST else json.dumps(self.as_dict() | {"marts": None})

    @classmethod
    def from_text(cls, text: str) -> "Notice | None":
        """The notice that a payload is, or None: anyone may use the channel."""
        try:
            match json.loads(text):
                case {"run_id": str(run_id), "command": str(command), "marts": list() | None as marts}:
                    return cls(UUID(run_id), command, None if marts is None else tuple(marts))
        except ValueError:
            pass
        return None


def notify(conn: Connection, run_id: UUID, command: str, built: Sequence[Built]) -> None:
    """Tell who listens, when this transaction commits, of the marts that were built; of none, nothing."""
    if marts := tuple(mart.mart for mart in built if mart.method != "none"):
        conn.execute(select(func.pg_notify(CHANNEL, Notice(run_id, command, marts).as_text())))


def listen(
    bind: Bind = None, *, timeout: float | None = None, settings: Settings | None = None
) -> Generator[Notice, None, None]:
    """Wait for commits that build marts: caches and what follows from the marts need not ask again and again.

    It listens from the call on, and tells what is committed from then on; what was committed before, or while
    nobody listened, ``raw.runs`` has. Over a pooler that shares connections by transaction nothing is heard.

    Args:
        bind: an Engine, of which it takes one connection for as long as it listens; nothing: what the
            settings say
        timeout: seconds without a notice after which it ends; None: never
        settings: those of the environment by default

    Returns:
        The notices, in the order of the commits.

    Raises:
        SettingsError: the bind is a Connection or a Session: they hear nothing before their transaction ends
        DatabaseError: the warehouse cannot be reached; ConnectionLostError where the connection breaks

    Example:
        >>> notices = minidw.listen(timeout=5)
        >>> result = minidw.run("corrections.csv")
        >>> next(notices).marts
        ('daily_revenue', 'customer_ltv', 'product_revenue', 'customer_segments')
        >>> notices.close()
    """
    notices = _listen(bind, timeout, settings or Settings.from_env())
    next(notices)
    return notices


def _listen(bind: Bind, timeout: float | None, settings: Settings) -> Generator[Any, None, None]:
    with bound(bind, settings) as target:
        if not isinstance(target, Engine):
            raise SettingsError("bind: to listen, an Engine is needed")
        with connection(target) as conn:
            driver: Any = conn.connection.driver_connection
            conn.detach()  # closed in the end, so that nobody who gets it later goes on listening
            driver.autocommit = True
            with driver.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            yield None  # the call of listen has done its work
            with DefaultSelector() as selector:
                selector.register(driver, EVENT_READ)
                while driver.notifies or selector.select(timeout):
                    driver.poll()
                    while driver.notifies:
                        if notice := Notice.from_text(driver.notifies.pop(0).payload):
                            yield notice
