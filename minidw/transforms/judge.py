"""Judging: delivered rows held against the rules. Every reason to reject one stands here."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Numeric,
    Subquery,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)

from minidw.feed.feed import AS_CONTRACTED, Translation
from minidw.schema.ledger import Batch
from minidw.schema.raw import OrderDelivered
from minidw.schema.vocabulary import CURRENCY_SIGNS, RETURNED, STAGED_COLUMNS, STATUSES
from minidw.schema.words import rule
from minidw.transforms.constructs import Query, ascii_lower, codes_where, digest, trimmed, without
from minidw.transforms.parse import Scope, has_decimal_shape, has_integer_shape, parsed, unsigned
from minidw.transforms.translate import DIGITS, order_of

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

Condition = ColumnElement[bool]


@cache
def judged(scope: Scope, translation: Translation = AS_CONTRACTED, chosen: Condition | None = None) -> Query:
    """Delivered rows, cleaned and typed, with the ``reasons`` to reject each; null where there are none.

    The columns of a rejected row may be null.
    """
    row = parsed(scope, translation, chosen)
    amount = Amount(row, translation)
    reasons = [(code, reason(row, amount)) for code, reason in _reasons(translation).items()]
    faultless = not_(or_(*(condition for _, condition in reasons)))
    verdicts: list[tuple[Condition, ColumnElement[Any]]] = [(faultless, null())]
    if translation != AS_CONTRACTED:
        verdicts.append((no_amount(row), codes_where([("NO_AMOUNT", literal(True))])))
    verdicts.append((repeated_header(row), codes_where([("REPEATED_HEADER", literal(True))])))
    values = {name: row.c[name] for name in STAGED_COLUMNS if name in row.c} | amount.columns
    return select(
        *(values[name].label(name) for name in STAGED_COLUMNS),
        case(*verdicts, else_=codes_where(reasons)).label("reasons"),
    )


def judged_by_feed(scope: Scope, translations: tuple[Translation, ...]) -> Query:
    """All batches, each judged by its own feed, in one statement that binds ``batches_by_feed``."""
    return _judged_by_feed(scope, translations) if translations else judged(scope)


@cache
def _judged_by_feed(scope: Scope, translations: tuple[Translation, ...]) -> Query:
    parts = [judged(scope, AS_CONTRACTED, Batch.batch_id.not_in(rule("translated", Integer, many=True)))]
    for number, translation in enumerate(translations):
        chosen = Batch.batch_id.in_(rule(f"translated_{number}", Integer, many=True))
        parts.append(judged(scope, translation, chosen))
    return select(union_all(*parts).subquery("judged"))


def batches_by_feed(batches: Mapping[Translation, Sequence[int]]) -> dict[str, list[int]]:
    """What ``judged_by_feed`` binds: which batches are judged by which of its translations."""
    bound = {f"translated_{number}": list(ids) for number, ids in enumerate(batches.values())}
    return {"translated": [batch_id for ids in batches.values() for batch_id in ids], **bound}


def order_by_feed(translated: Mapping[Translation, Sequence[int]]) -> ColumnElement[str]:
    """The order that a row of raw.orders_all belongs to, by the feed of its batch."""
    orders = [
        (OrderDelivered.batch_id.in_(batches), order_of(OrderDelivered, translation))
        for translation, batches in translated.items()
    ]
    contracted = order_of(OrderDelivered, AS_CONTRACTED)
    return case(*orders, else_=contracted) if orders else contracted


def rules_fingerprint(rules: Mapping[str, Any], translation: Translation = AS_CONTRACTED) -> str:
    """SHA-256 of the rules of staging: a batch that was judged by others is to be judged again."""
    return digest(judged(Scope.ALL, translation), rules)


def out_of_range_date(order_timestamp: ColumnElement[Any], load_date: ColumnElement[Any]) -> Condition:
    """Whether an order lies outside ORDER_DATE_MIN..ORDER_DATE_MAX, whole days (UTC).

    Where no last day is set, it is the day after that of the load: a clock may run ahead, and elsewhere it is
    tomorrow already. The batch keeps its day, so that judging it again gives the same.
    """
    last_day = func.coalesce(rule("order_date_max", Date), load_date + 1)
    day = cast(order_timestamp, Date)
    return or_(day < rule("order_date_min", Date), day > last_day)


class Amount:
    """What a row comes to, by what its feed says of prices and returns.

    A return is staged in one form, however it was delivered: a price, a quantity below zero, their product.

    ==========  ========  =========  ==========================================
    price_is    price     quantity   is staged as price × quantity − discount
    ==========  ========  =========  ==========================================
    unit        20.00     2          20.00 × 2 = 40.00
    unit        20.00     −2         20.00 × −2 = −40.00, returned
    unit        −20.00    2          20.00 × −2 = −40.00, returned
    line        40.00     3          13.3333 × 3 = 40.00, to the last digit
    line        −40.00    2 or −2    20.00 × −2 = −40.00, returned
    ==========  ========  =========  ==========================================
    """

    def __init__(self, row: Subquery, translation: Translation) -> None:
        self.translation = translation
        self.discount = row.c.discount if "discount" in row.c else cast(literal(0), Numeric)
        price: ColumnElement[Any] = row.c.price
        quantity: ColumnElement[Any] = row.c.quantity
        status: ColumnElement[Any] = row.c.status
        self.is_return: Condition = false()
        if translation.returns == "subtract":
            self.is_return = func.coalesce(or_(price < 0, quantity < 0), False)
            status = case((self.is_return, RETURNED), else_=status)
            quantity = case((self.is_return, -func.abs(quantity)), else_=quantity)
            price = func.abs(price)
        gross: ColumnElement[Any] = price * quantity
        if translation.price_is == "line":
            gross = (
                case((self.is_return, -price), else_=price) if translation.returns == "subtract" else price
            )
            price = func.round(price / func.nullif(func.abs(quantity), 0), 4)
        self.total = gross - self.discount if "discount" in row.c else gross
        self.columns: dict[str, ColumnElement[Any]] = {
            "price": price,
            "quantity": quantity,
            "discount": self.discount,
            "total_amount": self.total,
            "status": status,
        }


def missing_key(row: Subquery, _: Amount) -> Condition:
    """The order, customer or product id is blank."""
    return or_(row.c.order_id == "", row.c.customer_id == "", row.c.product_id == "")


def invisible_character(row: Subquery, _: Amount) -> Condition:
    """A blank outside ASCII, or a zero-width or bidirectional character, in a key."""
    keys = row.c.order_id + row.c.customer_id + row.c.product_id
    return and_(not_(row.c.is_ascii), without(keys, INVISIBLE) != keys)


def field_too_long(row: Subquery, _: Amount) -> Condition:
    """A key or category of more than 255 characters, another field of more than 1 MiB."""
    names = ("order_id", "customer_id", "product_id", "category")
    others = ("order_timestamp_text", "price_text", "quantity_text", "status")
    return or_(
        *(_is_longer(row.c[name], LONGEST_KEY) for name in names),
        *(_is_longer(row.c[name], LONGEST_FIELD) for name in others),
    )


def bad_number(row: Subquery, _: Amount) -> Condition:
    """A price, quantity, line number or discount that is none."""
    price = and_(row.c.price.is_(None), not_(has_decimal_shape(row.c.price_text)), not_(_is_infinite(row)))
    found = [
        price,
        *(
            and_(row.c[name].is_(None), not_(has_integer_shape(row.c[f"{name}_text"])))
            for name in ("quantity", "line_number")
        ),
    ]
    if "discount" in row.c:
        found.append(and_(row.c.discount.is_(None), not_(has_decimal_shape(row.c.discount_text))))
    return or_(*found)


def not_finite(row: Subquery, _: Amount) -> Condition:
    """A price that is NaN or infinite."""
    return and_(row.c.price.is_(None), _is_infinite(row))


def out_of_range(row: Subquery, amount: Amount) -> Condition:
    """A number that is larger than its column."""
    price_text = row.c.price_text
    # An exponent is no price here, but one of three digits is also beyond every column.
    beyond = and_(without(price_text, DIGITS + ".+").in_(["e", "E"]), ascii_lower(price_text).like("%e%___"))
    limits = {"price": PRICE_LIMIT, "quantity": INTEGER_LIMIT, "line_number": INTEGER_LIMIT}
    found = [
        and_(row.c.price.is_(None), or_(has_decimal_shape(price_text), beyond)),
        and_(row.c.quantity.is_(None), has_integer_shape(row.c.quantity_text)),
        and_(row.c.line_number.is_(None), has_integer_shape(row.c.line_number_text)),
    ]
    if "discount" in row.c:
        limits["discount"] = PRICE_LIMIT
        found.append(and_(row.c.discount.is_(None), has_decimal_shape(row.c.discount_text)))
    for name, limit in limits.items():
        number = func.coalesce(row.c[name], 0)
        size = number if amount.translation.returns == "reject" else func.abs(number)
        found.append(size >= limit)
    return or_(*found)


def too_many_decimals(row: Subquery, _: Amount) -> Condition:
    """A price or discount with more than four decimals that are not zeros."""

    def has_them(name: str) -> Condition:
        number = row.c[name]
        return and_(
            number.is_not(None), row.c[f"{name}_text"].like("%._____%"), number != func.round(number, 4)
        )

    return or_(*(has_them(name) for name in ("price", "discount") if name in row.c))


def not_positive(row: Subquery, amount: Amount) -> Condition:
    """A price, quantity or line number of zero or less, or a discount of all there is.

    Where returns subtract, one of price and quantity may be below zero, of the amount of a line both; where
    something may be free, a price may be 0.
    """
    feed = amount.translation
    price, quantity, line_number = (
        func.coalesce(row.c[name], 1) for name in ("price", "quantity", "line_number")
    )
    nothing = price <= 0
    if feed.returns == "subtract":
        nothing = and_(price == 0, quantity < 0) if feed.free else price == 0
        if feed.price_is == "unit":
            nothing = or_(nothing, and_(price < 0, quantity < 0))
    elif feed.free:
        nothing = price < 0
    found = [nothing, quantity == 0 if feed.returns == "subtract" else quantity <= 0, line_number <= 0]
    if "discount" in row.c:
        total = func.coalesce(amount.total, 1)
        short = total < 0 if feed.free else total <= 0
        if feed.returns == "subtract":
            found.append(case((amount.is_return, func.coalesce(amount.total, -1) >= 0), else_=short))
            found.append(and_(not_(amount.is_return), func.coalesce(row.c.discount, 0) < 0))
        else:
            found += [short, func.coalesce(row.c.discount, 0) < 0]
    return or_(*found)


def bad_timestamp(row: Subquery, _: Amount) -> Condition:
    """No time in the way that the feed declares; ISO 8601 where it says nothing."""
    return row.c.order_timestamp.is_(None)


def day_out_of_range(row: Subquery, _: Amount) -> Condition:
    """A time outside ORDER_DATE_MIN..ORDER_DATE_MAX."""
    return and_(row.c.order_timestamp.is_not(None), out_of_range_date(row.c.order_timestamp, row.c.load_date))


def unknown_status(row: Subquery, _: Amount) -> Condition:
    """A status that is none of ours, and that the feed does not translate."""
    return row.c.status.not_in(STATUSES)


def other_currency(row: Subquery, _: Amount) -> Condition:
    """A currency that is not that of the warehouse, CURRENCY, or none; a price that names another one.

    A sign stands for those that have it: what $ is, is not known, but it is none that has a sign of its own.
    """
    ours = rule("currency", Text)
    found: list[Condition] = []
    if "currency" in row.c:
        found.append(ascii_lower(row.c.currency) != ascii_lower(ours))
    if "price_currency" in row.c:
        said = row.c.price_currency
        signed = [
            *(and_(said == sign, ours.not_in(codes)) for sign, codes in CURRENCY_SIGNS.items()),
            and_(said == "$", ours.in_([code for codes in CURRENCY_SIGNS.values() for code in codes])),
            and_(said.not_in(["", "$", *CURRENCY_SIGNS]), said != ours),
        ]
        found.append(and_(row.c.price.is_not(None), func.coalesce(or_(*signed), False)))
    return or_(*found)


def no_amount(row: Subquery) -> Condition:
    """Cancelled before there was a price: there is nothing to stage, and no fault in it. Alone."""
    return and_(row.c.status == "cancelled", row.c.price_text == "")


def repeated_header(row: Subquery) -> Condition:
    """The header again between the rows. Alone."""
    names = ("order_timestamp", "price", "quantity")
    return and_(
        *(
            ascii_lower(row.c[f"{name}_text"]) == ascii_lower(trimmed(row.c.header[name].as_string()))
            for name in names
        )
    )


def _reasons(translation: Translation) -> dict[str, Callable[[Subquery, Amount], Condition]]:
    """Every reason to reject a row, in the order in which they are listed. No condition is ever null."""
    reasons: dict[str, Callable[[Subquery, Amount], Condition]] = {
        "MISSING_KEY": missing_key,
        "INVISIBLE_CHARACTER": invisible_character,
        "FIELD_TOO_LONG": field_too_long,
        "BAD_NUMBER": bad_number,
        "NOT_FINITE": not_finite,
        "OUT_OF_RANGE": out_of_range,
        "TOO_MANY_DECIMALS": too_many_decimals,
        "NOT_POSITIVE": not_positive,
        "BAD_TIMESTAMP": bad_timestamp,
        "OUT_OF_RANGE_DATE": day_out_of_range,
        "UNKNOWN_STATUS": unknown_status,
    }
    if "currency" in dict(translation.columns) or translation.decimal is not None:
        reasons["OTHER_CURRENCY"] = other_currency
    return reasons


def _is_longer(text: ColumnElement[str], limit: int) -> Condition:
    """Bytes are known, characters have to be counted: only where there are more bytes than the limit."""
    return and_(func.octet_length(text) > limit, func.length(text) > limit)


def _is_infinite(row: Subquery) -> Condition:
    return ascii_lower(unsigned(row.c.price_text)).in_(["nan", "inf", "infinity"])
