"""A server or a database that would give wrong results is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import URL, make_url

import minidw
from minidw import DatabaseError, Settings, SettingsError
from minidw.database.engine import connect_arguments


def test_an_older_server_is_refused(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidw.database.connection.OLDEST_SERVER", 990000)
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


HOSTILE = {
    "PGOPTIONS": "-c search_path=nowhere -c timezone=Asia/Tokyo",
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "203.0.113.1",
    "PGPORT": "1",
    "PGDATABASE": "nowhere",
    "PGUSER": "nobody",
    "PGSSLMODE": "require",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "German",
    "PGTZ": "Asia/Tokyo",
    "PGAPPNAME": "other",
}


def test_variables_of_libpq_do_not_change_what_a_run_does(
    database: URL, monkeypatch: pytest.MonkeyPatch, feed: Callable[..., Path]
) -> None:
    names = ("search_path", "application_name", "client_encoding")
    with monkeypatch.context() as environment:
        for name, value in HOSTILE.items():
            environment.setenv(name, value)

        minidw.run(feed("order_id | category\n1 | café"), settings=Settings(url=database))

        engine = minidw.create_engine(Settings(url=database))
        with engine.connect() as conn:
            in_force = conn.execute(sa.select(*(sa.func.current_setting(name) for name in names))).one()
            staged = conn.execute(
                sa.text("SELECT current_database(), category FROM staging.orders_stg")
            ).one()
        engine.dispose()
    assert in_force == ("pg_catalog", "minidw", "UTF8")
    assert staged == (database.database, "café")


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        ("postgresql://ada@db.example/shop", "verify-full"),
        ("postgresql://ada@10.0.0.7/shop", "verify-full"),
        ("postgresql://ada@/shop?host=localhost:5432&host=db.example:5432", "verify-full"),
        ("postgresql://ada@/shop", "prefer"),
        ("postgresql://ada@/shop?host=/run/postgresql", "prefer"),
        ("postgresql://ada@localhost/shop", "prefer"),
        ("postgresql://ada@127.0.0.2/shop", "prefer"),
        ("postgresql://ada@[::1]/shop", "prefer"),
        ("postgresql://ada@db.example/shop?sslmode=require", "require"),
    ],
)
def test_tls_is_verified_unless_the_host_is_this_machine_or_the_url_says_otherwise(
    url: str, sslmode: str
) -> None:
    assert connect_arguments(make_url(url))["sslmode"] == sslmode


def test_several_hosts_keep_their_ports() -> None:
    several = connect_arguments(make_url("postgresql://ada@/shop?host=localhost:1&host=db.example:2"))
    assert (several["host"], several["port"]) == ("localhost,db.example", "1,2")
    with pytest.raises(SettingsError, match="names several hosts in a way that is none"):
        connect_arguments(make_url("postgresql://ada@/shop?host=a&host=b&port=1,2,3"))


def test_text_arrives_as_it_is_whatever_encoding_the_url_asks_for(
    database: URL, feed: Callable[..., Path]
) -> None:
    path = feed("order_id | category\n1 | café")
    latin = database.update_query_dict({"client_encoding": "latin1"})
    # An engine of ours knows better, and one of the caller's own is told.
    engine = minidw.create_engine(Settings(url=latin))
    minidw.run(path, engine)
    with engine.connect() as conn:
        assert conn.scalar(sa.text("SELECT category FROM staging.orders_stg")) == "café"
    engine.dispose()
    with pytest.raises(DatabaseError, match="this connection speaks LATIN1; give minidw one with"):
        minidw.run(path, sa.create_engine(latin, poolclass=sa.NullPool))


def test_a_server_without_tls_is_refused_under_the_name_of_another_machine(database: URL) -> None:
    if database.host is None:
        pytest.skip("the server listens on a socket only (pytest --postgres=tcp)")
    remote = database.set(host="db.example").update_query_dict({"hostaddr": str(database.host)})

    with pytest.raises(DatabaseError, match=r"certificate|SSL"):
        minidw.build_marts(settings=Settings(url=remote))

    minidw.build_marts(settings=Settings(url=remote.update_query_dict({"sslmode": "disable"})))
