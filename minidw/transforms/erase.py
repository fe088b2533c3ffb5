"""A customer replaced by a pseudonym in what was delivered, what is staged, and what waits for the marts.

Every delivery of the customer gets the same new name, which nobody had before. So each row keeps its fate,
and nothing has to be judged again: the counts and the sums stay what they were.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Text,
    Update,
    case,
    column,
    func,
    literal,
    null,
    select,
    table,
    union_all,
    update,
    values,
)

from minidw.feed.feed import AS_CONTRACTED, Translation
from minidw.schema.raw import OrderDelivered
from minidw.schema.staging import OrderChange, OrderLine
from minidw.schema.vocabulary import STAGED_COLUMNS
from minidw.transforms.constructs import (
    ASCII_WHITESPACE,
    CreateTemporary,
    Query,
    insert_from,
    nfc,
    trimmed,
    without,
)
from minidw.transforms.judge import INVISIBLE, LONGEST_KEY
from minidw.transforms.staging import ORIGIN, this_stage
from minidw.transforms.traces import extra_with, name_of_customer, names_used
from minidw.transforms.translate import as_delivered, filled_down

Feeds = Mapping[Translation, Sequence[int]]
"""Batches by what their feeds declare; those that keep to the contract are left out."""

erased = table("customers_erased", column("customer_id", Text), column("pseudonym", Text))
"""The customers, as ``bare`` has them, and what they are called from now on."""

erased_rows = table(
    "rows_erased", column("batch_id", Integer), column("source_row", BigInteger), column("pseudonym", Text)
)
"""The delivered rows of these customers."""


def bare(text: ColumnElement[Any]) -> ColumnElement[str]:
    """A customer id as it is compared: as it is staged, and without the characters that nobody sees."""
    is_ascii = func.octet_length(text) == func.length(text)
    return case((is_ascii, trimmed(text)), else_=trimmed(nfc(without(text, INVISIBLE))))


def bare_text(customer: str) -> str:
    """The same of a text of Python."""
    visible = customer.translate({ord(character): None for character in INVISIBLE})
    return unicodedata.normalize("NFC", visible).strip(ASCII_WHITESPACE)


def name_customers(pseudonyms: Mapping[str, str]) -> CreateTemporary:
    """The table of the customers to erase."""
    rows = values(column("customer_id", Text), column("pseudonym", Text), name="named")
    return CreateTemporary(erased.name, select(*rows.data([*pseudonyms.items()]).c))


def find_rows(feeds: Feeds) -> CreateTemporary:
    """Every delivered row of the customers, by the feed of its batch, staged or not."""
    parts = [_rows_of(translation, batches) for translation, batches in by_feed(feeds)]
    return CreateTemporary(erased_rows.name, select(union_all(*parts).subquery("found")))


def by_feed(feeds: Feeds) -> list[tuple[Translation, ColumnElement[bool]]]:
    """Each translation, and the delivered rows that are read by it."""
    translated = [batch_id for batches in feeds.values() for batch_id in batches]
    contracted = OrderDelivered.batch_id.not_in(translated)
    others = [(translation, OrderDelivered.batch_id.in_(batches)) for translation, batches in feeds.items()]
    return [(AS_CONTRACTED, contracted), *others]


def _rows_of(translation: Translation, batches: ColumnElement[bool]) -> Query:
    columns = as_delivered(OrderDelivered, translation)
    origin = (getattr(OrderDelivered, name) for name in ORIGIN)
    rows = select(*origin, *(text.label(name) for name, text in columns.items())).where(batches)
    filled = filled_down(rows.subquery("delivered"), translation).subquery("filled")
    same_customer = bare(filled.c.customer_id) == erased.c.customer_id
    return select(*(filled.c[name] for name in ORIGIN), erased.c.pseudonym).join_from(
        filled, erased, same_customer
    )


def number_of_rows() -> Query:
    """How many delivered rows each customer had, by pseudonym."""
    return select(erased_rows.c.pseudonym, func.count().label("rows")).group_by(erased_rows.c.pseudonym)


def number_of_lines() -> Query:
    """How many staged lines each customer has, by pseudonym."""
    same_customer = OrderLine.customer_id == erased.c.customer_id
    lines = select(erased.c.pseudonym, func.count().label("order_lines"))
    return lines.join_from(erased, OrderLine, same_customer).group_by(erased.c.pseudonym)


def rename_delivered(translation: Translation, batches: ColumnElement[bool]) -> Update:
    """The pseudonym in the customer columns of their rows; all else that ``extra`` has is emptied.

    Save for what the feed makes other columns of: the orders stay what they are.
    """
    alias = in_place_of(as_delivered(OrderDelivered, translation)["customer_id"], erased_rows.c.pseudonym)
    changed: dict[str, Any] = {}
    if "customer_id" not in dict(translation.columns):
        direct = OrderDelivered.customer_id.expression
        # Blank where it is as in the first row of the order.
        changed["customer_id"] = case((trimmed(direct) == "", direct), else_=alias)
    named, used = name_of_customer(translation), names_used(translation)

    def value(key: ColumnElement[str], value: ColumnElement[str]) -> ColumnElement[Any]:
        return case((key == named, alias), (key.in_(used), value), else_=null())

    same_row = (getattr(OrderDelivered, name) == erased_rows.c[name] for name in ORIGIN)
    return update(OrderDelivered).where(*same_row, batches).values(**changed, extra=extra_with(value))


def in_place_of(delivered: ColumnElement[str], pseudonym: ColumnElement[str]) -> ColumnElement[str]:
    """The pseudonym as it has to be delivered so that it is judged as the text was."""
    text = trimmed(delivered)
    too_long = func.length(nfc(text)) > LONGEST_KEY
    fitting = case((too_long, func.rpad(pseudonym, LONGEST_KEY + 1, ".", type_=Text)), else_=pseudonym)
    return case((without(text, INVISIBLE) == text, fitting), else_=fitting + INVISIBLE[-1])


def queue_lines() -> list[Insert]:
    """The staged lines of the customers as changes: -1 under the old name, +1 under the new."""
    same_customer = OrderLine.customer_id == erased.c.customer_id
    columns = {name: getattr(OrderLine, name) for name in STAGED_COLUMNS}

    def change(sign: int, **otherwise: Any) -> Insert:
        given = (value.label(name) for name, value in (columns | otherwise).items())
        lines = select(this_stage.label("stage"), *given, literal(sign).label("change"))
        return insert_from(OrderChange, lines.join_from(OrderLine, erased, same_customer))

    return [change(-1), change(1, customer_id=erased.c.pseudonym)]


def rename_lines() -> Update:
    """The pseudonym in the staged lines of the customers."""
    same_customer = OrderLine.customer_id == erased.c.customer_id
    return update(OrderLine).where(same_customer).values(customer_id=erased.c.pseudonym)
