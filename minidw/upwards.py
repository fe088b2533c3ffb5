"""Finding a file that belongs to a directory or to one above it, as git finds ``.git``."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from minidw.errors import SettingsError, printable


def find_upwards(name: str, is_there: Callable[[Path], bool] = os.path.lexists) -> Path | None:
    """The nearest file or directory of the name, from the working directory up to the root, or None.

    Whatever the file system: a mounted directory belongs to what it is mounted in. What somebody else could
    have put there for others to find is refused: it has to belong to us, to root, or to the owner of the
    working directory, and then not to lie where everybody may write. Raises SettingsError.
    """
    directories = list(_directories())
    for directory in directories:
        path = directory / name
        if is_there(path):
            _trust(path, directories[0])
            return path
    return None


def _directories() -> Iterator[Path]:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        # It was deleted under us, and nothing is above it any more.
        return
    yield here
    yield from here.parents


def _trust(path: Path, here: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        # A link belongs to who made it.
        owner = path.lstat().st_uid
        host = None if path.parent.stat().st_mode & stat.S_IWOTH else here.stat().st_uid
    except OSError:
        return
    if owner not in (os.geteuid(), 0, host):
        raise SettingsError(
            f"{printable(str(path))} belongs to user {owner}, who may have put it there for others to find:"
            " it is not used; chown it, or work below a directory of your own"
        )
