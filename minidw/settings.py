"""Settings from the environment and ``.env``; nothing is read at import."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from minidw.address import PARTS, read_address
from minidw.errors import SettingsError
from minidw.rulebook import RULES, Rules
from minidw.upwards import find_upwards

NAMES = ("DATABASE_URL", "POSTGRES_", "MINIDW_", "MAX_REJECT_RATIO", *map(str.upper, RULES))
"""What the names of our settings begin with: a ``.env`` may well have others, which are not ours to judge."""


@dataclass(frozen=True, kw_only=True)
class Settings(Rules):
    """What a run needs to know. The defaults are those of an empty environment.

    ``url`` is None when the embedded PostgreSQL is to be used. It lives in ``home``; None is the nearest
    ``.minidw``, in the working directory or above it. A rule that is None is left to the warehouse, which
    keeps its rules from its first batch on; one that is said has to be the warehouse's.

    Example:
        >>> minidw.Settings(order_date_max="2026-12-31").order_date_max
        datetime.date(2026, 12, 31)
    """

    url: URL | None = field(default=None, repr=False)
    home: Path | None = None
    max_reject_ratio: Decimal = Decimal("0.2")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment; the nearest ``.env``, here or above, fills in what it leaves out.

        ``environ`` is read in its place, and no file.
        Raises SettingsError for a value that cannot be understood, naming the variable, never a password.
        """
        values = _with_dotenv() if environ is None else environ

        rules: dict[str, Any] = {name: values.get(name.upper(), "").strip() or None for name in RULES}
        return cls(
            url=read_address(values),
            home=_home(values.get("MINIDW_HOME", "").strip()),
            max_reject_ratio=_ratio(values.get("MAX_REJECT_RATIO", "").strip() or str(cls.max_reject_ratio)),
            **rules,
        )


def _with_dotenv() -> dict[str, str]:
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
        values["MINIDW_HOME"] = str(path.parent / _expanded(home))
    return values


def _home(text: str) -> Path | None:
    """Where the embedded PostgreSQL is said to live, or None: nothing is said."""
    try:
        return _expanded(text).absolute() if text else None
    except FileNotFoundError:
        raise SettingsError(f"MINIDW_HOME: {text} is relative to a directory that is gone") from None


def _expanded(text: str) -> Path:
    if "\0" in text:
        raise SettingsError("MINIDW_HOME contains a character of code 0")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"MINIDW_HOME: {text} needs a home directory, and there is none") from None


def _ratio(text: str) -> Decimal:
    try:
        ratio = Decimal(text)
    except InvalidOperation:
        ratio = Decimal("NaN")
    if not (ratio.is_finite() and 0 <= ratio <= 1):
        raise SettingsError(f"MAX_REJECT_RATIO: cannot understand {text!r}")
    return ratio
