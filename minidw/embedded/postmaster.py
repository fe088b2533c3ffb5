"""Recognising a running PostgreSQL by its data directory: its processes, its socket, what it left behind."""

import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from minidw.errors import EmbeddedError

if TYPE_CHECKING:
    import psutil

SUPERUSER = "postgres"
PORT = "5432"
SOCKET = f".s.PGSQL.{PORT}"
PROTOCOL = 196608  # 3.0
CANNOT_CONNECT_NOW = b"C57P03\0"  # a field of the error that a server sends while it starts or stops
PATIENCE = 60.0
START_TOLERANCE = 5.0
POLL = 0.01


def postmaster(data: Path) -> int | None:
    """The pid of the server of this data directory, if the pid file names such a process and not another."""
    lines = _pid_file(data)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    return pid if pid and _is_ours(pid, data) else None


def postmasters(data: Path) -> list[int]:
    """The postmaster of the pid file, or every postgres that works in the directory where there is none."""
    pid = postmaster(data)
    return [pid] if pid else _strays(data)


def moved_from(data: Path) -> Path | None:
    """Where the data directory was when its server started; None where it still is there, or none runs."""
    lines = _pid_file(data)
    return Path(lines[1]) if postmaster(data) is not None and not _names(lines, data) else None


def predecessor(data: Path) -> int | None:
    """The pid of a server that was started with this path and works elsewhere: it was moved, or deleted."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = process.name() == "postgres" and process.cmdline()[1:3] == ["-D", str(data)]
            if named and not _is_ours(process.pid, data):
                return process.pid
    return None


def _strays(data: Path) -> list[int]:
    import psutil

    return [process.pid for process in psutil.process_iter() if _is_ours(process.pid, data)]


def _is_ours(pid: int, data: Path) -> bool:
    """Alive, a postgres, and at work in the data directory: nothing else is ever signalled."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return False
        try:
            # Not by its path: the directory may have been moved, or deleted and made again.
            return os.path.samestat(_at_work_in(process), data.stat())
        except (psutil.AccessDenied, PermissionError):
            # Root in a container may not look into the processes of others. The pid file, which only the
            # server's account can write, also has the second in which its process started.
            lines = _pid_file(data)
            if len(lines) < 3 or lines[0] != str(pid) or not lines[2].isdigit() or _is_copied(lines, data):
                return False
            owned = process.uids().real == data.stat().st_uid
            return owned and abs(process.create_time() - int(lines[2])) < START_TOLERANCE
    except (psutil.Error, FileNotFoundError, ProcessLookupError):
        return False


def _at_work_in(process: "psutil.Process") -> os.stat_result:
    if sys.platform == "linux":
        return Path(f"/proc/{process.pid}/cwd").stat()
    return Path(process.cwd()).stat()


def _names(lines: list[str], data: Path) -> bool:
    """Whether the pid file was written in this very directory, not in one that it was moved from."""
    with suppress(OSError):
        # A path may go over several lines.
        more = str(data.resolve()).count("\n")
        return len(lines) > 1 and data.samefile("\n".join(lines[1 : 2 + more]))
    return False


def _is_copied(lines: list[str], data: Path) -> bool:
    """Whether the pid file came with a copy: the directory that it names has the original."""
    return not _names(lines, data) and _pid_file(Path(lines[1]))[:1] == lines[:1]


def answers(data: Path) -> bool:
    """Whether the server takes sessions: not just killed with its pid file still there, nor recovering."""
    lines = _pid_file(data)
    if len(lines) < 8 or not lines[7].startswith("ready"):
        return False
    hello = struct.pack("!i", PROTOCOL) + f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.settimeout(PATIENCE)
            probe.connect(str(Path(lines[4]) / SOCKET))
            probe.sendall(struct.pack("!i", len(hello) + 4) + hello)
            reply = probe.recv(4096)
        except OSError:
            return False
    return bool(reply) and CANNOT_CONNECT_NOW not in reply


def _pid_file(data: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.fsdecode((data / "postmaster.pid").read_bytes()).split("\n")
    return []


def socket_directory(data: Path) -> Path | None:
    """Where the socket is, of a server that runs or was killed here; a copied pid file names another's."""
    lines = _pid_file(data)
    if len(lines) > 4 and lines[4] and (_names(lines, data) or postmaster(data) is not None):
        return Path(lines[4])
    return None


def is_private(directory: Path, owner: int) -> bool:
    status = directory.lstat()
    return (
        directory.is_dir()
        and not directory.is_symlink()
        and status.st_uid == owner
        and not status.st_mode & 0o077
    )


def remove_socket_directory(directory: Path | None, data: Path) -> None:
    if directory is None or not directory.name.startswith("minidw-"):
        return
    with suppress(OSError):
        if is_private(directory, data.stat().st_uid):
            shutil.rmtree(directory)


def clear_leftovers(data: Path) -> None:
    """What a server that was killed left behind: its children for a moment, its pid file and its socket."""
    if not wait_until(lambda: not _strays(data), PATIENCE):
        raise EmbeddedError(f"processes of a PostgreSQL that was killed still work in {data}")
    remove_socket_directory(socket_directory(data), data)
    for name in ("postmaster.pid", SOCKET, f"{SOCKET}.lock"):
        (data / name).unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True
