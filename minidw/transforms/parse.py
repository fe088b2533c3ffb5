"""What a delivered text says: trimmed, in normal form, and as a value of its type."""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import reduce
from itertools import product
from operator import add
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Numeric,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    or_,
    select,
    table,
    true,
)
from sqlalchemy.types import TypeEngine

from minidw.feed.feed import AS_CONTRACTED, Translation
from minidw.schema.ledger import Batch
from minidw.schema.raw import OrderDelivered, OrderLanded
from minidw.schema.vocabulary import STATUSES
from minidw.transforms.constructs import (
    Query,
    ascii_lower,
    evaluated_once,
    in_sample,
    local_time,
    nfc,
    safe_cast,
    starts_with_digit,
    trimmed,
    utc_time,
    without,
)
from minidw.transforms.translate import DIGITS, Delivered, as_delivered, contracted, order_of

LONGEST_PRICE = 40
LONGEST_INTEGER = 18
TEXT_COLUMNS = ("order_id", "customer_id", "product_id", "category")
FURTHER_COLUMNS = ("discount", "currency", "price_currency")
"""Those that are there only where a feed says which they are."""
TYPED_COLUMNS: dict[str, TypeEngine[Any]] = {
    "order_timestamp": DateTime(),
    "price": Numeric(),
    "quantity": BigInteger(),
    "line_number": BigInteger(),
}

# Every shape of ISO 8601 that is accepted, 9 standing for a digit.
_TIMES = ("99:99", "99:99:99", *(f"99:99:99.{'9' * digits}" for digits in range(1, 7)))
_OFFSETS = ("Z", *(sign + offset for sign in "+-" for offset in ("99", "99:99", "9999")))
LOCAL_SHAPES = ("9999-99-99", *(f"9999-99-99{t}{time}" for t, time in product("T ", _TIMES)))
OFFSET_SHAPES = tuple(f"9999-99-99{t}{time}{offset}" for t, time, offset in product("T ", _TIMES, _OFFSETS))


class Scope(Enum):
    """Which delivered rows a select reads."""

    LANDED = "those of the landing table, which holds the batch bound as batch_id and no other"
    BATCH = "those of the batch bound as batch_id, from the history"
    ALL = "those of every staged batch"
    SAMPLE = "a random part of those of every staged batch, drawn by order"
    NAMED = "those of every staged batch, and of the one bound as arrived, whose order is in orders_named"


named_orders = table("orders_named", column("order_id", Text))
"""A temporary table of the orders that are judged again."""


def parsed(
    scope: Scope, translation: Translation = AS_CONTRACTED, chosen: ColumnElement[bool] | None = None
) -> Subquery:
    """The delivered rows that ``judged`` describes: each text trimmed, beside it the value of its type.

    Where a feed declares anything of its values, they are first put in the words of the contract.
    ``chosen``: of the batches of a scope, those of that feed.

    Three passes, each over the one before. The first tries what most texts are, which is quick; the second
    brings the others into the form that the third can judge. Of prices and quantities:

    =============  ===================  ==============  ===========  =============
    delivered      read quickly         put in form     as a value
    =============  ===================  ==============  ===========  =============
    ``'12.50'``    12.50                ``'12.50'``     12.50        prints alike
    ``' 12.50 '``  null: no digit first ``'12.50'``     12.50        by its shape
    ``'1.0'``      null: no integer     ``'1'``         1            a quantity
    ``'12,50'``    null: no number      ``'12,50'``     null         BAD_NUMBER
    =============  ===================  ==============  ===========  =============
    """
    delivered: Delivered = OrderLanded if scope is Scope.LANDED else OrderDelivered
    order = order_of(delivered, translation)
    columns = as_delivered(delivered, translation)
    if translation == AS_CONTRACTED:
        rows = _joined(_read_quickly(delivered.source_row, columns, Batch), delivered)
        read = _of_scope(rows, scope, chosen, order)
    else:
        ledger = (getattr(Batch, name) for name in ("batch_id", "header", "load_date"))
        rows = select(*ledger, delivered.source_row, *(text.label(name) for name, text in columns.items()))
        texts = _of_scope(_joined(rows, delivered), scope, chosen, order).subquery("delivered")
        contract = evaluated_once(contracted(texts, translation)).subquery("contract")
        read = _read_quickly(contract.c.source_row, dict(contract.c), contract.c)
    quickly = evaluated_once(read).subquery("read")
    text = evaluated_once(_put_in_form(quickly)).subquery("text")
    return evaluated_once(_values(text, translation.time_zone)).subquery("parsed")


def _joined(rows: Query, delivered: Delivered) -> Query:
    same_batch = true() if delivered is OrderLanded else OrderDelivered.batch_id == Batch.batch_id
    return rows.join_from(delivered, Batch, same_batch)


def _of_scope(
    rows: Query, scope: Scope, chosen: ColumnElement[bool] | None, order: ColumnElement[str]
) -> Query:
    if scope in (Scope.LANDED, Scope.BATCH):
        return rows.where(Batch.batch_id == bindparam("batch_id", type_=Integer))
    judged_before: ColumnElement[bool] = Batch.staged_at.is_not(None)
    if scope is Scope.NAMED:
        arrived = Batch.batch_id.in_(bindparam("arrived", [], type_=Integer, expanding=True))
        judged_before = or_(judged_before, arrived)
    rows = rows.where(judged_before)
    if chosen is not None:
        rows = rows.where(chosen)
    if scope is Scope.NAMED:
        return rows.where(is_named(order))
    return rows.where(in_sample(order)) if scope is Scope.SAMPLE else rows


def is_named(order_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether an order is one of those that are judged again."""
    return order_id.in_(select(named_orders.c.order_id))


def _read_quickly(source_row: Any, column: Mapping[str, Any], batch: Any) -> Query:
    """Rows in the words of the contract; beside each typed column what a plain cast makes of a usual text.

    ``'12.50'`` → 12.50, but ``' 12.50 '`` → null: it does not begin with a digit.
    """

    def number(text: ColumnElement[Any], longest: int) -> ColumnElement[bool]:
        return and_(starts_with_digit(text), func.octet_length(text) <= longest)

    looks_usual = {
        "order_timestamp": column["order_timestamp"].like("____-__-__ __:__:__"),
        # An exponent of a few digits makes a number of thousands.
        "price": and_(
            number(column["price"], LONGEST_PRICE),
            column["price"].not_like("%e%"),
            column["price"].not_like("%E%"),
        ),
        "quantity": number(column["quantity"], LONGEST_INTEGER),
        "line_number": number(column["line_number"], LONGEST_INTEGER),
    }
    status = column["status"]
    return select(
        batch.batch_id,
        source_row,
        batch.header,
        batch.load_date,
        *(trimmed(column[name]).label(name) for name in TEXT_COLUMNS),
        case((status.in_(STATUSES), status), else_=_status(status)).label("status"),
        *(column[name].label(name) for name in TYPED_COLUMNS),
        *(
            case((looks_usual[name], safe_cast(column[name], type_))).label(f"{name}_read")
            for name, type_ in TYPED_COLUMNS.items()
        ),
        *(trimmed(column[name]).label(name) for name in FURTHER_COLUMNS if name in column),
    )


def _put_in_form(read: Subquery) -> Query:
    """Every text trimmed and in the form that can be judged, and whether those that name things are ASCII.

    ``' 12.50 '`` → ``'12.50'``; a quantity ``'2.0'`` → ``'2'``; ``'2024-05-01 10:00:00 -0500'`` → the same
    without the blank before the offset. What was read quickly is in form as it is.
    """
    names = reduce(add, (read.c[name] for name in TEXT_COLUMNS))
    in_form = {"order_timestamp": tidy_time, "price": _as_it_is, "quantity": whole, "line_number": whole}
    return select(
        *(
            read.c[name]
            for name in ("batch_id", "source_row", "header", "load_date", "status", *TEXT_COLUMNS)
        ),
        (func.octet_length(names) == func.length(names)).label("is_ascii"),
        *(
            case((_prints_as(read, name), read.c[name]), else_=in_form[name](trimmed(read.c[name]))).label(
                name
            )
            for name in TYPED_COLUMNS
        ),
        *(read.c[f"{name}_read"] for name in TYPED_COLUMNS),
        *(read.c[name] for name in FURTHER_COLUMNS if name in read.c),
    )


def _values(text: Subquery, time_zone: str) -> Query:
    """Typed values: ``'12.50'`` → 12.50; null where a text does not have the shape of its type.

    ``time_zone``: of a time without an offset.
    """

    def utc(time: ColumnElement[Any]) -> ColumnElement[Any]:
        return time if time_zone == "UTC" else local_time(time, time_zone)

    def name(column: str) -> ColumnElement[str]:
        return case((text.c.is_ascii, text.c[column]), else_=nfc(text.c[column]))

    def value(
        column: str, thorough: ColumnElement[Any], quick: Callable[..., ColumnElement[Any]] = _as_it_is
    ) -> ColumnElement[Any]:
        usual = quick(text.c[f"{column}_read"])
        return case((_prints_as(text, column), usual), else_=thorough).label(column)

    further: dict[str, ColumnElement[Any]] = {}
    if "discount" in text.c:
        amount = text.c.discount
        further["discount_text"] = amount
        further["discount"] = case((amount == "", 0), else_=_decimal(amount))
    further |= {name: text.c[name] for name in ("currency", "price_currency") if name in text.c}
    return select(
        text.c.batch_id,
        text.c.source_row,
        text.c.header,
        text.c.load_date,
        text.c.is_ascii,
        *(name(column).label(column) for column in ("order_id", "customer_id", "product_id")),
        func.coalesce(func.nullif(ascii_lower(name("category")), ""), "unknown").label("category"),
        text.c.status,
        *(text.c[column].label(f"{column}_text") for column in TYPED_COLUMNS),
        value("order_timestamp", _timestamp(text.c.order_timestamp, utc), utc),
        value("price", _decimal(text.c.price)),
        value("quantity", _integer(text.c.quantity)),
        # A feed of one row per order has no line numbers: it has only line 1.
        value("line_number", case((text.c.line_number == "", 1), else_=_integer(text.c.line_number))),
        *(expression.label(name) for name, expression in further.items()),
    )


def _prints_as(row: Subquery, column: str) -> ColumnElement[bool]:
    """Whether what was read quickly prints as the text it was read from: then the text is as it should be.

    That costs a fifth of looking at every character. Where a session prints another way, or a text is
    no less valid but unusual, the thorough way decides.
    """
    return cast(row.c[f"{column}_read"], Text) == row.c[column]


def _as_it_is(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return value


def _status(text: Any) -> ColumnElement[str]:
    """A status in lower case, and in one spelling."""
    lower = ascii_lower(trimmed(text))
    return case((lower == "canceled", "cancelled"), else_=lower)


def whole(text: ColumnElement[str]) -> ColumnElement[str]:
    """``2.00`` → ``2``: a number goes without decimals that are all zeros."""
    stem = func.rtrim(text, "0", type_=Text)
    without_point = func.substr(stem, 1, func.length(stem) - 1, type_=Text)
    return case((and_(text.like("_%.0%"), stem.like("%.")), without_point), else_=text)


def tidy_time(text: ColumnElement[str]) -> ColumnElement[str]:
    """A time in a shape of ISO 8601, where it is one but for blanks or for digits that say nothing.

    ``2024-05-01 10:00:00 -0500`` → ``2024-05-01 10:00:00-0500``, `` UTC``, `` GMT`` and `` Z`` → ``Z``, and
    ``10:00:00.123456000`` → ``10:00:00.123456``. Whatever comes of another text is no time either.
    """
    tail: ColumnElement[str] = func.substr(text, 17, type_=Text)  # what follows the minutes
    for spelled, plain in {" UTC": "Z", " GMT": "Z", " Z": "Z", " +": "+", " -": "-"}.items():
        tail = func.replace(tail, spelled, plain, type_=Text)
    seconds, beyond = func.substr(tail, 1, 10, type_=Text), func.substr(tail, 11, type_=Text)
    to_the_microsecond = func.translate(seconds, DIGITS, "9" * 10, type_=Text) == ":99.999999"
    tail = case((to_the_microsecond, seconds + func.ltrim(beyond, "0", type_=Text)), else_=tail)
    return func.substr(text, 1, 16, type_=Text) + tail


def unsigned(text: ColumnElement[str]) -> ColumnElement[str]:
    return case((or_(text.like("+%"), text.like("-%")), func.substr(text, 2)), else_=text)


def has_integer_shape(text: ColumnElement[str]) -> ColumnElement[bool]:
    def plain(number: ColumnElement[str]) -> ColumnElement[bool]:
        return and_(without(number, DIGITS) == "", number != "")

    return or_(plain(text), and_(unsigned(text) != text, plain(unsigned(text))))


def has_decimal_shape(text: ColumnElement[str]) -> ColumnElement[bool]:
    def plain(number: ColumnElement[str]) -> ColumnElement[bool]:
        residue = without(number, DIGITS)
        return and_(residue.in_(["", "."]), number != "", number.not_like(".%"), number.not_like("%."))

    return or_(plain(text), and_(unsigned(text) != text, plain(unsigned(text))))


def _integer(text: ColumnElement[str]) -> ColumnElement[int]:
    return case(
        (and_(has_integer_shape(text), func.length(text) <= LONGEST_INTEGER), cast(text, BigInteger)),
    )


def _decimal(text: ColumnElement[str]) -> ColumnElement[Any]:
    return case((and_(has_decimal_shape(text), func.length(text) <= LONGEST_PRICE), cast(text, Numeric)))


def _timestamp(
    text: ColumnElement[str], utc: Callable[[ColumnElement[Any]], ColumnElement[Any]]
) -> ColumnElement[Any]:
    """UTC time of an ISO 8601 text; ``utc`` is that of a time without an offset."""
    shape = func.translate(text, DIGITS, "9" * 10, type_=Text)
    on_the_clock = and_(func.substr(text, 12, 2) != "24", func.substr(text, 18, 2) != "60")
    return case(
        (and_(shape.in_(LOCAL_SHAPES), on_the_clock), utc(safe_cast(text, DateTime()))),
        (and_(shape.in_(OFFSET_SHAPES), on_the_clock), utc_time(text)),
    )
