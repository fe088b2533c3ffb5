"""The same feeds give the same answer everywhere, row by row, whatever the locale, the zone or the server.

The feeds are below. The answer stands beside this file: every row of every table that they become.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import URL, text

import minidw
from minidw import DatabaseError, Settings
from minidw.embedded import account
from tests.support import servers
from tests.support.feeds import write_feed

# A range whose ends the zones of the feeds lie on either side of.
RULES = Settings(
    max_reject_ratio=Decimal(1), order_date_min=date(2023, 1, 1), order_date_max=date(2025, 12, 31)
)
EXPECTED = Path(__file__).with_name("everywhere.txt").read_text("ascii").splitlines()

FIRST = """
order_id  | order_timestamp           | customer_id | product_id | category | price  | quantity | status
é1        | 2024-05-01T10:00:00+05:45 | Zoë         | naïve      | Bücher   | 10.00  | 1        | DELIVERED
e\u03012  | 2024-05-01T00:10:00+05:45 | Zoe\u0308   | nai\u0308ve | Bu\u0308cher | 0.0001 | 3    | SHIPPED
ß3        | 2024-12-31T23:30:00-03:30 | Straße      | p1         | İstanbul | 7      | 2        | shipped
SS4       | 2024-03-10 02:30:00       | STRASSE     | p1         | ISTANBUL | 7.5    | 2        | Pending
i5        | 2024-11-03 01:30:00       | strasse     | p1         | ıstanbul | 1000   | 12       | CANCELLED
I6        | 2024-06-30T23:59:59.999999Z | ISIK      | I          | istanbul | 0.25   | 4        | ShIpPeD
İ7        | 2024-05-01 10:00          | ISIK        | ı          | -        | 99.99  | 1        | SHİPPED
ı8        | 2024-05-01 10:00          | isik        | i          | -        | 99.99  | 1        | shıpped
ſ9        | 2024-05-01 10:00          | ışık        | i          | -        | 99.99  | 1        | ſhipped
j10       | 2023-01-01T00:30:00+05:45 | ışık        | i          | Ǆ        | 5      | 1        | pending
j11       | 2025-12-31T23:30:00-00:30 | ışık        | i          | ǆ        | 5      | 1        | pending
j12       | 2025-12-31T23:30:00+03:30 | ışık        | i          | ǅ        | 5      | 1        | pending
d13       | 01/05/2024                | Ω           | Å          | x        | 5      | 1        | pending
d14       | 2024-02-30                | Ω           | Å          | x        | 5      | 1        | pending
d15       | infinity                  | Ω           | Å          | x        | 5      | 1        | pending
d16       | today                     | Ω           | Å          | x        | 5      | 1        | pending
n17       | 2024-05-01                | Ω           | Å          | x        | 1,5    | 1        | pending
n18       | 2024-05-01                | Ω           | Å          | x        | NaN    | 0x1F     | pending
n19       | 2024-05-01                | Ω           | Å          | x        | ١٢     | ١        | pending
n20       | 2024-05-01                | Ω           | Å          | x        | 1e2    | 1        | pending
q21       | 2024-05-01                | o'brien\\   | C:\\new    | "quoted" | 3.3333 | 3        | pending
日本22     | 2024-05-01T12:00:00+09:00 | 顧客         | 𝒳          | 本        | 12345.6789 | 7    | delivered
"""
SECOND = """
order_id  | order_timestamp           | customer_id | product_id | category | price  | quantity | status
e\u03011  | 2024-05-01T10:00:00+05:30 | Zoe\u0308   | naïve      | Bücher   | 10.01  | 1        | delivered
ß3        | 2024-12-31T23:30:00-03:30 | Straße      | p1         | İstanbul | 7      | 2        | CANCELLED
I6        | 2024-06-30T23:59:59.999999Z | ISIK      | I          | istanbul | 0.25   | 4        | shipped
i5        | 2024-11-03 01:30:00-04    | strasse     | p1         | ıstanbul | 1000   | 12       | delivered
"""
CONTENTS = (
    "SELECT * FROM mart.daily_revenue",
    "SELECT * FROM mart.customer_ltv",
    "SELECT * FROM mart.product_revenue",
    "SELECT * FROM mart.customer_segments",
    "SELECT * FROM staging.orders_stg",
    "SELECT * FROM staging.orders_rejected",
    "SELECT * FROM staging.orders_totals",
    "SELECT batch_id, source_row, order_id, customer_id, extra FROM raw.orders_all",
    "SELECT batch_id, file_name, sha256, header, rows_read, rejected FROM raw.batches",
)


def write_feeds(directory: Path) -> list[Path]:
    """Two feeds; the second corrects the first, and has a column and a name of its own."""
    first = write_feed(directory / "Größe-日本.csv", FIRST)
    second = write_feed(directory / "second.csv", SECOND)
    header, *rows = second.read_text("utf-8").splitlines()
    lines = [f"{header},ß-日", *(f"{row},Größe 日本" for row in rows)]
    second.write_text("\n".join(lines) + "\n", "utf-8")
    return [first, second]


def plain(value: Any) -> Any:
    """A value as JSON could have it, the same for the same value."""
    if isinstance(value, Decimal | date | datetime):
        return str(value)
    return sorted(value.items()) if isinstance(value, dict) else value


def answer(url: URL) -> list[str]:
    """Every row that the feeds became, as a line of ASCII; sorted, table by table."""
    engine = minidw.create_engine(Settings(url=url))
    lines = []
    with engine.connect() as conn:
        for query in CONTENTS:
            rows = conn.execute(text(query))
            lines += [
                f"-- {query}",
                *sorted(" | ".join(ascii(plain(value)) for value in row) for row in rows),
            ]
    engine.dispose()
    return lines


def deliver(url: URL, directory: Path) -> list[str]:
    """Build the warehouse of the two feeds here; what it holds."""
    engine = minidw.create_engine(Settings(url=url))
    minidw.upgrade(engine)
    for path in write_feeds(directory):
        minidw.run(path, engine, settings=RULES)
    assert minidw.verify(engine).differences == []
    with engine.connect() as conn:
        days = text(
            "SELECT count(*) FROM raw.batches WHERE load_date <> (loaded_at AT TIME ZONE 'UTC')::date"
        )
        assert conn.scalar(days) == 0
    engine.dispose()
    return answer(url)


def deliver_elsewhere(url: URL, directory: Path, environment: dict[str, str]) -> list[str]:
    """The same, by the command in a process that has another environment."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "TZ"))}
    address = {"DATABASE_URL": url.render_as_string(hide_password=False), "MAX_REJECT_RATIO": "1"}
    address |= {name.upper(): str(value) for name, value in RULES.said.items()}
    done = subprocess.run(
        [sys.executable, "-m", "minidw", "run", *map(str, write_feeds(directory))],
        env=ours | address | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return answer(url)


def test_the_answer(database: URL, tmp_path: Path) -> None:
    assert deliver(database, tmp_path) == EXPECTED


def test_on_the_oldest_postgresql(tmp_path: Path) -> None:
    with servers.temporary_server(servers.postgres_16()) as url:
        assert deliver(url, tmp_path) == EXPECTED


# Locales


@pytest.fixture(scope="module")
def locales() -> Iterator[Path]:
    """A directory of locales, made from the sources that the system has."""
    sources = Path("/usr/share/i18n/locales")
    if not shutil.which("localedef") or not (sources / "tr_TR").exists():
        pytest.skip("the system has no sources of locales")
    with servers.reachable_directory() as directory:
        for language in ("tr_TR", "en_US"):
            subprocess.run(
                ["localedef", "-i", language, "-f", "UTF-8", directory / f"{language}.UTF-8"],
                check=True, capture_output=True,
            )  # fmt: skip
        yield directory


ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")


@pytest.mark.parametrize(
    ("locale", "zone"),
    [
        ("C", "Asia/Kathmandu"),
        *(
            pytest.param(locale, zone, marks=pytest.mark.slow)
            for locale in ("C.UTF-8", "POSIX")
            for zone in ZONES
        ),
    ],
)
def test_for_every_locale_and_zone_of_the_client(
    database: URL, tmp_path: Path, locale: str, zone: str
) -> None:
    assert deliver_elsewhere(database, tmp_path, {"LC_ALL": locale, "TZ": zone}) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("locale", ["tr_TR.UTF-8", "en_US.UTF-8"])
def test_for_a_client_in_another_language(
    database: URL, tmp_path: Path, locales: Path, locale: str, zone: str
) -> None:
    environment = {"LC_ALL": locale, "LANG": locale, "TZ": zone, "LOCPATH": str(locales)}
    assert deliver_elsewhere(database, tmp_path, environment) == EXPECTED


@contextmanager
def database_with(server: URL, options: str) -> Iterator[URL]:
    """A database that is created with these options, where the server has them."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = "minidw_elsewhere"
    with admin.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {options}"))
        try:
            yield server.set(database=name)
        finally:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.parametrize(
    "options",
    [
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        pytest.param("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'", marks=pytest.mark.slow),
        pytest.param("LOCALE 'C.utf8'", marks=pytest.mark.slow),
    ],
)
def test_in_a_database_of_any_collation(server: URL, tmp_path: Path, options: str) -> None:
    if "builtin" in options and major_version(server) < 18:
        pytest.skip("the server has no builtin locales")
    if "utf8" in options and not any(name.lower() == "c.utf8" for name in system_locales()):
        pytest.skip("the system has no C.utf8")
    with database_with(server, options) as url:
        assert deliver(url, tmp_path) == EXPECTED


def system_locales() -> list[str]:
    """What the system has."""
    return subprocess.run(["locale", "-a"], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.slow
def test_in_a_database_in_another_language(
    locales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that finds more locales than the system has
    started = account.process_options

    def with_locales(owner: Any) -> dict[str, Any]:
        process = started(owner)
        return process | {"env": process["env"] | {"LOCPATH": str(locales)}}

    monkeypatch.setattr("minidw.embedded.cluster.process_options", with_locales)
    for binaries in (None, servers.postgres_16()):
        with servers.temporary_server(binaries) as server:
            for locale in ("tr_TR.UTF-8", "en_US.UTF-8"):
                with database_with(server, f"LOCALE '{locale}'") as url:
                    assert deliver(url, tmp_path) == EXPECTED, (binaries, locale)


def major_version(server: URL) -> int:
    """Such as 18."""
    engine = sa.create_engine(server, poolclass=sa.NullPool)
    with engine.connect() as conn:
        return int(conn.scalar(text("SHOW server_version_num"))) // 10000


# Settings of the server


# Where it is another day than in UTC, whenever these tests are run.
ELSEWHERE = "Pacific/Kiritimati" if datetime.now(UTC).hour >= 10 else "Etc/GMT+12"
SETTINGS = {
    "datestyle": "'SQL, DMY'",
    "timezone": f"'{ELSEWHERE}'",
    "intervalstyle": "'sql_standard'",
    "search_path": "mart, staging, raw, public",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "client_encoding": "'LATIN1'",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "timezone_abbreviations": "'India'",
    "plan_cache_mode": "'force_generic_plan'",
    "debug_parallel_query": "on",
    "enable_hashagg": "off",
    "enable_indexscan": "off",
    "row_security": "off",
    "synchronize_seqscans": "on",
    "default_statistics_target": "1",
    "work_mem": "'64kB'",
    "client_min_messages": "'debug1'",
    "lock_timeout": "'5s'",
    "xmloption": "'document'",
    "check_function_bodies": "off",
}


def configure(url: URL, whom: str, settings: dict[str, str]) -> None:
    """Given settings that somebody made on the server."""
    whom = whom.format(database=url.database)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        for name, value in settings.items():
            conn.execute(text(f"ALTER {whom} SET {name} = {value}"))


@pytest.mark.parametrize(
    "whom",
    [
        "DATABASE {database}",
        pytest.param("ROLE CURRENT_USER IN DATABASE {database}", marks=pytest.mark.slow),
    ],
)
def test_whatever_a_database_or_a_role_sets(empty_database: URL, tmp_path: Path, whom: str) -> None:
    configure(empty_database, whom, SETTINGS)
    assert deliver(empty_database, tmp_path) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_one_setting_of_a_database_is(empty_database: URL, tmp_path: Path, name: str) -> None:
    configure(empty_database, "DATABASE {database}", {name: SETTINGS[name]})
    assert deliver(empty_database, tmp_path) == EXPECTED


# Variables of libpq


VARIABLES = {
    "PGOPTIONS": "-c search_path=nowhere -c timezone=Asia/Tokyo -c datestyle=German -c statement_timeout=1",
    "PGTZ": "Asia/Kathmandu",
    "PGDATESTYLE": "SQL, DMY",
    "PGCLIENTENCODING": "LATIN1",
    "PGAPPNAME": "somebody",
    "PGGEQO": "off",
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGDATABASE": "nothing",
    "PGUSER": "nobody",
    "PGPASSFILE": "/nowhere",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCONNECT_TIMEOUT": "2",
}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(VARIABLES), id="all"),
        *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in VARIABLES),
    ],
)
def test_whatever_the_variables_of_libpq_are(
    database: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    with monkeypatch.context() as environment:
        for name in names:
            environment.setenv(name, VARIABLES[name])
        assert deliver(database, tmp_path) == EXPECTED


def test_whatever_a_service_of_libpq_says(
    database: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = tmp_path / "services.conf"
    service.write_text("[other]\nhost=nowhere.invalid\nport=1\nuser=nobody\ndbname=nothing\n"
                       "client_encoding=LATIN1\noptions=-c search_path=nowhere\n")  # fmt: skip
    with monkeypatch.context() as environment:
        environment.setenv("PGSERVICEFILE", str(service))
        environment.setenv("PGSERVICE", "other")
        assert deliver(database, tmp_path) == EXPECTED
        # One that does not exist is an error of libpq itself, and no other database is met.
        environment.setenv("PGSERVICE", "nowhere")
        with pytest.raises(DatabaseError, match='definition of service "nowhere" not found'):
            minidw.verify(settings=Settings(url=database))
