"""Settings from the environment and ``.env``; nothing is read at import."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from minidw.errors import SettingsError
from minidw.schema.vocabulary import STATUSES

SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Settings:
    """What a run needs to know. The defaults are those of an empty environment.

    ``url`` is None when the embedded PostgreSQL is to be used; it lives in ``home``.
    """

    url: URL | None = field(default=None, repr=False)
    home: Path = Path(".minidw")
    order_date_min: date = date(2023, 1, 1)
    order_date_max: date = date(2025, 12, 31)
    revenue_statuses: tuple[str, ...] = ("pending", "shipped", "delivered")
    segment_vip: Decimal = Decimal(10000)
    segment_high: Decimal = Decimal(3000)
    segment_medium: Decimal = Decimal(500)
    max_reject_ratio: Decimal = Decimal("0.2")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment; ``.env`` in the working directory fills in what it leaves out.

        Raises SettingsError for a value that cannot be understood, naming the variable, never a password.
        """
        values = _with_dotenv(os.environ) if environ is None else environ

        def read(name: str, convert: Any, default: Any) -> Any:
            text = values.get(name, "").strip()
            if not text:
                return default
            try:
                return convert(text)
            except (ValueError, InvalidOperation):
                raise SettingsError(f"{name}: cannot understand {text!r}") from None

        settings = cls(
            url=_database_url(values),
            home=Path(values.get("MINIDW_HOME") or cls.home),
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


def _with_dotenv(environ: Mapping[str, str]) -> dict[str, str]:
    from dotenv import dotenv_values

    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**from_file, **environ}


def _database_url(values: Mapping[str, str]) -> URL | None:
    if text := values.get("DATABASE_URL", "").strip():
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise SettingsError(
                "DATABASE_URL is not a URL: postgresql://user:password@host:5432/name"
            ) from None
        if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg2"):
            raise SettingsError(f"DATABASE_URL: minidw speaks to PostgreSQL, not to {url.drivername!r}")
        if "@" in (url.host or ""):
            raise SettingsError("DATABASE_URL has more than one @: write that of a password as %40")
        url = url.set(drivername="postgresql+psycopg2")
        if isinstance(password := url.query.get("password"), str):
            # There it would be shown wherever the URL is.
            url = url.set(password=password).difference_update_query(["password"])
        return url
    if not any(values.get(f"POSTGRES_{part}") for part in ("HOST", "PORT", "DB", "USER", "PASSWORD")):
        return None
    port = values.get("POSTGRES_PORT") or "5432"
    if not port.isdigit():
        raise SettingsError(f"POSTGRES_PORT: {port!r} is not a port number")
    sslmode = values.get("POSTGRES_SSLMODE") or None
    if sslmode not in (None, *SSLMODES):
        raise SettingsError(f"POSTGRES_SSLMODE: {sslmode!r} is none of {', '.join(SSLMODES)}")
    return URL.create(
        "postgresql+psycopg2",
        username=values.get("POSTGRES_USER") or "postgres",
        password=values.get("POSTGRES_PASSWORD") or None,
        host=values.get("POSTGRES_HOST") or "localhost",
        port=int(port),
        database=values.get("POSTGRES_DB") or values.get("POSTGRES_USER") or "postgres",
        query={"sslmode": sslmode} if sslmode else {},
    )


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
