"""What an export says → what the contract says: text for text, as the declaration of its feed has it.

A text that the declaration does not allow becomes ``?``, which is no number and no time. One without any
digit stays what it is: it may be a header, or a word for which there is a reason of its own.
"""

from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)

from minidw.feed.column import Column
from minidw.feed.feed import Translation
from minidw.schema.raw import OrderDelivered, OrderLanded
from minidw.schema.vocabulary import CONTRACT_COLUMNS, FEED_COLUMNS
from minidw.transforms.constructs import (
    Query,
    after_milliseconds,
    ascii_lower,
    btrim,
    evaluated_once,
    nfc,
    rounded_milliseconds,
    trimmed,
    without,
)

DIGITS = "0123456789"
NUMBERS = ("price", "quantity", "discount")
IDENTIFIERS = ("order_id", "customer_id", "product_id")
_SIGNS = "$€£¥"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BLANKS = " \u00a0\u202f"
# What may stand around a number, # being the number and $ any sign or code of a currency.
_POSITIVE = ("#", "+#", "$#", "#$", "+$#", "$+#", "+#$")
_NEGATIVE = ("-#", "#-", "(#)", "-$#", "$-#", "-#$", "#-$", "#$-", "$#-", "($#)", "(#$)", "$(#)", "(#)$")
_HOURS = [f"{hour}" for hour in range(1, 13)] + [f"0{hour}" for hour in range(1, 10)]
_ON_THE_HALF_DAY = (":99", ":99:99", *(f":99:99.{'9' * digits}" for digits in range(1, 7)))

Delivered = type[OrderDelivered] | type[OrderLanded]


def as_delivered(delivered: Delivered, translation: Translation) -> dict[str, ColumnElement[Any]]:
    """Our columns of delivered rows, each made of what the feed says, before any value is translated."""
    made = dict(translation.columns)
    return {
        name: _made_of(made[name], delivered) if name in made else getattr(delivered, name).expression
        for name in CONTRACT_COLUMNS
        if name in made or name in FEED_COLUMNS
    }


def order_of(delivered: Delivered, translation: Translation) -> ColumnElement[str]:
    """The order that a delivered row belongs to."""
    return nfc(trimmed(as_delivered(delivered, translation)["order_id"]))


def is_return(delivered: Delivered, translation: Translation) -> ColumnElement[bool]:
    """Whether a delivered row has a minus in its price or quantity, in whatever way it is written."""
    columns = as_delivered(delivered, translation)
    texts = (func.coalesce(columns[name], "", type_=Text) for name in ("price", "quantity"))
    return or_(*(without(text, "-(") != text for text in texts))


def rounded_ids(batch_id: int, translation: Translation) -> Query:
    """The identifiers of a batch that read as ``1.23E+15``: of each column how many, and one of them."""
    columns = as_delivered(OrderDelivered, translation)

    def of(name: str) -> Query:
        text = trimmed(columns[name])
        shape = func.translate(text, "0123456789,e", "9999999999.E", type_=Text)
        is_rounded = and_(shape.like("9%E+99%"), without(shape, ".9") == "E+")
        rows = select(literal(name).label("name"), func.count().label("rows"), func.min(text).label("value"))
        return rows.where(OrderDelivered.batch_id == batch_id, is_rounded)

    found = union_all(*map(of, IDENTIFIERS)).subquery("rounded")
    return select(found).order_by(found.c.name)


def contracted(rows: FromClause, translation: Translation) -> Query:
    """Rows of ``as_delivered`` in the words of the contract; what else a row has is passed on."""
    filled = evaluated_once(filled_down(rows, translation)).subquery("filled")
    statuses = {spelled: ours for theirs, ours in translation.status for spelled in _in_any_case(theirs)}
    changed: dict[str, ColumnElement[Any]] = {}
    if statuses:
        status = ascii_lower(nfc(trimmed(filled.c.status)))
        changed["status"] = case(statuses, value=status, else_=status)
    if translation.dates != "iso":
        changed["order_timestamp"] = _iso(trimmed(filled.c.order_timestamp), translation.dates)
    worded = _with(filled, changed)
    if translation.decimal is None:
        return worded
    return _with_plain_numbers(evaluated_once(worded).subquery("worded"), translation.decimal)


def _made_of(column: Column, delivered: Delivered) -> ColumnElement[str]:
    parts = [func.nullif(trimmed(delivered.extra[name].as_string()), "") for name in column.names]
    if column.join is not None:
        return func.concat_ws(column.join, *parts, type_=Text)
    return func.coalesce(*parts, column.constant or "", type_=Text)


def filled_down(rows: FromClause, translation: Translation) -> Query:
    """Where a column is blank, what the first row of the order has."""
    order = [rows.c.batch_id, nfc(trimmed(rows.c.order_id))]

    def filled(name: str) -> ColumnElement[Any]:
        first = func.first_value(rows.c[name]).over(partition_by=order, order_by=rows.c.source_row)
        return case((trimmed(rows.c[name]) == "", first), else_=rows.c[name])

    return _with(rows, {name: filled(name) for name in translation.fill_down if name in rows.c})


def _with(rows: FromClause, changed: dict[str, ColumnElement[Any]]) -> Query:
    """The columns of rows, some of them changed."""
    return select(
        *(changed[column.name].label(column.name) if column.name in changed else column for column in rows.c)
    )


def _in_any_case(status: str) -> set[str]:
    """The spellings of a status in other cases, their ASCII letters lowered as the database lowers them."""
    lower = str.maketrans(_LETTERS, _LETTERS.lower())
    spellings = (status, status.lower(), status.upper(), status.title(), status.capitalize())
    return {spelled.strip().translate(lower) for spelled in spellings}


def _unless_it_has_no_digit(text: ColumnElement[str], translated: ColumnElement[str]) -> ColumnElement[str]:
    return case((without(text, DIGITS) == text, text), else_=func.coalesce(translated, "?", type_=Text))


# Times.


def _iso(text: ColumnElement[str], dates: str) -> ColumnElement[str]:
    match dates:
        case "epoch":
            translated = _from_epoch(text)
        case "excel":
            translated = _from_serial(text)
        case _:
            translated = _from_parts(text, dates)
    return _unless_it_has_no_digit(text, translated)


def _from_epoch(text: ColumnElement[str]) -> ColumnElement[str]:
    """``1704448800`` and ``1704448800000`` → ``2024-01-05 10:00:00.000000``."""
    is_number = without(text, DIGITS) == ""
    return case(
        (and_(is_number, func.length(text) == 10), after_milliseconds("1970-01-01", text + "000")),
        (and_(is_number, func.length(text) == 13), after_milliseconds("1970-01-01", text)),
    )


def _from_serial(text: ColumnElement[str]) -> ColumnElement[str]:
    """``45296.5`` → ``2024-01-05 12:00:00.000000``: days since 1900 as a workbook counts them.

    To the millisecond, which is as exact as a workbook knows a time.
    """
    days = func.split_part(text, ".", 1, type_=Text)
    shape = and_(
        func.length(days) == 5,
        func.length(text) <= 40,
        or_(without(text, DIGITS) == "", and_(without(text, DIGITS) == ".", text.not_like("%."))),
    )
    # The workbook's calendar has a 29 February 1900, so that day 1 is a day late for all times since.
    return case((shape, after_milliseconds("1899-12-30", rounded_milliseconds(text))))


def _from_parts(text: ColumnElement[str], order: str) -> ColumnElement[str]:
    """``5.1.2024 9:05 PM`` by day, month, year → ``2024-01-05 21:05``."""
    text = func.replace(text, ", ", " ", type_=Text)
    date = func.split_part(func.split_part(text, " ", 1, type_=Text), "T", 1, type_=Text)
    time = func.ltrim(func.substr(text, func.length(date) + 2), type_=Text)
    slashed = func.translate(date, ".-", "//", type_=Text)
    part = {name: func.split_part(slashed, "/", place, type_=Text) for place, name in enumerate(order, 1)}
    year, month, day = part["y"], part["m"], part["d"]
    is_date = and_(
        without(date, DIGITS).in_(["//", "..", "--"]),
        func.length(year).in_([2, 4]),
        func.length(month).in_([1, 2]),
        func.length(day).in_([1, 2]),
    )
    century = case((func.length(year) == 2, "20"), else_="")
    iso = century + year + "-" + _two_digits(month) + "-" + _two_digits(day)
    return case((and_(is_date, time == ""), iso), (is_date, iso + " " + _clock(time)))


def _clock(time: ColumnElement[str]) -> ColumnElement[str]:
    """``9:05 PM`` → ``21:05``, ``9:05`` → ``09:05``; null where the hour cannot be."""
    half = ascii_lower(func.right(time, 2, type_=Text))
    on_half_day = half.in_(["am", "pm"])
    body = case((on_half_day, func.rtrim(func.left(time, -2), type_=Text)), else_=time)
    hour = func.split_part(body, ":", 1, type_=Text)
    rest = func.substr(body, func.length(hour) + 1, type_=Text)
    shape = func.translate(rest, DIGITS, "9" * 10, type_=Text)
    on_the_day = {
        f"{written}{half_day}": f"{int(written) % 12 + (12 if half_day == 'pm' else 0):02}"
        for written, half_day in product(_HOURS, ("am", "pm"))
    }
    return case(
        (and_(on_half_day, shape.in_(_ON_THE_HALF_DAY)), case(on_the_day, value=hour + half) + rest),
        (and_(not_(on_half_day), func.length(hour).in_([1, 2])), _two_digits(hour) + rest),
    )


def _two_digits(text: ColumnElement[str]) -> ColumnElement[str]:
    return func.lpad(text, 2, "0", type_=Text)


# Numbers.


def _with_plain_numbers(rows: FromClause, mark: str) -> Query:
    """``$1.234,50-`` with the mark ``,`` → ``-1234.50``, in every column of numbers."""
    names = [name for name in NUMBERS if name in rows.c]
    around = _BLANKS + _SIGNS + _LETTERS + "()+-"
    bare = evaluated_once(
        select(
            *rows.c,
            *(trimmed(rows.c[name]).label(f"{name}_whole") for name in names),
            *(btrim(trimmed(rows.c[name]), around).label(f"{name}_bare") for name in names),
        )
    ).subquery("bare")
    changed = {}
    for name in names:
        whole, number = bare.c[f"{name}_whole"], bare.c[f"{name}_bare"]
        changed[name] = _unless_it_has_no_digit(whole, _plain_number(whole, number, mark))
    return select(
        *(changed[c.name].label(c.name) if c.name in changed else bare.c[c.name] for c in rows.c),
        _currency_of(bare.c.price_whole, bare.c.price_bare).label("price_currency"),
    )


def _currency_of(whole: ColumnElement[str], number: ColumnElement[str]) -> ColumnElement[str]:
    """``EUR -20.00`` → ``EUR``, ``$5`` → ``$``, ``20.00`` → ``''``: what a price says of its currency."""
    around = without(func.replace(whole, number, "", type_=Text), _BLANKS + "()+-")
    return case((number == whole, ""), else_=around)


def _plain_number(whole: ColumnElement[str], number: ColumnElement[str], mark: str) -> ColumnElement[str]:
    """``whole`` is the text, ``number`` what stands between its first digit and its last."""
    integer = func.split_part(number, mark, 1, type_=Text)
    decimals = func.substr(number, func.length(integer) + 2, type_=Text)
    has_mark = func.length(number) > func.length(integer)
    groups = f"{',' if mark == '.' else '.'}{_BLANKS}'\u2019"
    grouped = [
        f"{'9' * first}{f'{group}999' * more}"
        for first, more, group in product((1, 2, 3), (1, 2, 3, 4), groups)
    ]
    is_integer = or_(
        without(integer, DIGITS) == "", func.translate(integer, DIGITS, "9" * 10, type_=Text).in_(grouped)
    )
    is_number = and_(
        is_integer,
        case((has_mark, and_(decimals != "", without(decimals, DIGITS) == "")), else_=integer != ""),
    )
    around = _around(whole, number)
    digits = case((integer == "", "0"), else_=without(integer, groups))
    plain = case((has_mark, digits + "." + decimals), else_=digits)
    return case(
        (and_(is_number, around.in_(_POSITIVE)), plain),
        (and_(is_number, around.in_(_NEGATIVE)), literal("-") + plain),
    )


def _around(whole: ColumnElement[str], number: ColumnElement[str]) -> ColumnElement[str]:
    """``EUR -20.00`` → ``$-#``: what stands around a number, in one notation."""
    around = without(func.replace(whole, number, "#", type_=Text), _BLANKS)
    code = btrim(around, "#()+-" + _SIGNS)
    one_notation = func.translate(around, _SIGNS, "$$$$", type_=Text)
    is_code = and_(func.length(code) == 3, without(code, _LETTERS) == "")
    return case((is_code, func.replace(around, code, "$", type_=Text)), else_=one_notation)
