"""The home of an embedded PostgreSQL and its cluster: found, or decided once and recorded.

Where root may use the home and the account of its server may not, the cluster lies elsewhere. That follows
from permissions, which change; so the home says in ``cluster.json`` what was decided when it was new.
"""

import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minidw.embedded.account import (
    SYSTEM_HOME,
    can_reach,
    chosen_account,
    make_open,
    make_passable,
    write_whole,
)
from minidw.errors import EmbeddedError, printable
from minidw.upwards import find_upwards

if TYPE_CHECKING or sys.platform != "win32":
    import pwd

HOME = ".minidw"
RECORD = "cluster.json"
OF_HOME = "home"
"""The file in a directory of SYSTEM_HOME that names the home to which it belongs."""
# What a first start that was killed leaves, and what a disk of its own has.
OURS = ("start.lock", f"{RECORD}.new", "lost+found")


@dataclass(frozen=True)
class Cluster:
    """A directory with the data of a server, its locks and its log, and the user id that runs the server."""

    directory: Path
    owner: int

    @property
    def data(self) -> Path:
        """What PostgreSQL calls its data directory."""
        return self.directory / "pgdata"

    @property
    def account(self) -> "pwd.struct_passwd | None":
        """The account to become, where root asks; None: ourselves."""
        if os.geteuid() != 0:
            return None
        try:
            account = pwd.getpwuid(self.owner)
        except KeyError:
            raise EmbeddedError(
                f"{self.data} belongs to user {self.owner}, who has no account here"
            ) from None
        if account.pw_uid == 0:
            raise EmbeddedError(f"{self.data} belongs to root, as whom PostgreSQL does not run: chown -R it")
        return account


def find_home(named: Path | None) -> Path:
    """The home that is named, or the nearest one; where there is none, its place in the working directory."""
    try:
        home = named or find_upwards(
            HOME, lambda path: os.path.lexists(path) or _unrecorded(path) is not None
        )
        return (home or Path(HOME)).absolute()
    except FileNotFoundError:
        raise EmbeddedError("the working directory is gone: no warehouse is found from here") from None


def has_warehouse(home: Path) -> bool:
    """Whether there is a cluster in the home, or where the home says."""
    cluster = find_cluster(home)
    return cluster is not None and os.path.lexists(cluster.data)


def require_warehouse(home: Path, *, named: bool) -> None:
    """Raise EmbeddedError, which says where it was looked for, where the home has no cluster yet."""
    if has_warehouse(home):
        return
    if named or os.path.lexists(home):
        where = f"in {printable(str(home))}"
    else:
        around = printable(str(home.parent))
        where = f"here: no {HOME}, and no .env that names a server, in {around} or above it"
    raise EmbeddedError(
        f"there is no warehouse {where}; minidw run FILE or minidw migrate makes it,"
        " DATABASE_URL or MINIDW_HOME names another"
    )


def find_cluster(home: Path) -> Cluster | None:
    """Where the cluster of the home is; None where that is not decided yet. Changes nothing.

    Raises EmbeddedError for a copy of a home whose cluster lies elsewhere.
    """
    place = _resolved(home)
    if place.exists() and not place.is_dir():
        raise EmbeddedError(f"{printable(str(place))} is a file, not a directory")
    if (recorded := _read_record(place)) is not None:
        directory, owner = recorded
        if directory != place:
            _refuse_loss(place, directory)
            _refuse_copy(place, directory)
    elif os.path.lexists(place / "pgdata"):
        directory, owner = place, os.geteuid()
    elif (unrecorded := _unrecorded(home)) is not None:
        directory, owner = unrecorded, os.geteuid()
    else:
        return None
    # Who owns the data runs the server, whoever was meant to when the home was new.
    with suppress(FileNotFoundError):
        owner = (directory / "pgdata").stat().st_uid
    return Cluster(directory, owner)


def make_home(home: Path) -> Path:
    """The home as a directory, made where it is missing; returns its true path."""
    place = _resolved(home)
    if home.is_symlink() and not place.exists():
        raise EmbeddedError(f"{printable(str(home))} leads to {printable(str(place))}, which is not there")
    if not place.exists():
        _make(place)
    if place.stat().st_mode & stat.S_IWOTH:
        raise EmbeddedError(f"{printable(str(place))} is not private: everybody may write there")
    if find_cluster(home) is None:
        foreign = min((path.name for path in place.iterdir() if path.name not in OURS), default=None)
        # Asked again: what another process has put there meanwhile is not foreign, and recorded.
        if foreign is not None and find_cluster(home) is None:
            # As of MINIDW_HOME=$HOME: a warehouse is not strewn among what somebody else keeps there.
            raise EmbeddedError(
                f"{printable(str(place))} is no warehouse and not empty (it has {printable(foreign)}):"
                " name a new directory, or an empty one"
            )
    return place


def decide_cluster(home: Path) -> Cluster:
    """Where the cluster of the home is, once and for all: recorded, where it is not. Under the start lock."""
    place = _resolved(home)
    cluster = find_cluster(home) or _new_cluster(place)
    inside = cluster.directory == place
    if not inside:
        # The same as ever, or where the home has been moved to.
        write_whole(cluster.directory / OF_HOME, os.fsencode(place))
    if not (place / RECORD).exists():
        record = {"directory": "." if inside else str(cluster.directory), "owner": cluster.owner}
        write_whole(place / RECORD, json.dumps(record).encode())
    return cluster


def _resolved(home: Path) -> Path:
    try:
        return home.resolve()
    except (OSError, RuntimeError) as error:
        raise EmbeddedError(f"{printable(str(home))} leads nowhere: {error}") from None


def _read_record(place: Path) -> tuple[Path, int] | None:
    try:
        record = json.loads((place / RECORD).read_bytes())
        return place / str(record["directory"]), int(record["owner"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EmbeddedError(f"the embedded PostgreSQL cannot use {printable(str(place))}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise EmbeddedError(f"{printable(str(place / RECORD))} does not say where the warehouse is") from None


def _refuse_loss(place: Path, directory: Path) -> None:
    """As of a container that kept the home alone: what is new and empty must not pass for it."""
    if not directory.is_dir():
        raise EmbeddedError(
            f"the data of {printable(str(place))} were in {directory}, which is gone: bring it back,"
            f" or remove {RECORD} and start anew"
        )


def _refuse_copy(place: Path, directory: Path) -> None:
    """A home that was moved takes its cluster along; one that was copied does not have two."""
    with suppress(FileNotFoundError):
        origin = Path(os.fsdecode((directory / OF_HOME).read_bytes()))
        if origin == place or _read_record(origin) != _read_record(place):
            return
        raise EmbeddedError(
            f"{printable(str(place))} is a copy of {printable(str(origin))}, whose data are in {directory}"
            " and were not copied: pg_dump copies a warehouse"
        )


def _new_cluster(place: Path) -> Cluster:
    if os.geteuid() != 0:
        return Cluster(place, os.geteuid())
    account = chosen_account()
    if can_reach(place, account):
        return Cluster(place, account.pw_uid)
    make_open(SYSTEM_HOME)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", place.parent.name)[:30]
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SYSTEM_HOME))
    make_passable(directory, account)
    return Cluster(directory, account.pw_uid)


def _make(place: Path) -> None:
    """Whole with its permissions: another process that comes at the same time sees it as it will stay."""
    place.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{HOME}-new-", dir=place.parent))
    try:
        if os.geteuid() == 0 and can_reach(place.parent, chosen_account()):
            make_passable(new, chosen_account())
        with suppress(OSError):
            new.rename(place)
    finally:
        with suppress(OSError):
            new.rmdir()


def _unrecorded(home: Path) -> Path | None:
    """Where root's cluster was put, by the path of its home, before homes recorded it."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    for spelling in (home.absolute(), _resolved(home)):
        digest = hashlib.sha256(os.fsencode(spelling)).hexdigest()[:12]
        directory = SYSTEM_HOME / f"{spelling.parent.name}-{digest}"
        if (directory / "pgdata").is_dir() and not (directory / OF_HOME).exists():
            return directory
    return None
