"""What a run needs and does not get: one clear line, nothing changed, and the next run succeeds."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import OperationalError

import minidw
from minidw import Settings, cli, embedded
from minidw.database.pins import PINNED
from tests.support import servers
from tests.support.feeds import write_feed

AS_ROOT = os.geteuid() == 0
STORED = [t.fullname for t in minidw.Mart.metadata.sorted_tables if t.fullname != "raw.runs"]

Refused = Callable[..., None]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Expect of a command: exit code 2 and one line, in which nothing is secret."""

    def refused(where: URL | Path, *arguments: str | Path, line: str) -> None:
        capfd.readouterr()
        with monkeypatch.context() as environment:
            if isinstance(where, Path):
                environment.setenv("MINIDW_HOME", str(where))
            else:
                environment.setenv("DATABASE_URL", where.render_as_string(hide_password=False))
            code = cli.main([str(argument) for argument in arguments])
        said = capfd.readouterr().err
        ours = [found for found in said.splitlines() if not found.startswith("minidw: the embedded")]
        assert code == 2, said
        assert len(ours) == 1, said
        assert ours[0].startswith("minidw: ")
        assert re.search(line, ours[0]), said
        assert isinstance(where, Path) or not where.password or where.password not in said

    return refused


def admin(url: URL, *statements: str) -> None:
    """What an administrator does."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        for statement in statements:
            conn.execute(text(statement.format(database=url.database)))


def state(engine: Engine) -> list[str]:
    """All that is stored, save what the ledger says of failures."""
    with engine.connect() as conn:
        return [
            str(conn.execute(text(f"SELECT row::text FROM {table} AS row ORDER BY 1")).all())
            for table in STORED
            if table != "raw.orders_raw"
        ]


@pytest.fixture
def first(warehouse: Engine, tmp_path: Path) -> list[str]:
    """Given a warehouse of one batch; all that it stores."""
    minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), warehouse)
    return state(warehouse)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A feed that is still to come, anywhere."""
    return write_feed(tmp_path / "second.csv", f"order_id\n{tmp_path.name}\n4")


def recovered(settings: Settings) -> Engine:
    """An engine on an embedded server that has crashed, once it answers again."""
    deadline = time.monotonic() + 30
    while True:
        engine = minidw.create_engine(settings)
        try:
            engine.connect().close()
        except OperationalError:
            engine.dispose()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return engine


def until_refused(url: URL) -> None:
    """Wait until a server that is about to crash has done so."""
    with suppress(OperationalError):
        while True:
            admin(url, "SELECT 1")


def succeeds(engine: Engine, path: Path) -> None:
    """The next run brings the file, and everything adds up."""
    result = minidw.run(path, engine)
    assert not result.loaded.skipped
    assert minidw.verify(engine).differences == []


def write_many(path: Path, rows: int) -> Path:
    """A feed of so many orders."""
    write_feed(path, "order_id\n1")
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n" + "".join(f"{row}{line[1:]}\n" for row in range(100, 100 + rows)))
    return path


# The disk


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of that size."""
    with servers.reachable_directory() as directory:
        disk = directory / "disk"
        disk.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "minidw-test", str(disk)]
        if not AS_ROOT or subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
            pytest.skip("only root can mount a small disk, and not in every container")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes free."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(disk).free - leave, 1))
    return filler


@contextmanager
def database_on(disk: Path, server: URL) -> Iterator[URL]:
    """A database whose tables are on that disk."""
    place = disk / "tables"
    place.mkdir()
    shutil.chown(place, Path(str(server.query["host"])).owner() if "host" in server.query else "nobody")
    admin(server, f"CREATE TABLESPACE small LOCATION '{place}'",
          "CREATE DATABASE on_small TEMPLATE template0 TABLESPACE small")  # fmt: skip
    try:
        yield server.set(database="on_small")
    finally:
        admin(server, "DROP DATABASE on_small WITH (FORCE)", "DROP TABLESPACE small")


@pytest.mark.parametrize("rows", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_disk_of_the_tables_is_full(server: URL, tmp_path: Path, refused: Refused, rows: int) -> None:
    # Given a database of one batch on a disk that has hardly any space left
    with small_disk(200) as disk, database_on(disk, server) as url:
        engine = minidw.create_engine(Settings(url=url))
        minidw.upgrade(engine)
        minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), engine)
        before = state(engine)
        filler = fill(disk, 200_000)
        # When a large file is brought, then there is one line, and the state before
        path = write_many(tmp_path / "large.csv", rows)
        refused(url, "run", path, line=r"No space left on device \(SQLSTATE 53100\)")
        assert state(engine) == before
        # And with space again it is brought
        filler.unlink()
        succeeds(engine, path)
        engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 100_000, 1_000_000, 5_000_000, 20_000_000])
def test_the_disk_of_the_embedded_server_is_full(tmp_path: Path, refused: Refused, leave: int) -> None:
    with small_disk(400) as disk:
        # Given an embedded warehouse of one batch whose write-ahead log must grow, and cannot
        home = disk / "home"
        settings = Settings(home=home)
        engine = minidw.create_engine(settings)
        minidw.upgrade(engine)
        minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), engine)
        before = state(engine)
        engine.dispose()
        filler = fill(disk, leave)
        path = write_many(tmp_path / "large.csv", 100_000)
        refused(home, "run", path, line="No space left on device|the connection to the database was lost")
        filler.unlink()
        # When there is space again
        again = recovered(settings)
        assert state(again) == before
        succeeds(again, path)
        again.dispose()
        embedded.stop(home)


def test_the_disk_is_full_before_the_embedded_server_is_there(refused: Refused, second: Path) -> None:
    with small_disk(120) as disk:
        home = disk / "home"
        filler = fill(disk, 5_000_000)
        refused(home, "run", second, line="initdb failed in")
        filler.unlink()
        assert list(home.glob("pgdata*")) == []
        engine = minidw.create_engine(Settings(home=home))
        minidw.upgrade(engine)
        succeeds(engine, second)
        engine.dispose()
        embedded.stop(home)


# The server


@pytest.fixture(scope="module")
def small_server() -> Iterator[tuple[URL, Path]]:
    """A server with few connections, and its home."""
    with servers.reachable_directory() as directory:
        home = directory / "home"
        options = {"max_connections": "4", "superuser_reserved_connections": "0",
                   "reserved_connections": "0", "max_wal_senders": "0"}  # fmt: skip
        running = embedded.start(home, options=servers.THROW_AWAY | options)
        minidw.upgrade(settings=Settings(url=running.url))
        yield running.url, home
        running.close()
        embedded.stop(home)


def test_a_server_without_a_free_connection(
    small_server: tuple[URL, Path], refused: Refused, second: Path
) -> None:
    url, _ = small_server
    others = [
        psycopg2.connect(host=url.query["host"], port=5432, user="postgres", dbname="postgres")
        for _ in range(4)
    ]
    for command in (("run", second), ("verify",), ("status",), ("migrate",)):
        refused(url, *command, line="sorry, too many clients already")
    for other in others:
        other.close()
    engine = minidw.create_engine(Settings(url=url))
    succeeds(engine, second)
    engine.dispose()


@pytest.mark.slow
def test_a_new_client_waits_for_a_server_that_recovers(small_server: tuple[URL, Path], second: Path) -> None:
    # Given a server that crashed, and has much to recover
    url, home = small_server
    admin(url, "CREATE TABLE much AS SELECT n, repeat('x', 200) FROM generate_series(1, 300000) AS n")
    postmaster = psutil.Process(int((home / "pgdata" / "postmaster.pid").read_text().split()[0]))
    next(p for p in postmaster.children() if "checkpointer" in " ".join(p.cmdline())).kill()
    until_refused(url)
    # When a client comes then, then it is served
    engine = minidw.create_engine(Settings(home=home))
    try:
        succeeds(engine, second)
    finally:
        engine.dispose()


@pytest.mark.slow
def test_a_server_that_only_reads(small_server: tuple[URL, Path], refused: Refused, second: Path) -> None:
    url, _ = small_server
    admin(url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    refused(url, "run", second, line=r"in a read-only transaction \(SQLSTATE 25006\)")
    admin(url, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    engine = minidw.create_engine(Settings(url=url))
    succeeds(engine, second)
    engine.dispose()


@pytest.mark.slow
def test_a_server_that_is_stopped(small_server: tuple[URL, Path], refused: Refused, second: Path) -> None:
    url, home = small_server
    embedded.stop(home)
    for command in (("run", second), ("verify",), ("report",), ("migrate",)):
        refused(url, *command, line="connection to server on socket")
    again = embedded.start(home, options=servers.THROW_AWAY)
    engine = minidw.create_engine(Settings(url=again.url))
    succeeds(engine, second)
    engine.dispose()
    again.close()


def test_a_wrong_password_user_or_database(refused: Refused, second: Path) -> None:
    with servers.tcp_server() as url:
        minidw.upgrade(settings=Settings(url=url))
        wrong = url.set(password="swordfish")
        for command in (("run", second), ("verify",), ("status",), ("migrate",)):
            refused(wrong, *command, line='password authentication failed for user "dw"')
        refused(url.set(username="eve"), "run", second, line='authentication failed for user "eve"')
        refused(url.set(database="gone"), "run", second, line='database "gone" does not exist')
        refused(url.set(port=1), "run", second, line="Connection refused")
        engine = minidw.create_engine(Settings(url=url))
        succeeds(engine, second)
        engine.dispose()


# The database


def test_a_database_that_only_reads(
    database: URL, warehouse: Engine, first: list[str], second: Path, refused: Refused
) -> None:
    admin(database, "ALTER DATABASE {database} SET default_transaction_read_only = on")
    for command in (("run", second), ("load", second), ("stage",), ("build",), ("preview", second)):
        refused(database, *command, line=r"in a read-only transaction \(SQLSTATE 25006\)")
    assert state(warehouse) == first
    admin(
        database,
        "SET default_transaction_read_only = off",
        "ALTER DATABASE {database} RESET default_transaction_read_only",
    )
    succeeds(warehouse, second)


@pytest.mark.parametrize("limit", ["200ms", pytest.param(None, marks=pytest.mark.slow)])
def test_a_table_that_somebody_holds(
    database: URL,
    warehouse: Engine,
    first: list[str],
    second: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    limit: str | None,
) -> None:
    if limit:
        monkeypatch.setitem(PINNED, "lock_timeout", limit)
    with warehouse.connect() as maintenance:
        maintenance.execute(text("LOCK TABLE mart.customer_ltv IN ACCESS EXCLUSIVE MODE"))
        commands = (("run", second), ("preview", second), ("build", "--full"), ("verify",))
        for command in commands if limit else commands[:1]:
            refused(database, *command, line=r"due to lock timeout \(SQLSTATE 55P03\)")
    assert state(warehouse) == first
    succeeds(warehouse, second)


TIMEOUTS = {"statement_timeout": "200ms", "lock_timeout": "200ms", "transaction_timeout": "400ms"}


def major_version(url: URL) -> int:
    """Such as 18."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as conn:
        return int(conn.scalar(text("SHOW server_version_num"))) // 10000


@pytest.mark.parametrize("name", ["statement_timeout", pytest.param("lock_timeout", marks=pytest.mark.slow)])
def test_a_timeout_of_the_database_does_not_end_a_run(
    database: URL, warehouse: Engine, first: list[str], second: Path, name: str, tmp_path: Path
) -> None:
    # Given a database whose statements may take no time at all
    warehouse.dispose()
    admin(database, "ALTER DATABASE {database} SET " + f"{name} = '1ms'")
    # Then everything is done all the same
    succeeds(warehouse, second)
    succeeds(warehouse, write_many(tmp_path / "large.csv", 5_000))


@pytest.mark.parametrize(
    "name",
    [
        "statement_timeout",
        pytest.param("lock_timeout", marks=pytest.mark.slow),
        pytest.param("transaction_timeout", marks=pytest.mark.slow),
    ],
)
def test_a_second_runner_waits_longer_than_a_timeout_of_the_database(
    database: URL, warehouse: Engine, first: list[str], second: Path, name: str
) -> None:
    if name == "transaction_timeout" and major_version(database) < 17:
        pytest.skip("this server has no such timeout")
    # Given a runner, and a database that ends what waits
    with warehouse.connect() as runner:
        minidw.build_marts(runner)
        admin(database, "ALTER DATABASE {database} SET " + f"{name} = '{TIMEOUTS[name]}'")
        # When a second one comes, and the first is done half a second later
        waiter = minidw.create_engine(Settings(url=database))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(minidw.run, second, waiter)
            wait([waiting], 0.5)
            runner.commit()
            result = waiting.result()
    # Then it has waited
    waiter.dispose()
    assert [staged.inserted for staged in result.staged] == [2]


# Not ru_maxrss, which begins with the memory of the process that started this one.
READER = """
import re
from pathlib import Path
import minidw
objects = sum(1 for _ in minidw.read("customer_ltv"))
arrow = sum(batch.num_rows for batch in minidw.to_arrow("customer_ltv"))
kilobytes = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(objects, arrow, int(kilobytes) // 1024)
"""


@pytest.mark.slow
def test_a_million_rows_are_handed_to_a_program_in_200_mb(
    warehouse: Engine, database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.begin() as conn:
        conn.execute(
            text("""
            INSERT INTO mart.customer_ltv
                   (customer_id, lifetime_value, order_lines, first_order_at, last_order_at)
            SELECT 'customer ' || n, n * 1.0001, n, '2024-05-01', '2024-05-02'
              FROM generate_series(1, 1000000) AS n
            """)
        )
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    done = subprocess.run([sys.executable, "-c", READER], capture_output=True, text=True, check=True)
    objects, arrow, megabytes = map(int, done.stdout.split())
    assert (objects, arrow) == (1_000_000, 1_000_000)
    assert megabytes < 200
