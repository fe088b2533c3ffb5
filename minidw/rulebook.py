"""The rules of a warehouse, declared once each: how a rule is written, its default, and what it decides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, InvalidOperation
from typing import Annotated, Any, get_origin, get_type_hints

from minidw.errors import SettingsError
from minidw.schema.vocabulary import RETURNED, STATUSES, is_time_zone

AMOUNT_LIMIT = 10**34
"""What a sum of money stays below: NUMERIC(38, 4)."""


@dataclass(frozen=True)
class Rule:
    """How the text of a rule is read, what holds where nobody says anything, and what the rule decides."""

    read: Callable[[str], Any]
    default: Any
    meaning: str


def _statuses(text: str) -> tuple[str, ...]:
    statuses = {part.strip().lower() for part in text.split(",") if part.strip()}
    known = (*STATUSES, RETURNED)
    if not statuses or statuses - set(known):
        raise ValueError(text)
    return tuple(status for status in known if status in statuses)


def _currency(text: str) -> str:
    code = text.strip().upper()
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise ValueError(text)
    return code


def _time_zone(text: str) -> str:
    if not is_time_zone(text):
        raise ValueError(text)
    return text


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or abs(amount) >= AMOUNT_LIMIT:
        raise ValueError(text)
    in_full = amount.quantize(Decimal("0.0001"), context=Context(prec=38))
    if in_full != amount:
        raise ValueError(text)
    # 1E+4 is 10000: a rule has one form, and so have the fingerprints of what follows from it.
    return Decimal(f"{in_full:f}".rstrip("0").rstrip("."))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What somebody says of the rules of a warehouse; None where nothing is said.

    A value may be given as it is written. Raises SettingsError for one that cannot be.
    """

    order_date_min: Annotated[
        date | None, Rule(date.fromisoformat, date(2000, 1, 1), "first day of an order")
    ] = None
    order_date_max: Annotated[
        date | None, Rule(date.fromisoformat, None, "last day of an order; not set: the day after its load")
    ] = None
    revenue_statuses: Annotated[
        tuple[str, ...] | None,
        Rule(_statuses, ("pending", "shipped", "delivered", RETURNED), "the statuses that count as revenue"),
    ] = None
    currency: Annotated[
        str | None, Rule(_currency, None, "the currency of the warehouse, such as USD; not set: nobody asks")
    ] = None
    time_zone: Annotated[
        str | None, Rule(_time_zone, "UTC", "the zone whose days daily_revenue counts, such as Europe/Berlin")
    ] = None
    segment_vip: Annotated[
        Decimal | None, Rule(_amount, Decimal(10000), "lifetime value from which a customer is VIP")
    ] = None
    segment_high: Annotated[
        Decimal | None, Rule(_amount, Decimal(3000), "lifetime value from which a customer is High")
    ] = None
    segment_medium: Annotated[
        Decimal | None, Rule(_amount, Decimal(500), "lifetime value from which a customer is Medium, not Low")
    ] = None

    def __post_init__(self) -> None:
        for name in RULES:
            # As it reads: a list of statuses in another order is the same rule.
            object.__setattr__(self, name, read_rule(name, getattr(self, name)))
        if self.order_date_min and self.order_date_max and self.order_date_min > self.order_date_max:
            raise SettingsError("ORDER_DATE_MIN is after ORDER_DATE_MAX")
        limits = [self.segment_vip, self.segment_high, self.segment_medium]
        said = [limit for limit in limits if limit is not None]
        if said != sorted(said, reverse=True):
            raise SettingsError("SEGMENT_VIP, SEGMENT_HIGH and SEGMENT_MEDIUM must not increase")

    @property
    def said(self) -> dict[str, Any]:
        """The rules of which something is said, by name."""
        return {name: getattr(self, name) for name in RULES if getattr(self, name) is not None}

    @property
    def rules(self) -> dict[str, Any]:
        """The parameters that the statements bind, by name; the default where nothing is said."""
        found = {name: rule.default for name, rule in RULES.items()} | self.said
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


RULES: dict[str, Rule] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Rules, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""Every rule by name; its setting has the same name in capitals."""


def read_rule(name: str, value: Any) -> Any:
    """A value of a rule in its one form, from its text or from any such value; None for none."""
    if value is None:
        return None
    text = rule_text(value)
    try:
        return RULES[name].read(text)
    except (ValueError, InvalidOperation):
        raise SettingsError(f"{name.upper()}: cannot understand {text!r}") from None


def rule_text(value: Any) -> str:
    """The value of a rule as it is written."""
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < AMOUNT_LIMIT:
        return f"{value:f}"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, value))
    return str(value)
