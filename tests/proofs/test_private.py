"""The embedded server belongs to its owner alone, and the path of its home is never more than a path."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import URL

from minidw import embedded
from minidw.embedded.cluster import Server
from minidw.embedded.postmaster import SOCKET
from minidw.errors import EmbeddedError
from tests.support import servers
from tests.support.processes import answer, postmaster

AS_ROOT = os.geteuid() == 0
STRANGER = 65533
only_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")

# What a stranger tries, in a process that was never anybody else's.
KNOCK = """
import socket, struct, sys
knock = socket.socket(socket.AF_UNIX)
knock.settimeout(5)
knock.connect(sys.argv[1])
body = b"\\0\\3\\0\\0user\\0postgres\\0database\\0postgres\\0\\0"
knock.sendall(struct.pack("!i", len(body) + 4) + body)
print(knock.recv(1000))
"""
LOOK = """
import fcntl, os, sys
for place in sys.argv[1:]:
    try:
        if os.path.isdir(place):
            os.listdir(place)
        else:
            fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("open", place)
    except BlockingIOError:
        print("open", place)
    except PermissionError:
        print("closed", place)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every account can reach, and no server is left in."""
    with servers.reachable_directory() as path:
        yield path
        for home in path.iterdir():
            if (home / "pgdata").is_dir():
                embedded.stop(home)


def start(home: Path) -> Server:
    """A throw-away server."""
    return embedded.start(home, options=servers.THROW_AWAY)


def as_stranger(program: str, *arguments: object, group: int = STRANGER) -> subprocess.CompletedProcess[str]:
    """A program, run by a user id that has no account."""
    python = sys.executable if reachable(Path(sys.executable).resolve()) else "/usr/bin/python3"
    return subprocess.run(
        [python, "-I", "-c", program, *map(str, arguments)],
        user=STRANGER, group=group, extra_groups=[], cwd="/", env={},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def reachable(path: Path) -> bool:
    """Whether everybody may pass through every directory of the path."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


@only_root
@pytest.mark.parametrize("name", ["home", pytest.param("h" * 120, marks=pytest.mark.slow)])
def test_a_stranger_finds_every_door_closed(directory: Path, name: str) -> None:
    # Given a server, and a user id that may even share the group of the server's account
    home = directory / name
    server = start(home)
    for group in (STRANGER, (home / "pgdata").stat().st_gid):
        # When it knocks at the socket, then the system itself says no
        done = as_stranger(KNOCK, server.socket_dir / SOCKET, group=group)
        assert (done.stdout, "PermissionError" in done.stderr) == ("", True)
        # And it sees nothing of what is inside
        inside = [home, home / "pgdata", home / "pgdata" / "pg_hba.conf", server.socket_dir]
        assert as_stranger(LOOK, *inside, group=group).stdout == "".join(f"closed {p}\n" for p in inside)
    # And it cannot hold the locks that the next client waits for, nor read the log
    held = [home / f for f in ("start.lock", "clients.lock", "watchdog.lock", "postgres.log")]
    assert as_stranger(LOOK, *held).stdout == "".join(f"closed {path}\n" for path in held)
    server.close()


@only_root
def test_a_stranger_who_reaches_the_socket_is_still_nobody(directory: Path) -> None:
    # Given doors that somebody opened by mistake
    server = start(directory / "home")
    doors = (directory / "home", server.socket_dir, server.socket_dir / SOCKET)
    for path in doors:
        path.chmod(0o777)
    # Then the server asks the system who it is
    done = as_stranger(KNOCK, server.socket_dir / SOCKET)
    assert "Peer authentication failed for user" in done.stdout
    # And no other client starts to use a server that is open
    with pytest.raises(EmbeddedError, match="is not private"):
        start(directory / "home")
    server.socket_dir.chmod(0o700)
    server.close()


def test_it_listens_on_its_socket_alone(server: URL) -> None:
    if "host" not in server.query:
        pytest.skip("the server of these tests is not an embedded one")
    tree = [psutil.Process(postmaster(Path(str(server.query["host"])).parent))]
    tree += tree[0].children(recursive=True)
    listening = []
    for process in tree:
        with suppress(psutil.NoSuchProcess):  # a worker that has done its work
            found = process.net_connections("inet")
            listening += [c for c in found if c.status == psutil.CONN_LISTEN]
    assert listening == []


# Hostile names of a home

HOSTILE = [
    "$(touch x)",
    "`touch x`",
    "; touch x;",
    "| touch x",
    "& touch x &",
    "a\ntouch x\n",
    "with  two spaces ",
    "'; touch x; '",
    '"; touch x; "',
    "back\\slash\\",
    "-D",
    "--version",
    "%s%n",
    "~",
    "*",
    "a=b,c:d#e",
    "Größe 日本",
    "e\u0301",
    "\\x",
    "tab\there",
    "$HOME",
    "{a,b}",
    os.fsdecode(b"--\xe9 %s"),
    os.fsdecode(b"caf\xe9"),
]


@pytest.mark.parametrize(
    "name",
    [
        "$(touch x)`touch x`; touch x | touch x &'\"\\ \n",
        *(pytest.param(name, marks=pytest.mark.slow) for name in HOSTILE),
    ],
)
def test_a_hostile_home_is_a_home_like_any_other(
    directory: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a relative path, as a user could set it
    monkeypatch.chdir(directory)
    before = {process.pid for process in psutil.process_iter()}
    # When a server is started there, then it runs there
    server = start(Path(name))
    assert answer(server) == 1
    assert server.data_dir == directory / name / "pgdata"
    server.close()
    embedded.stop(Path(name))
    # And nothing else has happened
    assert {os.fsdecode(path) for path in directory.iterdir()} <= {str(directory / name)}
    assert list(directory.rglob("x")) == []
    assert not Path("/x").exists()
    left = [p for p in psutil.process_iter(["name"]) if p.pid not in before and p.info["name"] == "touch"]
    assert left == []
