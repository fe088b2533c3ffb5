"""What a text of an export says under a declaration, in plain Python: one value, one row after the other.

It shares no code with minidw. A declaration is the dict that tomllib reads of a feed.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, str]
BLANK = " \t\n\r\f\v"
DIGITS = set("0123456789")
CODES = re.compile("[A-Z]{3}")
SPACES = " \u00a0\u202f"
OURS = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
        "quantity", "status", "discount", "currency")  # fmt: skip


def rows(header: Sequence[str], records: Iterable[Sequence[str]], feed: dict[str, Any]) -> list[Row]:
    """The records of an export as rows of our columns, texts still; blanks filled down, lines numbered."""
    places = {name.strip().lower(): place for place, name in enumerate(header)}
    found = [
        {ours: text for ours in OURS if (text := _made(ours, record, places, feed)) is not None}
        for record in records
    ]
    values = feed.get("values", {})
    numbered = _are_numbered(values, found[0])
    first: dict[str, Row] = {}
    counted: dict[tuple[str, bool], int] = {}
    for row in found:
        above = first.setdefault(row["order_id"], dict(row))
        for name in values.get("fill_down", ()):
            row[name] = row[name] or above[name]
        if numbered:
            subtracts = values.get("returns") == "subtract"
            back = subtracts and any(sign in row["price"] + row["quantity"] for sign in "-(")
            counted[row["order_id"], back] = counted.get((row["order_id"], back), 0) + 1
            row["line_number"] = str(counted[row["order_id"], back] + 1_000_000 * back)
    return found


def _are_numbered(values: dict[str, Any], row: Row) -> bool:
    if values.get("lines") == "number":
        return True
    return values.get("returns") == "subtract" and "lines" not in values and "line_number" not in row


def _made(ours: str, record: Sequence[str], places: dict[str, int], feed: dict[str, Any]) -> str | None:
    """The text of one of our columns; None where nothing is."""
    declared = feed.get("columns", {}).get(ours)
    if declared is None:
        single = ours == "line_number" and feed.get("values", {}).get("lines") == "single"
        if single or ours in ("discount", "currency") or ours not in places:
            return None
        return record[places[ours]].strip(BLANK)
    parts = declared if isinstance(declared, list) else [declared]
    names = [part for part in parts if isinstance(part, str)]
    last: dict[str, Any] = next((part for part in parts if isinstance(part, dict)), {})
    there = [record[places[name.lower()]].strip(BLANK) for name in names if name.lower() in places]
    there = [text for text in there if text]
    if "join" in last:
        return str(last["join"].join(there))
    return there[0] if there else str(last.get("value", ""))


def number(text: str, mark: str | None) -> Decimal | None:
    """The number of a text; None where it is none."""
    if mark is None:
        plain = text[1:] if text[:1] in ("+", "-") else text
        whole, point, decimals = plain.partition(".")
        if not whole or set(whole + decimals) - DIGITS or (point and not decimals):
            return None
        return Decimal(text)
    places = [i for i, character in enumerate(text) if character in DIGITS]
    if not places:
        return None
    start, end = places[0], places[-1] + 1
    if start and text[start - 1] == mark:
        start -= 1
    sign = _sign(text[:start], text[end:])
    whole, point, decimals = text[start:end].partition(mark)
    digits = _ungrouped(whole, "," if mark == "." else ".") if whole else ("0" if point else None)
    if sign is None or digits is None or set(decimals) - DIGITS or (point and not decimals):
        return None
    return sign * Decimal(f"{digits}.{decimals or 0}")


def _ungrouped(whole: str, other: str) -> str | None:
    """``1'234'567`` → ``1234567``; None where the groups are not of three."""
    if not set(whole) - DIGITS:
        return whole
    for group in (other, *SPACES, "'", "\u2019"):
        first, *others = whole.split(group)
        sound = 1 <= len(first) <= 3 and 1 <= len(others) <= 4 and all(len(part) == 3 for part in others)
        if sound and not set("".join((first, *others))) - DIGITS:
            return first + "".join(others)
    return None


def _sign(before: str, after: str) -> int | None:
    """1 or -1 by what stands around a number: at most one currency, one minus or a pair of parentheses."""
    sides = []
    currencies = 0
    for side in (before, after):
        bare = "".join(character for character in side if character not in SPACES)
        code = CODES.search(bare)
        letters = "".join(character for character in bare if character not in "$€£¥+-()")
        if letters and (not code or letters != code[0]):
            return None
        if code:
            bare = bare.replace(code[0], "$")
        signs = "".join("$" if character in "$€£¥" else character for character in bare)
        currencies += signs.count("$")
        sides.append(signs.replace("$", ""))
    if currencies > 1:
        return None
    return {("", ""): 1, ("+", ""): 1, ("-", ""): -1, ("", "-"): -1, ("(", ")"): -1}.get((sides[0], sides[1]))


def may_be(price: str, currency: str) -> bool:
    """Whether what a price says of its currency may be this one."""
    said = "".join(character for character in price if character in "$€£¥" or character.isalpha())
    signs = {"€": {"EUR"}, "£": {"GBP", "EGP", "GIP", "FKP", "SHP", "SYP", "LBP"}, "¥": {"JPY", "CNY"}}
    if said == "$":
        return not any(currency in codes for codes in signs.values())
    return currency in signs.get(said, {said or currency})


def time(text: str, order: str, zone: str) -> datetime | None:
    """The time of a text, in UTC; None where it is none."""
    match order:
        case "iso":
            return _iso(text, zone)
        case "epoch":
            if set(text) - DIGITS or len(text) not in (10, 13):
                return None
            return _utc(datetime(1970, 1, 1) + timedelta(milliseconds=int(f"{text:0<13}")), zone)
        case "excel":
            days, point, part = text.partition(".")
            if len(days) != 5 or set(days + part) - DIGITS or (point and not part) or len(text) > 40:
                return None
            milliseconds = (Decimal(text) * 86_400_000).quantize(Decimal(1), ROUND_HALF_UP)
            return _utc(datetime(1899, 12, 30) + timedelta(milliseconds=int(milliseconds)), zone)
    return _ordered(text, order, zone)


def _ordered(text: str, order: str, zone: str) -> datetime | None:
    """``5.1.2024 9:05 PM`` by day, month and year."""
    text = text.replace(", ", " ")
    date = text.split(" ")[0].split("T")[0]
    clock = text[len(date) + 1 :].lstrip(" ")
    separator = next((character for character in date if character in "/.-"), "/")
    parts = date.split(separator)
    if len(parts) != 3 or any(not part or set(part) - DIGITS for part in parts):
        return None
    year, month, day = (parts[order.index(name)] for name in "ymd")
    if len(year) not in (2, 4) or len(month) > 2 or len(day) > 2:
        return None
    iso = f"{'20' if len(year) == 2 else ''}{year}-{month:0>2}-{day:0>2}"
    if not clock:
        return _iso(iso, zone)
    half = clock[-2:].lower()
    if half in ("am", "pm"):
        hour, colon, rest = clock[:-2].rstrip(" ").partition(":")
        if not 1 <= len(hour) <= 2 or set(hour) - DIGITS or not 1 <= int(hour) <= 12:
            return None
        if not re.fullmatch(r"\d\d(:\d\d(\.\d{1,6})?)?", rest, re.ASCII):
            return None
        return _iso(f"{iso} {int(hour) % 12 + 12 * (half == 'pm'):02}:{rest}", zone)
    hour, colon, rest = clock.partition(":")
    return _iso(f"{iso} {hour:0>2}{colon}{rest}", zone) if 1 <= len(hour) <= 2 else None


def _iso(text: str, zone: str) -> datetime | None:
    """ISO 8601 with or without a time and an offset; blanks before the offset, zeros beyond microseconds."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6}|\.\d{6}0*)?)?)"
        r"( ?Z| UTC| GMT| ?[+-]\d\d(?::?\d\d)?)?)?",
        text,
        re.ASCII,
    )
    if not found:
        return None
    date, clock, offset = found.groups()
    try:
        local = datetime.fromisoformat(f"{date} {(clock or '00:00')[:15]}")
    except ValueError:
        return None
    if not offset:
        return _utc(local, zone)
    offset = offset.strip().replace(":", "")
    if offset in ("Z", "UTC", "GMT"):
        return local
    hours, minutes = int(offset[1:3]), int(offset[3:] or 0)
    if hours > 15 or minutes > 59:
        return None
    east = timedelta(hours=hours, minutes=minutes)
    return local - east if offset[0] == "+" else local + east


def _utc(local: datetime, zone: str) -> datetime:
    """Of the two readings that a change of the clocks leaves, the later."""
    there = ZoneInfo(zone)
    readings = (local.replace(tzinfo=there, fold=fold).astimezone(UTC) for fold in (0, 1))
    return max(readings).replace(tzinfo=None)


def whole(text: str) -> int | None:
    """A whole number, which may be written with zeros for decimals."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    integer, _, zeros = unsigned.partition(".")
    if not integer or set(integer) - DIGITS or set(zeros) - {"0"} or unsigned.endswith("."):
        return None
    return int(text[0] + integer if text[0] in "+-" else integer)
