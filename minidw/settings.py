"""Settings from the environment and ``.env``; nothing is read at import."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from minidw.address import PARTS, read_address
from minidw.errors import SettingsError
from minidw.schema.vocabulary import STATUSES
from minidw.upwards import find_upwards

NAMES = ("DATABASE_URL", "POSTGRES_", "MINIDW_", "ORDER_DATE_", "REVENUE_", "SEGMENT_", "MAX_REJECT_RATIO")
"""What the names of our settings begin with: a ``.env`` may well have others, which are not ours to judge."""


@dataclass(frozen=True)
class Settings:
    """What a run needs to know. The defaults are those of an empty environment.

    ``url`` is None when the embedded PostgreSQL is to be used. It lives in ``home``; None is the nearest
    ``.minidw``, in the working directory or above it.
    """

    url: URL | None = field(default=None, repr=False)
    home: Path | None = None
    order_date_min: date = date(2023, 1, 1)
    order_date_max: date = date(2025, 12, 31)
    revenue_statuses: tuple[str, ...] = ("pending", "shipped", "delivered")
    segment_vip: Decimal = Decimal(10000)
    segment_high: Decimal = Decimal(3000)
    segment_medium: Decimal = Decimal(500)
    max_reject_ratio: Decimal = Decimal("0.2")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment; the nearest ``.env``, here or above, fills in what it leaves out.

        ``environ`` is read in its place, and no file.
        Raises SettingsError for a value that cannot be understood, naming the variable, never a password.
        """
        values = _with_dotenv() if environ is None else environ

        def read(name: str, convert: Any, default: Any) -> Any:
            text = values.get(name, "").strip()
            if not text:
                return default
            try:
                return convert(text)
            except (ValueError, InvalidOperation):
                raise SettingsError(f"{name}: cannot understand {text!r}") from None

        settings = cls(
            url=read_address(values),
            home=_home(values.get("MINIDW_HOME", "").strip()),
            order_date_min=read("ORDER_DATE_MIN", date.fromisoformat, cls.order_date_min),
            order_date_max=read("ORDER_DATE_MAX", date.fromisoformat, cls.order_date_max),
            revenue_statuses=read("REVENUE_STATUSES", _statuses, cls.revenue_statuses),
            segment_vip=read("SEGMENT_VIP", _amount, cls.segment_vip),
            segment_high=read("SEGMENT_HIGH", _amount, cls.segment_high),
            segment_medium=read("SEGMENT_MEDIUM", _amount, cls.segment_medium),
            max_reject_ratio=read("MAX_REJECT_RATIO", _ratio, cls.max_reject_ratio),
        )
        if settings.order_date_min > settings.order_date_max:
            raise SettingsError("ORDER_DATE_MIN is after ORDER_DATE_MAX")
        if not settings.segment_vip >= settings.segment_high >= settings.segment_medium:
            raise SettingsError("SEGMENT_VIP, SEGMENT_HIGH and SEGMENT_MEDIUM must not increase")
        return settings

    @property
    def rules(self) -> dict[str, Any]:
        """The parameters of the transformations, by the names their statements bind."""
        return {
            "order_date_min": self.order_date_min,
            "order_date_end": self.order_date_max + timedelta(days=1),
            "revenue_statuses": list(self.revenue_statuses),
            "segment_vip": self.segment_vip,
            "segment_high": self.segment_high,
            "segment_medium": self.segment_medium,
        }


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


def _statuses(text: str) -> tuple[str, ...]:
    statuses = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not statuses or set(statuses) - set(STATUSES):
        raise ValueError(text)
    return tuple(status for status in STATUSES if status in statuses)


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite():
        raise ValueError(text)
    return amount


def _ratio(text: str) -> Decimal:
    ratio = _amount(text)
    if not 0 <= ratio <= 1:
        raise ValueError(text)
    return ratio
