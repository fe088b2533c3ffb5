"""One warehouse, always the same: where it is looked for, who makes it, and what of copies and moves."""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

import minidw
from minidw import cli, embedded
from minidw.embedded.cluster import Server
from minidw.embedded.home import Cluster, decide_cluster, find_cluster, make_home
from minidw.errors import EmbeddedError
from tests.support import servers
from tests.support.feeds import write_feed
from tests.support.processes import answer, postmaster

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="about root")
READING = [
    "status",
    "report",
    "verify",
    "check",
    "stage",
    "build",
    "prune --before 2024-01-01",
    "preview feed.csv",
    "why customer_ltv 1",
    "url",
    "psql",
    "migrate --check",
    "migrate --down",
]


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory that the server's account can reach, two levels down."""
    with servers.reachable_directory() as path:
        (path / "a" / "b").mkdir(parents=True)
        for part in (path / "a", path / "a" / "b"):
            part.chmod(0o755)
        monkeypatch.chdir(path / "a" / "b")
        for module in ("account", "home"):
            monkeypatch.setattr(f"minidw.embedded.{module}.SYSTEM_HOME", path / "system")
        yield path
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "postgres" and process.cwd().startswith(str(path)):
                    process.kill()


@pytest.fixture(scope="module")
def model() -> Iterator[Path]:
    """A home whose server was stopped: to copy it is quicker than to make one."""
    with servers.reachable_directory() as path:
        embedded.start(path / "home", options=servers.THROW_AWAY).close()
        embedded.stop(path / "home")
        yield path / "home"


Made = Callable[[str], Path]


@pytest.fixture
def made(model: Path, directory: Path) -> Made:
    """Given a home of the name, in which there is a warehouse."""

    def made(name: str) -> Path:
        subprocess.run(["cp", "-a", model, directory / name], check=True)
        return directory / name

    return made


def start(home: Path | None, *, create: bool = True) -> Server:
    """A throw-away server."""
    return embedded.start(home, create=create, options=servers.THROW_AWAY)


def mark(server: Server, name: str) -> None:
    """Leave something by which the warehouse is known again."""
    engine = sa.create_engine(server.url, poolclass=sa.NullPool)
    with engine.begin() as conn:
        conn.execute(sa.text(f"CREATE TABLE {name} ()"))


def is_marked(server: Server, name: str) -> bool:
    """Whether it is the one that was marked."""
    return bool(answer(server, f"SELECT to_regclass('public.{name}') IS NOT NULL"))


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Alive, and not a zombie that nobody reaped."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


# Which one


@pytest.mark.parametrize("command", READING)
def test_what_only_reads_makes_no_warehouse(
    command: str, directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    feed = write_feed(directory / "a" / "b" / "feed.csv", "order_id\n1")
    assert cli.main(command.split()) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == (
        f"minidw: there is no warehouse here: no .minidw, and no .env that names a server, in {feed.parent}"
        " or above it; minidw run FILE or minidw migrate makes it,"
        " DATABASE_URL or MINIDW_HOME names another\n"
    )
    assert [path.name for path in directory.rglob("*")] == ["a", "b", "feed.csv"]


def test_a_named_home_that_is_not_there_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINIDW_HOME", "dw")
    assert cli.main(["status"]) == 2
    assert f"no warehouse in {directory}/a/b/dw; minidw run FILE" in capfd.readouterr().err
    assert not (directory / "a" / "b" / "dw").exists()


def test_what_a_run_made_is_found_from_below(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a file that was run in a directory
    monkeypatch.chdir(directory / "a")
    minidw.run(write_feed(directory / "a" / "feed.csv", "order_id\n1"))
    # When somebody asks, or runs another, below it
    monkeypatch.chdir(directory / "a" / "b")
    assert minidw.status()["batches"][0]["file_name"] == "feed.csv"
    assert minidw.run(write_feed(directory / "a" / "b" / "more.csv", "order_id\n2")).staged[0].inserted == 1
    # Then there is one warehouse
    assert [path.parent for path in directory.rglob(".minidw")] == [directory / "a"]
    assert minidw.verify().differences == []
    embedded.stop(directory / "a" / ".minidw")


def test_a_working_directory_that_is_gone(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (directory / "a" / "b").rmdir()
    assert cli.main(["status"]) == 2
    assert capfd.readouterr().err == (
        "minidw: the working directory is gone: no warehouse is found from here\n"
    )


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to itself", "below a file", "no record"])
def test_a_home_that_is_none_is_one_line(kind: str, directory: Path) -> None:
    home = directory / "home"
    if kind == "file":
        home.touch()
    elif kind.startswith("link"):
        home.symlink_to("disk/home" if kind.endswith("nothing") else home)
    elif kind == "below a file":
        home.touch()
        home /= "home"
    else:
        home.mkdir()
        (home / "cluster.json").write_text('{"directory": 1')
    for create in (True, False):
        with pytest.raises(EmbeddedError) as caught:
            start(home, create=create)
        assert str(home) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_home_where_everybody_may_write_is_refused(directory: Path) -> None:
    (directory / "home").mkdir()
    (directory / "home").chmod(0o1777)
    with pytest.raises(EmbeddedError, match="is not private: everybody may write there"):
        start(directory / "home")
    assert list((directory / "home").iterdir()) == []


@pytest.mark.parametrize("home", ["/", "~", "used"])
def test_a_home_that_has_other_things_is_refused(
    home: str, directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a directory in which somebody keeps something
    (directory / "used").mkdir(mode=0o755)
    (directory / "used" / "notes.txt").touch()
    before = sorted((directory / "used").iterdir())
    monkeypatch.setenv("HOME", str(directory / "used"))
    monkeypatch.setenv("MINIDW_HOME", home if home in "/~" else str(directory / home))
    # When a warehouse is to be made there, then it is not, in one line
    for command in ("migrate", "run feed.csv"):
        write_feed(directory / "a" / "b" / "feed.csv", "order_id\n1")
        assert cli.main(command.split()) == 2
        said = capfd.readouterr().err
        assert "is no warehouse and not empty (it has " in said
        assert said.count("\n") == 1
    assert sorted((directory / "used").iterdir()) == before


def test_what_another_process_starts_meanwhile_is_not_foreign(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = directory / "home"
    looks: list[Path] = []

    def look(place: Path) -> Cluster | None:
        """As it was when this process looked; then the other one is there."""
        looks.append(place)
        if len(looks) > 1:
            return find_cluster(place)
        (decide_cluster(place).directory / "clients.lock").touch()
        return None

    monkeypatch.setattr("minidw.embedded.home.find_cluster", look)
    assert make_home(home) == home


def test_a_home_with_other_things_and_a_warehouse_is_one(directory: Path, made: Made) -> None:
    (made("home") / "notes.txt").touch()
    (directory / "home" / "cluster.json").unlink()
    start(directory / "home").close()
    embedded.stop(directory / "home")


def on_a_terminal(*words: str, **environment: str) -> tuple[int, str]:
    """The exit code of a command, and what it said on standard error to a person who looks."""
    terminal, other_end = os.openpty()
    command = [sys.executable, "-m", "minidw", *words]
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=other_end, check=False
    )
    os.close(other_end)
    said = b""
    with suppress(OSError):  # how a terminal ends whose other end is closed
        while more := os.read(terminal, 10_000):
            said += more
    os.close(terminal)
    return done.returncode, said.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_a_person_is_told_which_warehouse_it_is(
    directory: Path, made: Made, capfd: pytest.CaptureFixture[str]
) -> None:
    # None yet, and who looks makes none
    code, said = on_a_terminal("status")
    assert code == 2
    assert said.startswith(f"minidw: warehouse {directory}/a/b/.minidw, not there yet\nminidw: there is no")
    # An embedded one, found from below
    made("a/.minidw")
    assert on_a_terminal("status") == (0, f"minidw: warehouse {directory}/a/.minidw\n")
    # A server, without what must not be shown
    url = f"postgresql://ada:{servers.CANARY}@127.0.0.1:1/shop?token={servers.CANARY}"
    code, said = on_a_terminal("status", DATABASE_URL=url)
    assert (code, said.splitlines()[0]) == (2, "minidw: warehouse shop on 127.0.0.1:1")
    assert servers.CANARY not in said
    # What works on none says nothing, and nobody is told in a pipe
    assert on_a_terminal("generate", "--rows", "1") == (0, "")
    assert (cli.main(["status"]), capfd.readouterr().err) == (0, "")
    embedded.stop(directory / "a" / ".minidw")


# The same one, whatever happens around it


def test_every_spelling_of_a_path_is_the_same_home(directory: Path, made: Made) -> None:
    server = start(made("home"))
    (directory / "link").symlink_to("home")
    (directory / "around").symlink_to(directory)
    for spelling in ("a/../home", "link", "around/home", "./home/"):
        other = start(directory / spelling)
        assert (other.data_dir, other.socket_dir) == (server.data_dir, server.socket_dir)
        other.close()
    server.close()


@contextmanager
def modes(*changes: tuple[Path, int]) -> Iterator[None]:
    """Directories of other permissions for a while."""
    before = [(path, path.stat().st_mode) for path, _ in changes]
    for path, mode in changes:
        path.chmod(mode)
    yield
    for path, mode in before:
        path.chmod(mode & 0o7777)


@only_root
def test_root_s_cluster_stays_where_it_was_put(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a warehouse that was made where the server's account may pass through
    home = directory / "a" / "home"
    server = start(home)
    mark(server, "kept")
    server.close()
    embedded.stop(home)
    # When it may not any more, then that is said, and no other is made
    with modes((directory / "a", 0o700)), pytest.raises(EmbeddedError) as caught:
        start(home)
    assert str(caught.value).endswith(
        f", who runs PostgreSQL here, may not pass through {directory}/a any more"
    )
    assert not (directory / "system").exists()
    # When it may again, and another account would be chosen today, then it is the same
    monkeypatch.setattr("minidw.embedded.home.chosen_account", lambda: pwd.getpwnam("daemon"))
    server = start(home)
    assert is_marked(server, "kept")
    server.close()
    embedded.stop(home)


@pytest.mark.slow
@only_root
def test_root_s_cluster_outside_of_a_closed_home_stays_there(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a warehouse that was made in a directory of root's alone, under a umask that closes all
    home = directory / "a" / "home"
    before = os.umask(0o077)
    try:
        with modes((directory / "a", 0o700)):
            server = start(home)
            mark(server, "kept")
            where = server.data_dir
            server.close()
            embedded.stop(home)
    finally:
        os.umask(before)
    assert where.is_relative_to(directory / "system")
    # When the directory is opened, the account changes, or the home is found by a link or moved: the same
    monkeypatch.setattr("minidw.embedded.home.chosen_account", lambda: pwd.getpwnam("daemon"))
    (directory / "link").symlink_to(home)
    home.rename(directory / "moved")
    (directory / "link").unlink()
    (directory / "link").symlink_to("moved")
    for spelling in ("moved", "link"):
        server = start(directory / spelling, create=False)
        assert (server.data_dir, is_marked(server, "kept")) == (where, True)
        server.close()
    embedded.stop(directory / "moved")
    # And a copy, which has no data of its own, is told from it
    shutil.copytree(directory / "moved", directory / "copy")
    with pytest.raises(EmbeddedError, match=rf"copy is a copy of {directory}/moved, whose data are in"):
        start(directory / "copy")
    # And where the data are gone, nothing new passes for them
    where.parent.rename(directory / "gone")
    for create in (True, False):
        with pytest.raises(EmbeddedError, match=r"moved were in .*, which is gone: bring it back"):
            start(directory / "moved", create=create)
    # And where the home was deleted, a new one is new
    shutil.rmtree(directory / "moved")
    server = start(directory / "moved")
    assert not is_marked(server, "kept")
    server.close()
    embedded.stop(directory / "moved")


@pytest.mark.slow
@only_root
def test_the_account_of_a_first_start_that_was_killed_stays(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minidw.embedded.home.chosen_account", lambda: pwd.getpwnam("daemon"))
    home = directory / "home"
    make_home(home)
    decided = decide_cluster(home)
    monkeypatch.setattr("minidw.embedded.home.chosen_account", lambda: pwd.getpwnam("nobody"))
    server = start(home)
    assert server.data_dir.owner() == "daemon"
    assert find_cluster(home) == decided
    server.close()
    embedded.stop(home)


@pytest.mark.parametrize("closed", [False, pytest.param(True, marks=[only_root, pytest.mark.slow])])
def test_a_home_from_before_is_taken_over(closed: bool, directory: Path, made: Made) -> None:
    # Given a home of the former kind: without a record, and root's by the path alone
    home = directory / "a" / "b" / ".minidw"
    with modes((directory / "a", 0o700 if closed else 0o755)):
        server = start(home if closed else made("a/b/.minidw"))
        mark(server, "kept")
        server.close()
        embedded.stop(home)
        (home / "cluster.json").unlink()
        if closed:
            shutil.rmtree(home)
            (server.data_dir.parent / "home").unlink()
            digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
            server.data_dir.parent.rename(directory / "system" / f"b-{digest}")
        # When it is looked for, then it is found and recorded
        server = start(None, create=False)
        assert is_marked(server, "kept")
        assert json.loads((home / "cluster.json").read_text())["owner"] == server.data_dir.stat().st_uid
        server.close()
        embedded.stop(home)


@pytest.mark.slow
@only_root
def test_data_that_were_handed_over_are_run_by_who_has_them_now(made: Made) -> None:
    home = made("home")
    server = start(home)
    mark(server, "kept")
    server.close()
    embedded.stop(home)
    daemon = pwd.getpwnam("daemon")
    for path in (home, *home.rglob("*")):
        os.chown(path, daemon.pw_uid, daemon.pw_gid)
    server = start(home)
    assert is_marked(server, "kept")
    server.close()
    embedded.stop(home)


# Copied, moved or deleted while it is used


@pytest.mark.parametrize("name", ["home", pytest.param("h" * 100, marks=pytest.mark.slow)])
def test_a_copy_leaves_the_original_alone(name: str, directory: Path, made: Made) -> None:
    # Given a copy of everything while the server runs
    server = start(made(name))
    pid, socket = postmaster(directory / name), server.socket_dir / ".s.PGSQL.5432"
    mark(server, "kept")
    subprocess.run(["cp", "-a", directory / name, directory / "copy"], check=True)
    # When the copy is stopped, and when it is started, then the original does not notice
    embedded.stop(directory / "copy")
    copy = start(directory / "copy")
    mark(copy, "of_the_copy")
    assert (postmaster(directory / name), socket.exists()) == (pid, True)
    assert (is_marked(server, "kept"), is_marked(server, "of_the_copy")) == (True, False)
    assert copy.socket_dir != server.socket_dir
    copy.close()
    embedded.stop(directory / "copy")
    assert answer(server) == 1
    server.close()


@pytest.mark.parametrize("name", ["home", pytest.param("h" * 100, marks=pytest.mark.slow)])
def test_a_home_that_is_moved_is_still_in_use(name: str, directory: Path, made: Made) -> None:
    # Given a server whose home is moved
    server = embedded.start(made(name), options={"fsync": "off"})
    mark(server, "kept")
    pid = postmaster(directory / name)
    (directory / name).rename(directory / "moved")
    # When somebody comes to the new place, then they are told so at once
    began = time.monotonic()
    with pytest.raises(EmbeddedError, match=rf"was {directory}/{name} when its server started, and is still"):
        start(directory / "moved")
    assert time.monotonic() - began < 5
    # And to the old one, too, where the server takes itself to be
    with pytest.raises(EmbeddedError, match=rf"still runs \(process {pid}\)"):
        start(directory / name)
    shutil.rmtree(directory / name)
    # And the server ends with its last client, and the new place is the warehouse
    server.close()
    wait_until(lambda: not is_running(pid))
    again = start(directory / "moved")
    assert is_marked(again, "kept")
    again.close()


def test_a_home_that_is_deleted_ends_with_its_last_client(directory: Path, made: Made) -> None:
    # Given a server whose home is deleted
    server = start(made("home"))
    pid = postmaster(directory / "home")
    shutil.rmtree(directory / "home")
    # When somebody comes who would make another, whose data the former would take for its own
    with pytest.raises(EmbeddedError, match="there is no warehouse in"):
        start(directory / "home", create=False)
    with pytest.raises(EmbeddedError, match=rf"still runs \(process {pid}\), though it was moved or deleted"):
        start(directory / "home")
    # Then it is made when the last client of the former has gone, and its server with it
    server.close()
    wait_until(lambda: not is_running(pid))
    new = start(directory / "home")
    assert answer(new) == 1
    new.close()


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT or not shutil.which("setpriv"), reason="about root in a container")
def test_in_a_container_a_moved_home_is_no_copy(directory: Path, made: Made) -> None:
    # Given root that may not look into the processes of others
    program = """
import os, sys, time
import psutil
from pathlib import Path
from minidw import embedded
from minidw.errors import EmbeddedError
from minidw.embedded.postmaster import postmaster
home, moved, copy = (Path(sys.argv[1]) / name for name in ("home", "moved", "copy"))
server = embedded.start(home, options={"fsync": "off"})
pid = postmaster(home / "pgdata")
os.system(f"cp -a {home} {copy}")
print("copy", postmaster(copy / "pgdata"))
home.rename(moved)
print("moved", postmaster(moved / "pgdata") == pid)
try:
    embedded.start(moved)
except EmbeddedError as error:
    print(error)
server.close()
for _ in range(1000):
    if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
        print("stopped")
        break
    time.sleep(0.02)
"""
    container = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"]
    done = subprocess.run(
        [*container, sys.executable, "-c", program, str(made("home").parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    copy, moved, error, stopped = done.stdout.splitlines()
    assert (copy, moved, stopped) == ("copy None", "moved True", "stopped")
    assert "is still in use" in error


# Other accounts


@only_root
def test_a_user_id_without_an_account_is_one_line(directory: Path) -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; from minidw.cli import main; sys.exit(main(['migrate']))"
    )
    (directory / "a" / "b").chmod(0o777)
    done = as_user(65533, [program, *filter(None, sys.path)], directory / "a" / "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "minidw: user id 65533 has no account here, and without one PostgreSQL does not run;"
        " set DATABASE_URL\n"
    )


def as_user(uid: int, program: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    """A program, run by a user id in an empty environment."""
    account = pwd.getpwnam("nobody")
    reachable = minidw.embedded.account.can_reach(Path(sys.executable).resolve(), account)
    python = sys.executable if reachable else "/usr/bin/python3"
    return subprocess.run(
        [python, "-c", *program], user=uid, group=uid, extra_groups=[], cwd=where, env={},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
