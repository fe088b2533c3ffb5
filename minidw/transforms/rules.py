"""What a delivered row must meet: trim, parse, judge. Every rule of staging stands here."""

from collections.abc import Mapping
from functools import cache, reduce
from itertools import product
from operator import add
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from minidw.schema.mart import rule
from minidw.schema.raw import Batch, OrderDelivered, OrderLanded
from minidw.settings import STATUSES
from minidw.transforms.sql import (
    Query,
    ascii_lower,
    codes_where,
    digest,
    evaluated_once,
    in_sample,
    nfc,
    safe_cast,
    starts_with_digit,
    trimmed,
    utc_time,
    without,
)

LONGEST_KEY = 255
LONGEST_FIELD = 1_048_576
LONGEST_PRICE = 40
LONGEST_INTEGER = 18
PRICE_LIMIT = 10**10
INTEGER_LIMIT = 2**31

DIGITS = "0123456789"

TEXT_COLUMNS = ("order_id", "customer_id", "product_id", "category")
TYPED_COLUMNS: dict[str, TypeEngine[Any]] = {
    "order_timestamp": DateTime(),
    "price": Numeric(),
    "quantity": BigInteger(),
    "line_number": BigInteger(),
}

# Blanks outside ASCII, zero-width characters, and bidirectional controls.
INVISIBLE = "".join(
    chr(code)
    for code in (
        *(0x00A0, 0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x1680, 0x17B4, 0x17B5, 0x180E),
        *(*range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070)),
        *(0x3000, 0x3164, 0xFEFF, 0xFFA0),
    )
)

# Every shape of ISO 8601 that is accepted, 9 standing for a digit.
_TIMES = ("99:99", "99:99:99", *(f"99:99:99.{'9' * digits}" for digits in range(1, 7)))
_OFFSETS = ("Z", *(sign + offset for sign in "+-" for offset in ("99", "99:99", "9999")))
LOCAL_SHAPES = ("9999-99-99", *(f"9999-99-99{t}{time}" for t, time in product("T ", _TIMES)))
OFFSET_SHAPES = tuple(f"9999-99-99{t}{time}{offset}" for t, time, offset in product("T ", _TIMES, _OFFSETS))


@cache
def judged(*, one_batch: bool, landed: bool = False, sample: bool = False) -> Query:
    """Delivered rows, cleaned and typed, with the ``reasons`` to reject each; null where there are none.

    Those of the batch bound as ``batch_id``, or of every batch that is staged. ``landed``: of a batch that
    the landing table holds, where no other rows have to be passed over. The columns of a rejected row may
    be null.
    """
    delivered = _read(OrderLanded if landed else OrderDelivered)
    if one_batch:
        delivered = delivered.where(Batch.batch_id == bindparam("batch_id", type_=Integer))
    else:
        delivered = delivered.where(Batch.staged_at.is_not(None))
    if sample:
        delivered = delivered.where(in_sample(nfc(trimmed(OrderDelivered.order_id))))
    read = evaluated_once(delivered).subquery("read")
    text = evaluated_once(_text(read)).subquery("text")
    parsed = evaluated_once(_parsed(text)).subquery("parsed")

    reasons = _reasons(parsed)
    faultless = not_(or_(*(condition for _, condition in reasons)))
    repeated_header = and_(
        *(
            ascii_lower(parsed.c[f"{name}_text"]) == ascii_lower(trimmed(parsed.c.header[name].as_string()))
            for name in ("order_timestamp", "price", "quantity")
        )
    )
    return select(
        *(
            parsed.c[name]
            for name in ("batch_id", "source_row", "order_id", "line_number", "order_timestamp")
        ),
        *(
            parsed.c[name]
            for name in ("customer_id", "product_id", "category", "price", "quantity", "status")
        ),
        case(
            (faultless, null()),
            (repeated_header, codes_where([("REPEATED_HEADER", literal(True))])),
            else_=codes_where(reasons),
        ).label("reasons"),
    )


def rules_fingerprint(rules: Mapping[str, Any]) -> str:
    """SHA-256 of the rules of staging: a batch that was judged by others is to be judged again."""
    return digest(judged(one_batch=False), rules)


def _read(delivered: type[OrderDelivered] | type[OrderLanded]) -> Query:
    """Delivered rows; beside each typed column, what a quick cast makes of a text that looks usual."""

    def number(text: ColumnElement[Any], longest: int) -> ColumnElement[bool]:
        return and_(starts_with_digit(text), func.octet_length(text) <= longest)

    looks_usual = {
        "order_timestamp": delivered.order_timestamp.like("____-__-__ __:__:__"),
        # An exponent of a few digits makes a number of thousands.
        "price": and_(
            number(delivered.price.expression, LONGEST_PRICE),
            delivered.price.not_like("%e%"),
            delivered.price.not_like("%E%"),
        ),
        "quantity": number(delivered.quantity.expression, LONGEST_INTEGER),
        "line_number": number(delivered.line_number.expression, LONGEST_INTEGER),
    }
    same_batch = true() if delivered is OrderLanded else OrderDelivered.batch_id == Batch.batch_id
    return select(
        Batch.batch_id,
        delivered.source_row,
        Batch.header,
        *(trimmed(getattr(delivered, name)).label(name) for name in TEXT_COLUMNS),
        case(
            (delivered.status.in_(STATUSES), delivered.status), else_=ascii_lower(trimmed(delivered.status))
        ).label("status"),
        *(getattr(delivered, name).label(name) for name in TYPED_COLUMNS),
        *(
            case((looks_usual[name], safe_cast(getattr(delivered, name).expression, type_))).label(
                f"{name}_read"
            )
            for name, type_ in TYPED_COLUMNS.items()
        ),
    ).join_from(delivered, Batch, same_batch)


def _text(read: Subquery) -> Query:
    """Every text trimmed, and whether those that name things are ASCII."""
    names = reduce(add, (read.c[name] for name in TEXT_COLUMNS))
    return select(
        *(read.c[name] for name in ("batch_id", "source_row", "header", "status", *TEXT_COLUMNS)),
        (func.octet_length(names) == func.length(names)).label("is_ascii"),
        *(
            case((_prints_as(read, name), read.c[name]), else_=trimmed(read.c[name])).label(name)
            for name in TYPED_COLUMNS
        ),
        *(read.c[f"{name}_read"] for name in TYPED_COLUMNS),
    )


def _parsed(text: Subquery) -> Query:
    """Typed values; null where a text does not have the shape of its type."""

    def name(column: str) -> ColumnElement[str]:
        return case((text.c.is_ascii, text.c[column]), else_=nfc(text.c[column]))

    def value(column: str, thorough: ColumnElement[Any]) -> ColumnElement[Any]:
        return case((_prints_as(text, column), text.c[f"{column}_read"]), else_=thorough).label(column)

    return select(
        text.c.batch_id,
        text.c.source_row,
        text.c.header,
        text.c.is_ascii,
        *(name(column).label(column) for column in ("order_id", "customer_id", "product_id")),
        func.coalesce(func.nullif(ascii_lower(name("category")), ""), "unknown").label("category"),
        text.c.status,
        *(text.c[column].label(f"{column}_text") for column in TYPED_COLUMNS),
        value("order_timestamp", _timestamp(text.c.order_timestamp)),
        value("price", _decimal(text.c.price)),
        value("quantity", _integer(text.c.quantity)),
        # A feed of one row per order has no line numbers: it has only line 1.
        value("line_number", case((text.c.line_number == "", 1), else_=_integer(text.c.line_number))),
    )


def _prints_as(row: Subquery, column: str) -> ColumnElement[bool]:
    """Whether what was read quickly prints as the text it was read from: then the text is as it should be.

    That costs a fifth of looking at every character. Where a session prints another way, or a text is
    no less valid but unusual, the thorough way decides.
    """
    return cast(row.c[f"{column}_read"], Text) == row.c[column]


def _unsigned(text: ColumnElement[str]) -> ColumnElement[str]:
    return case((or_(text.like("+%"), text.like("-%")), func.substr(text, 2)), else_=text)


def _has_integer_shape(text: ColumnElement[str]) -> ColumnElement[bool]:
    def plain(number: ColumnElement[str]) -> ColumnElement[bool]:
        return and_(without(number, DIGITS) == "", number != "")

    return or_(plain(text), and_(_unsigned(text) != text, plain(_unsigned(text))))


def _has_decimal_shape(text: ColumnElement[str]) -> ColumnElement[bool]:
    def plain(number: ColumnElement[str]) -> ColumnElement[bool]:
        residue = without(number, DIGITS)
        return and_(residue.in_(["", "."]), number != "", number.not_like(".%"), number.not_like("%."))

    return or_(plain(text), and_(_unsigned(text) != text, plain(_unsigned(text))))


def _integer(text: ColumnElement[str]) -> ColumnElement[int]:
    return case(
        (and_(_has_integer_shape(text), func.length(text) <= LONGEST_INTEGER), cast(text, BigInteger)),
    )


def _decimal(text: ColumnElement[str]) -> ColumnElement[Any]:
    return case((and_(_has_decimal_shape(text), func.length(text) <= LONGEST_PRICE), cast(text, Numeric)))


def _timestamp(text: ColumnElement[str]) -> ColumnElement[Any]:
    """UTC time of an ISO 8601 text."""
    shape = func.translate(text, DIGITS, "9" * 10, type_=Text)
    on_the_clock = and_(func.substr(text, 12, 2) != "24", func.substr(text, 18, 2) != "60")
    return case(
        (and_(shape.in_(LOCAL_SHAPES), on_the_clock), safe_cast(text, DateTime())),
        (and_(shape.in_(OFFSET_SHAPES), on_the_clock), utc_time(text)),
    )


def _is_longer(text: ColumnElement[str], limit: int) -> ColumnElement[bool]:
    """Bytes are known, characters have to be counted: only where there are more bytes than the limit."""
    return and_(func.octet_length(text) > limit, func.length(text) > limit)


def _reasons(row: Subquery) -> list[tuple[str, ColumnElement[bool]]]:
    """Every reason to reject a row, with its condition. No condition is ever null."""
    keys = row.c.order_id + row.c.customer_id + row.c.product_id
    price, quantity, line_number = row.c.price, row.c.quantity, row.c.line_number
    price_text, quantity_text, line_text = row.c.price_text, row.c.quantity_text, row.c.line_number_text
    not_finite = ascii_lower(_unsigned(price_text)).in_(["nan", "inf", "infinity"])
    # An exponent is no price here, but one of three digits is also beyond every column.
    beyond = and_(without(price_text, DIGITS + ".+").in_(["e", "E"]), ascii_lower(price_text).like("%e%___"))
    return [
        ("MISSING_KEY", or_(row.c.order_id == "", row.c.customer_id == "", row.c.product_id == "")),
        (
            "INVISIBLE_CHARACTER",
            and_(not_(row.c.is_ascii), without(keys, INVISIBLE) != keys),
        ),
        (
            "FIELD_TOO_LONG",
            or_(
                *(
                    _is_longer(row.c[name], LONGEST_KEY)
                    for name in ("order_id", "customer_id", "product_id", "category")
                ),
                *(
                    _is_longer(row.c[name], LONGEST_FIELD)
                    for name in ("order_timestamp_text", "price_text", "quantity_text", "status")
                ),
            ),
        ),
        (
            "BAD_NUMBER",
            or_(
                and_(price.is_(None), not_(_has_decimal_shape(price_text)), not_(not_finite)),
                and_(quantity.is_(None), not_(_has_integer_shape(quantity_text))),
                and_(line_number.is_(None), not_(_has_integer_shape(line_text))),
            ),
        ),
        ("NOT_FINITE", and_(price.is_(None), not_finite)),
        (
            "OUT_OF_RANGE",
            or_(
                and_(price.is_(None), or_(_has_decimal_shape(price_text), beyond)),
                and_(quantity.is_(None), _has_integer_shape(quantity_text)),
                and_(line_number.is_(None), _has_integer_shape(line_text)),
                func.coalesce(price, 0) >= PRICE_LIMIT,
                func.coalesce(quantity, 0) >= INTEGER_LIMIT,
                func.coalesce(line_number, 0) >= INTEGER_LIMIT,
            ),
        ),
        ("TOO_MANY_DECIMALS", and_(price.is_not(None), price_text.like("%._____%"))),
        (
            "NOT_POSITIVE",
            or_(*(func.coalesce(number, 1) <= 0 for number in (price, quantity, line_number))),
        ),
        ("BAD_TIMESTAMP", row.c.order_timestamp.is_(None)),
        (
            "OUT_OF_RANGE_DATE",
            and_(
                row.c.order_timestamp.is_not(None),
                or_(
                    row.c.order_timestamp < rule("order_date_min", Date),
                    row.c.order_timestamp >= rule("order_date_end", Date),
                ),
            ),
        ),
        ("UNKNOWN_STATUS", row.c.status.not_in(STATUSES)),
    ]
