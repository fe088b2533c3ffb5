"""Why a row of a mart is what it is: the order lines, raw rows and files behind it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError, printable
from minidw.schema.mart import Mart
from minidw.schema.marts import find_mart
from minidw.schema.staging import OrderChange
from minidw.settings import Settings
from minidw.steps.rules import rules_in_force
from minidw.transforms import behind
from minidw.transforms.constructs import Query
from minidw.transforms.values import keys

Row = dict[str, Any]


class Explanation(list[Row]):
    """The order lines behind a row of a mart, and what they come to. It is the list of the lines.

    mart: name of the mart's table
    key: the row's key, by column
    row: the row as the mart holds it; None where there is none
    sums: what the order lines add up to, by column of the mart over order lines; None where there are none
    agrees: whether the mart, and each that it derives from, holds what follows from the order lines
    order_lines: how many order lines count towards it, also those beyond the limit
    left_out: lines of the same key that do not count: status, order_lines, total_amount
    changes_waiting: whether changes wait for a build, as which the marts are behind
    """

    def __init__(
        self,
        lines: list[Row],
        *,
        mart: str,
        key: Row,
        row: Row | None = None,
        sums: Row | None = None,
        agrees: bool = True,
        order_lines: int = 0,
        left_out: list[Row] | None = None,
        changes_waiting: bool = False,
    ) -> None:
        super().__init__(lines)
        self.mart, self.key, self.row, self.sums, self.agrees = mart, key, row, sums, agrees
        self.order_lines, self.left_out, self.changes_waiting = order_lines, left_out or [], changes_waiting

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return vars(self) | {"lines": list(self)}


def why(
    mart: str | type[Mart],
    key: object,
    bind: Bind = None,
    *,
    limit: int | None = None,
    settings: Settings | None = None,
) -> Explanation:
    """The order lines behind one row of a mart, each with the raw row and the file it came from.

    Args:
        mart: the mart, by its class or the name of its table
        key: the row's key, as text or as itself; several values, as a tuple or a row, where it has several
            columns
        bind: where to read; nothing: what the settings say
        limit: at most so many order lines, the earliest; what they add up to is of all of them
        settings: those of the environment by default

    Returns:
        The order lines, none where there is no such row, with the row itself, the sum that it must be, and
        what is left out of it. A line has the columns of staging.orders_stg, ``file_name`` and ``loaded_at``
        of its batch, and as ``raw_…`` what was delivered.

    Raises:
        SettingsError: there is no such mart, its key has another length, or the settings say otherwise than
            the rules of the warehouse
        DatabaseError: the warehouse cannot be read

    Example:
        >>> lines = minidw.why("customer_ltv", "eve")
        >>> [(line["order_id"], line["total_amount"], line["raw_price"]) for line in lines]
        []
        >>> lines.left_out
        [{'status': 'cancelled', 'order_lines': 1, 'total_amount': Decimal('40.0000')}]
    """
    settings = settings or Settings.from_env()
    named = find_mart(mart)
    values = tuple(key) if isinstance(key, Sequence) and not isinstance(key, str) else (key,)
    if len(values) != len(keys(named)):
        raise SettingsError(
            f"{named.__tablename__} has the key {', '.join(keys(named))}: give {len(keys(named))} values"
        )
    shown = {name: printable(str(value)) for name, value in zip(keys(named), values, strict=True)}
    if not all(can_be_stored(str(value)) for value in values):
        return Explanation([], mart=named.__tablename__, key=shown)
    typed = behind.key_values(named, values)
    with reading(bind, settings, snapshot=True) as conn:
        rules = rules_in_force(conn, settings).rules

        def rows(statement: Query) -> list[Row]:
            return [dict(row) for row in conn.execute(statement, rules).mappings()]

        def one(statement: Query) -> Row | None:
            return next(iter(rows(statement)), None)

        chain = list(behind.chain(named, typed))
        held = [one(behind.held_row(*link)) for link in chain]
        due = [one(behind.due_row(*link)) for link in chain]
        return Explanation(
            rows(behind.lines_behind(named, typed, limit)),
            mart=named.__tablename__,
            key=shown,
            row=held[0],
            sums=due[-1],
            agrees=all(map(_agree, held, due)),
            order_lines=conn.execute(behind.number_behind(named, typed), rules).scalar_one(),
            left_out=rows(behind.left_out(named, typed)),
            changes_waiting=conn.execute(select(exists().select_from(OrderChange))).scalar_one(),
        )


def _agree(held: Row | None, due: Row | None) -> bool:
    if held is None or due is None:
        return held is due
    return all(held[name] == value for name, value in due.items())


def can_be_stored(text: str) -> bool:
    """Whether PostgreSQL can hold the text: bytes of a command line that are no UTF-8 it cannot, nor NUL."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
