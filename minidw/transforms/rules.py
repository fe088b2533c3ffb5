"""What a delivered row must meet. Every reason to reject one stands here."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
)

from minidw.schema.vocabulary import STAGED_COLUMNS, STATUSES
from minidw.schema.words import rule
from minidw.transforms.constructs import Query, ascii_lower, codes_where, digest, trimmed, without
from minidw.transforms.parse import DIGITS, Scope, has_decimal_shape, has_integer_shape, parsed, unsigned

LONGEST_KEY = 255
LONGEST_FIELD = 1_048_576
PRICE_LIMIT = 10**10
INTEGER_LIMIT = 2**31

# Blanks outside ASCII, zero-width characters, and bidirectional controls.
INVISIBLE = "".join(
    chr(code)
    for code in (
        *(0x00A0, 0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x1680, 0x17B4, 0x17B5, 0x180E),
        *(*range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070)),
        *(0x3000, 0x3164, 0xFEFF, 0xFFA0),
    )
)


@cache
def judged(scope: Scope) -> Query:
    """Delivered rows, cleaned and typed, with the ``reasons`` to reject each; null where there are none.

    The columns of a rejected row may be null.
    """
    row = parsed(scope)
    reasons = _reasons(row)
    faultless = not_(or_(*(condition for _, condition in reasons)))
    repeated_header = and_(
        *(
            ascii_lower(row.c[f"{name}_text"]) == ascii_lower(trimmed(row.c.header[name].as_string()))
            for name in ("order_timestamp", "price", "quantity")
        )
    )
    return select(
        *(row.c[name] for name in STAGED_COLUMNS),
        case(
            (faultless, null()),
            (repeated_header, codes_where([("REPEATED_HEADER", literal(True))])),
            else_=codes_where(reasons),
        ).label("reasons"),
    )


def out_of_range_date(
    order_timestamp: ColumnElement[Any], load_date: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether an order lies outside ORDER_DATE_MIN..ORDER_DATE_MAX, whole days (UTC).

    Where no last day is set, it is the day after that of the load: a clock may run ahead, and elsewhere it is
    tomorrow already. The batch keeps its day, so that judging it again gives the same.
    """
    last_day = func.coalesce(rule("order_date_max", Date), load_date + 1)
    day = cast(order_timestamp, Date)
    return or_(day < rule("order_date_min", Date), day > last_day)


def rules_fingerprint(rules: Mapping[str, Any]) -> str:
    """SHA-256 of the rules of staging: a batch that was judged by others is to be judged again."""
    return digest(judged(Scope.ALL), rules)


def _is_longer(text: ColumnElement[str], limit: int) -> ColumnElement[bool]:
    """Bytes are known, characters have to be counted: only where there are more bytes than the limit."""
    return and_(func.octet_length(text) > limit, func.length(text) > limit)


def _reasons(row: Subquery) -> list[tuple[str, ColumnElement[bool]]]:
    """Every reason to reject a row, with its condition. No condition is ever null."""
    keys = row.c.order_id + row.c.customer_id + row.c.product_id
    price, quantity, line_number = row.c.price, row.c.quantity, row.c.line_number
    price_text, quantity_text, line_text = row.c.price_text, row.c.quantity_text, row.c.line_number_text
    not_finite = ascii_lower(unsigned(price_text)).in_(["nan", "inf", "infinity"])
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
                and_(price.is_(None), not_(has_decimal_shape(price_text)), not_(not_finite)),
                and_(quantity.is_(None), not_(has_integer_shape(quantity_text))),
                and_(line_number.is_(None), not_(has_integer_shape(line_text))),
            ),
        ),
        ("NOT_FINITE", and_(price.is_(None), not_finite)),
        (
            "OUT_OF_RANGE",
            or_(
                and_(price.is_(None), or_(has_decimal_shape(price_text), beyond)),
                and_(quantity.is_(None), has_integer_shape(quantity_text)),
                and_(line_number.is_(None), has_integer_shape(line_text)),
                func.coalesce(price, 0) >= PRICE_LIMIT,
                func.coalesce(quantity, 0) >= INTEGER_LIMIT,
                func.coalesce(line_number, 0) >= INTEGER_LIMIT,
            ),
        ),
        (
            "TOO_MANY_DECIMALS",
            and_(price.is_not(None), price_text.like("%._____%"), price != func.round(price, 4)),
        ),
        (
            "NOT_POSITIVE",
            or_(*(func.coalesce(number, 1) <= 0 for number in (price, quantity, line_number))),
        ),
        ("BAD_TIMESTAMP", row.c.order_timestamp.is_(None)),
        (
            "OUT_OF_RANGE_DATE",
            and_(
                row.c.order_timestamp.is_not(None), out_of_range_date(row.c.order_timestamp, row.c.load_date)
            ),
        ),
        ("UNKNOWN_STATUS", row.c.status.not_in(STATUSES)),
    ]
