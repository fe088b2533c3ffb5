"""Marts and checks that a test declares: their tables, and their end."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateTable

from minidw import Mart, all_marts
from minidw.schema.checks import declared_checks
from minidw.steps import check
from minidw.transforms import incremental, marts

CACHES = (marts.query, marts.full_build, incremental.incremental_build, check._checks_of)


@contextmanager
def for_a_while() -> Iterator[None]:
    """What is declared inside is forgotten at the end."""
    before, checks = set(Mart.metadata.tables), dict(declared_checks)
    try:
        yield
    finally:
        declared_checks.clear()
        declared_checks.update(checks)
        for name in set(Mart.metadata.tables) - before:
            Mart.metadata.remove(Mart.metadata.tables[name])
        for cache in CACHES:
            cache.cache_clear()


def create_tables(conn: Connection) -> None:
    """The tables of the marts that no migration made."""
    for mart in all_marts():
        if conn.scalar(text("SELECT to_regclass(:name)"), {"name": str(mart.__table__)}) is None:
            conn.execute(CreateTable(mart.__table__))  # type: ignore[arg-type]
