"""Processes that are clients of an embedded server."""

from pathlib import Path

import sqlalchemy as sa

from minidw.embedded.cluster import Server


def answer(server: Server, query: str = "SELECT 1") -> object:
    """What the server says."""
    engine = sa.create_engine(server.url, poolclass=sa.NullPool)
    with engine.connect() as conn:
        return conn.scalar(sa.text(query))


def postmaster(home: Path) -> int:
    """The pid in the pid file."""
    return int((home / "pgdata" / "postmaster.pid").read_text().splitlines()[0])
