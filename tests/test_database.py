"""A server or a database that would give wrong results is refused in one line."""

import pytest
import sqlalchemy as sa
from sqlalchemy import URL

import minidw
from minidw import DatabaseError, Settings


def test_an_older_server_is_refused(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidw.database.OLDEST_SERVER", 990000)
    with pytest.raises(DatabaseError, match=r"this server is PostgreSQL 1\d; minidw needs 99 or later"):
        minidw.build_marts(settings=Settings(url=database))


def test_a_database_that_is_not_in_utf8_is_refused(server: URL) -> None:
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as conn:
        conn.execute(sa.text("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"))
        try:
            with pytest.raises(DatabaseError, match="encoded in LATIN1; create one with ENCODING 'UTF8'"):
                minidw.upgrade(settings=Settings(url=server.set(database="latin")))
        finally:
            conn.execute(sa.text("DROP DATABASE latin WITH (FORCE)"))


def test_postgres_settings_of_the_environment_do_not_reach_a_run(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere -c timezone=Asia/Tokyo")
    engine = minidw.create_engine(Settings(url=database))
    with engine.connect() as conn:
        shown = conn.execute(
            sa.text("SELECT current_setting('search_path'), current_setting('timezone')")
        ).one()
    assert shown == ("pg_catalog", "UTC")
    engine.dispose()
