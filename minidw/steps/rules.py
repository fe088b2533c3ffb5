"""The rules of the warehouse: kept from its first batch on, held against the settings, changed on demand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, exists, func, insert, select

from minidw.errors import SettingsError
from minidw.rulebook import RULES, read_rule, rule_text
from minidw.schema.ledger import Batch, RuleVersion
from minidw.schema.marts import DailyRevenue
from minidw.schema.staging import OrderLine
from minidw.settings import Settings

FIRST_DAY_BEFORE, LAST_DAY_BEFORE = date(2023, 1, 1), date(2025, 12, 31)
"""What dates had to meet before a warehouse kept its rules."""


@dataclass(frozen=True)
class RuleInForce:
    """A rule of the warehouse.

    name: the setting of the same name
    value: as it is written; None where the rule has no value
    origin: default, environment, set or before
    since, set_by: when it was set, and by which account; None where the warehouse does not keep the rule yet:
        then this is what its first batch will find
    said: what the settings say; None where they leave it to the warehouse

    Example:
        >>> rule = minidw.rules()[0]
        >>> rule.name, rule.value, rule.origin, rule.said
        ('ORDER_DATE_MIN', '2000-01-01', 'default', None)
    """

    name: str
    value: str | None
    origin: str
    since: datetime | None = None
    set_by: str | None = None
    said: str | None = None

    @property
    def meaning(self) -> str:
        """What the rule decides."""
        return RULES[self.name.lower()].meaning

    @property
    def disputed(self) -> bool:
        """Whether the settings say otherwise."""
        return self.said is not None and not self.has(self.said)

    def has(self, text: str | None) -> bool:
        """Whether this is its value, however it is written."""
        name = self.name.lower()
        return bool(read_rule(name, self.value) == read_rule(name, text))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {**asdict(self), "meaning": self.meaning, "disputed": self.disputed}


@dataclass(frozen=True)
class RuleChange:
    """A rule that changed.

    name: the setting of the same name
    before, after: its value, as it is written
    said: what the settings say otherwise; None where they do not

    Example:
        >>> minidw.set_rules({"SEGMENT_HIGH": 4000}).rules
        [RuleChange(name='SEGMENT_HIGH', before='3000', after='4000', said=None)]
    """

    name: str
    before: str | None
    after: str | None
    said: str | None = None


@dataclass(frozen=True)
class Moved:
    """What counts as revenue before and after a change of rules.

    order_lines_before, order_lines: order lines that count
    revenue_before, revenue: what they add up to, in the currency of the orders

    Example:
        >>> moved = minidw.set_rules({"REVENUE_STATUSES": "delivered"}).moved
        >>> moved.order_lines_before, moved.order_lines, moved.revenue
        (3, 1, Decimal('40.0000'))
    """

    order_lines_before: int
    order_lines: int
    revenue_before: Decimal
    revenue: Decimal


def present_rules(conn: Connection, settings: Settings) -> dict[str, RuleInForce]:
    """Every rule; one that the warehouse does not keep yet is what the settings say, or else the default.

    What decided over a filled warehouse goes on deciding, though: the default, where it keeps rules but not
    this one; the range of dates of then, where it keeps none because it is older than they are.
    """
    columns = [getattr(RuleVersion, name) for name in ("name", "value", "origin", "set_at", "set_by")]
    versions = conn.execute(select(*columns).order_by(RuleVersion.version))
    kept = {name: RuleInForce(name, *version) for name, *version in versions}
    filled = _is_filled(conn)
    before = _range_before(conn) if filled and not kept else {}
    found = {}
    for name, rule in RULES.items():
        setting, said = name.upper(), _text(getattr(settings, name))
        if setting in kept:
            present = kept[setting]
        elif said is not None and not (filled and kept):
            present = RuleInForce(setting, said, "environment")
        elif name in before:
            present = RuleInForce(setting, rule_text(before[name]), "before")
        else:
            present = RuleInForce(setting, _text(rule.default), "default")
        found[name] = replace(present, said=said)
    return found


def rules_in_force(conn: Connection, settings: Settings) -> Settings:
    """The settings under the rules of the warehouse. Raises SettingsError where they say otherwise."""
    return _agreed(settings, present_rules(conn, settings))


def wanted_rules(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as ``keep_rules`` takes them. Raises SettingsError where there is no such rule or value."""
    wanted = {}
    for setting, value in changes.items():
        if (name := setting.lower()) not in RULES:
            raise SettingsError(f"there is no rule {setting}; there are {', '.join(RULES).upper()}")
        wanted[name] = read_rule(name, value)
    return wanted


def keep_rules(
    conn: Connection,
    settings: Settings,
    *,
    loading: bool = False,
    accept: bool = False,
    wanted: Mapping[str, Any] | None = None,
) -> tuple[Settings, list[RuleChange]]:
    """As ``rules_in_force``, for who writes: a warehouse that has a batch, or gets one, keeps its rules.

    ``wanted``: rules to change, by name, to a value or to the default (None), whatever the settings say.
    ``accept``: change those of which the settings say otherwise.
    Returns the changes too. Raises SettingsError where the settings say otherwise, or no such rules can be.
    """
    rules = present_rules(conn, settings)
    if loading or _is_filled(conn):
        for name, rule in rules.items():
            if rule.since is None:
                rules[name] = _write(conn, rule)
    if wanted is None and not accept:
        return _agreed(settings, rules), []
    changes = []
    for name, value in (settings.said if wanted is None else wanted).items():
        origin = "default" if value is None else "environment" if wanted is None else "set"
        text = _text(RULES[name].default if value is None else value)
        old = rules[name]
        if old.since is None or not old.has(text):
            rules[name] = _write(conn, replace(old, value=text, origin=origin))
            said = rules[name].said if rules[name].disputed else None
            changes.append(RuleChange(old.name, old.value, text, said))
    return _under(settings, rules), changes


def counted_revenue(conn: Connection) -> tuple[int, Decimal]:
    """The order lines that the marts count, and the sum of their amounts."""
    lines, revenue = func.sum(DailyRevenue.order_lines), func.sum(DailyRevenue.revenue)
    found = conn.execute(select(func.coalesce(lines, 0), func.coalesce(revenue, 0))).one()
    return int(found[0]), found[1]


def _agreed(settings: Settings, rules: Mapping[str, RuleInForce]) -> Settings:
    others = [rule for rule in rules.values() if rule.disputed]
    if others:
        raise SettingsError(
            "; ".join(
                f"{rule.name} is {rule.said} in the settings, but {rule.value or 'not set'} in the warehouse"
                for rule in others
            )
            + ": leave it out of the settings, or change the rule: minidw rules "
            + " ".join(f"--set {rule.name}={rule.said}" for rule in others)
            + ", or minidw run FILE --accept-rules"
        )
    return _under(settings, rules)


def _under(settings: Settings, rules: Mapping[str, RuleInForce]) -> Settings:
    return replace(settings, **{name: rule.value for name, rule in rules.items()})  # type: ignore[arg-type]


def _text(value: Any) -> str | None:
    return None if value is None else rule_text(value)


def _write(conn: Connection, rule: RuleInForce) -> RuleInForce:
    last = func.coalesce(func.max(RuleVersion.version), 0)
    version = select(last + 1).where(RuleVersion.name == rule.name).scalar_subquery()
    values = {"name": rule.name, "version": version, "value": rule.value, "origin": rule.origin}
    written = insert(RuleVersion).values(values).returning(RuleVersion.set_at, RuleVersion.set_by)
    since, set_by = conn.execute(written).one()
    return replace(rule, since=since, set_by=set_by)


def _is_filled(conn: Connection) -> bool:
    return conn.scalar(select(exists().select_from(Batch))) or False


def _range_before(conn: Connection) -> dict[str, date]:
    """The range of dates of a warehouse older than its rules: that of then, wide enough for what it holds."""
    time = OrderLine.order_timestamp
    first, last = conn.execute(select(func.min(time), func.max(time))).one()
    return {
        "order_date_min": min(FIRST_DAY_BEFORE, first.date()) if first else FIRST_DAY_BEFORE,
        "order_date_max": max(LAST_DAY_BEFORE, last.date()) if last else LAST_DAY_BEFORE,
    }
