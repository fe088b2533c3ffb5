"""What a text says under a declaration, one value at a time: for messages, and to look at a file.

The database decides what is staged; this says what another declaration would make of a text.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from minidw.feed.feed import Dates, Mark

_CURRENCY = r"(?:[$€£¥]|[A-Z]{3})"
_BLANK = "[ \u00a0\u202f]*"
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6}0{0,3})?)?(?: ?Z| UTC| GMT| ?[-+]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_PARTS = re.compile(
    r"(\d+)([/.-])(\d+)\2(\d+)(?:(?:, |[ T])\s*(\d{1,2})(:\d\d(?::\d\d(?:\.\d+)?)?)(?: ?([AaPp][Mm]))?)?",
    re.ASCII,
)
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)


def read_number(text: str, mark: Mark | None) -> Decimal | None:
    """The number of a text; None where it is none under this decimal mark (None: plain digits only).

    Example:
        >>> read_number("1.234,50 €", ","), read_number("1.234,50 €", ".")
        (Decimal('1234.50'), None)
    """
    text = text.strip()
    if mark is None:
        return Decimal(text) if _PLAIN.fullmatch(text) else None
    other = re.escape("," if mark == "." else ".")
    groups = "|".join(rf"\d{{1,3}}(?:{group}\d{{3}}){{1,4}}" for group in (other, *" \u00a0\u202f'’"))
    number = rf"(?P<whole>\d*|{groups})(?P<rest>{re.escape(mark)}\d+)?"
    around = re.fullmatch(rf"(?P<before>[^\d.,]*){number}(?P<after>[^\d]*)", text, re.ASCII)
    if not around or not (around["whole"] or around["rest"]):
        return None
    signs = re.sub(_BLANK, "", around["before"] + "#" + around["after"])
    signs = re.sub(_CURRENCY, "$", signs, count=1)
    if signs not in ("#", "+#", "$#", "#$", "+$#", "$+#", "+#$"):
        if signs not in (
            "-#",
            "#-",
            "(#)",
            "-$#",
            "$-#",
            "-#$",
            "#-$",
            "#$-",
            "$#-",
            "($#)",
            "(#$)",
            "$(#)",
            "(#)$",
        ):
            return None
        signs = "-"
    digits = re.sub(r"\D", "", around["whole"], flags=re.ASCII) or "0"
    value = Decimal(digits + (around["rest"] or "").replace(mark, "."))
    return -value if signs == "-" else value


def read_time(text: str, dates: Dates) -> datetime | None:
    """The time of a text, without its offset; None where it is none in this way of writing it."""
    text = text.strip()
    match dates:
        case "iso":
            return _checked(text[:19].replace("T", " ")) if _ISO.fullmatch(text) else None
        case "epoch":
            if not re.fullmatch(r"\d{10}(\d{3})?", text, re.ASCII):
                return None
            return datetime(1970, 1, 1) + timedelta(milliseconds=int(text.ljust(13, "0")))
        case "excel":
            if not _SERIAL.fullmatch(text):
                return None
            return datetime(1899, 12, 30) + timedelta(milliseconds=round(Decimal(text) * 86_400_000))
    parts = _PARTS.fullmatch(text)
    if not parts:
        return None
    found = dict(zip(dates, (parts[1], parts[3], parts[4]), strict=True))
    if len(found["y"]) not in (2, 4) or max(len(found["m"]), len(found["d"])) > 2:
        return None
    year = ("20" if len(found["y"]) == 2 else "") + found["y"]
    hour, minutes, half = parts[5], parts[6] or "", (parts[7] or "").lower()
    if half:
        if not 1 <= int(hour) <= 12:
            return None
        hour = str(int(hour) % 12 + (12 if half == "pm" else 0))
    clock = f" {hour:0>2}{minutes}" if hour else ""
    return _checked(f"{year}-{found['m']:0>2}-{found['d']:0>2}{clock}"[:19])


def _checked(iso: str) -> datetime | None:
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        return None
