"""staging → mart: each mart by its changes, or in full where that is due."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from minidw.schema.mart import Mart, MartBuild, marts
from minidw.schema.raw import Batch
from minidw.schema.staging import OrderChange
from minidw.settings import Settings
from minidw.transforms import marts as sql


@dataclass(frozen=True)
class Built:
    """How a mart was brought up to date: ``method`` is full, incremental or none, with the reason."""

    mart: str
    method: str
    reason: str
    rows: int


def build(conn: Connection, settings: Settings, *, full: bool = False) -> list[Built]:
    """Bring every mart up to date with staging and empty the queue of changes."""
    known: dict[str, str | None] = dict(conn.execute(select(MartBuild.mart, MartBuild.fingerprint)).all())
    waiting = bool(conn.scalar(select(exists().select_from(OrderChange))))
    built: dict[type[Mart], Built] = {}
    for mart in marts():
        fingerprint = sql.fingerprint(mart, settings.rules)
        source = built.get(mart.source) if issubclass(mart.source, Mart) else None
        if full:
            method, reason = "full", "asked for"
        elif mart.__tablename__ not in known:
            method, reason = "full", "never built"
        elif known[mart.__tablename__] is None:
            method, reason = "full", "staging was filled at once"
        elif known[mart.__tablename__] != fingerprint:
            method, reason = "full", "its definition or rules changed"
        elif source is not None and source.method == "full":
            method, reason = "full", f"{source.mart} was built in full"
        elif waiting:
            method, reason = "incremental", "changes are waiting"
        else:
            method, reason = "none", "no changes are waiting"
        if method != "none":
            statements = sql.full_build(mart) if method == "full" else sql.incremental_build(mart)
            for statement in statements:
                conn.execute(statement, settings.rules)
            _record(conn, mart, fingerprint, method, reason)
        rows = conn.scalar(select(func.count()).select_from(mart)) or 0
        built[mart] = Built(mart.__tablename__, method, reason, rows)
    conn.execute(delete(OrderChange))
    unbuilt = update(Batch).where(Batch.staged_at.is_not(None), Batch.built_at.is_(None))
    conn.execute(unbuilt.values(built_at=func.clock_timestamp()))
    return list(built.values())


def _record(conn: Connection, mart: type[Mart], fingerprint: str, method: str, reason: str) -> None:
    values = {
        "fingerprint": fingerprint,
        "built_at": func.clock_timestamp(),
        "method": method,
        "reason": reason,
    }
    record = insert(MartBuild).values(mart=mart.__tablename__, **values)
    conn.execute(record.on_conflict_do_update(index_elements=[MartBuild.mart], set_=values))
