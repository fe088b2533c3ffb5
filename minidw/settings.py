"""Settings from the environment and ``.env``; nothing is read at import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from minidw.address import read_address, read_url
from minidw.environment import expanded, with_dotenv
from minidw.errors import SettingsError
from minidw.rulebook import RULES, Rules


@dataclass(frozen=True, kw_only=True)
class Settings(Rules):
    """What a run needs to know. The defaults are those of an empty environment.

    A rule that is None is left to the warehouse, which keeps its rules from its first batch on; one that is
    said has to be the warehouse's. A value may be given as it is written in the environment.

    url: the database, ``postgresql://…``; None: the embedded PostgreSQL
    home: where the embedded PostgreSQL lives; None: the nearest ``.minidw``, here or in a directory above
    max_reject_ratio: share of a file's rows, 0 to 1, beyond which it is refused
    order_date_min: first day of an order, inclusive, UTC
    order_date_max: last day of an order, inclusive, UTC
    revenue_statuses: the statuses that count as revenue
    currency: that of every amount, such as ``EUR``; a row of another is rejected
    time_zone: whose days are those of ``daily_revenue``, an IANA name
    segment_vip, segment_high, segment_medium: lifetime value from which on a customer is in the segment,
        inclusive, in the currency of the orders

    Raises SettingsError for a value that cannot be.

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

        Args:
            environ: what to read in its place, and no file

        Raises:
            SettingsError: a value cannot be understood; names the variable, never a password

        Example:
            >>> minidw.Settings.from_env({"MAX_REJECT_RATIO": "0.05"}).max_reject_ratio
            Decimal('0.05')
        """
        values = with_dotenv() if environ is None else environ

        said = {name: values.get(name.upper(), "").strip() for name in (*RULES, "max_reject_ratio")}
        given: dict[str, Any] = {name: text for name, text in said.items() if text}
        return cls(url=read_address(values), home=_home(values.get("MINIDW_HOME", "").strip()), **given)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "url", read_url("url", self.url))
        object.__setattr__(self, "home", _home(self.home))
        object.__setattr__(self, "max_reject_ratio", _ratio(self.max_reject_ratio))


def _home(value: object) -> Path | None:
    """Where the embedded PostgreSQL is said to live, seen from here, or None: nothing is said."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | Path):
        raise SettingsError(f"MINIDW_HOME: a path is needed, not {value!r}")
    try:
        return (expanded(value) if isinstance(value, str) else value).absolute()
    except FileNotFoundError:
        raise SettingsError(f"MINIDW_HOME: {value} is relative to a directory that is gone") from None


def _ratio(value: object) -> Decimal:
    try:
        ratio = Decimal(str(value))
    except InvalidOperation:
        ratio = Decimal("NaN")
    if not (ratio.is_finite() and 0 <= ratio <= 1):
        raise SettingsError(f"MAX_REJECT_RATIO: cannot understand {value!r}")
    return ratio
