"""The environment, and what the nearest ``.env`` says beside it."""

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from minidw.address import PARTS
from minidw.errors import SettingsError
from minidw.upwards import find_upwards

NAMES = ("DATABASE_URL", "POSTGRES_", "MINIDW_", "MAX_REJECT_RATIO", "ORDER_DATE_", "REVENUE_", "SEGMENT_")
"""What the names of our settings begin with: a ``.env`` may well have others, which are not ours to judge."""


def with_dotenv() -> dict[str, str]:
    """The environment, and what the nearest ``.env`` says beside it."""
    environ = dict(os.environ)
    path = find_upwards(".env")
    return environ if path is None else _beside(_read_dotenv(path), environ) | environ


def _beside(from_file: dict[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Of a file, what does not name another warehouse than the environment does."""
    parts = [f"POSTGRES_{part}" for part in PARTS]
    ways = [["DATABASE_URL"], parts, ["MINIDW_HOME"]]
    # A password alone names nothing: it may be what the file leaves to the environment.
    naming = [["DATABASE_URL"], ["POSTGRES_HOST", "POSTGRES_DB"], ["MINIDW_HOME"]]
    for number, names in enumerate(naming):
        if any(environ.get(name) for name in names):
            outdone = {name for way in ways[:number] for name in way}
            return {name: value for name, value in from_file.items() if name not in outdone}
    return from_file


def _read_dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        # As a byte order mark, an editor's habit would be part of the first name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    for line in parse_stream(StringIO(text)):
        if line.error and any(name in line.original.string for name in NAMES):
            raise SettingsError(f"{path}:{line.original.line}: not of the form NAME=value, or NAME='value'")
    values = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}
    if home := values.get("MINIDW_HOME"):
        values["MINIDW_HOME"] = str(path.parent / expanded(home))
    return values


def expanded(text: str) -> Path:
    """A path of MINIDW_HOME, with the account's own directory in the place of ~."""
    if "\0" in text:
        raise SettingsError("MINIDW_HOME contains a character of code 0")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"MINIDW_HOME: {text} needs a home directory, and there is none") from None
