"""How the values of a file are written, and where they leave more than one answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from minidw.feed.feed import Dates, Mark
from minidw.feed.reading import read_number, read_time

Read = TypeVar("Read")
DATES: tuple[Dates, ...] = ("iso", "dmy", "mdy", "ymd", "epoch", "excel")
MARKS: tuple[Mark | None, ...] = (None, ".", ",")


@dataclass(frozen=True)
class Finding:
    """What a file says of a key of its feed.

    key: the table and the key, such as ``values.dates``
    value: what to declare; None where the default is right
    why: what says so, or what leaves it open
    is_question: whether the file leaves it open: then there is no value

    Example:
        >>> finding = minidw.inspect("orders.csv").findings["values.decimal"]
        >>> finding.value, finding.is_question
        (None, True)
    """

    key: str
    value: Any
    why: str
    is_question: bool = False

    @classmethod
    def open(cls, key: str, why: str) -> "Finding":
        """What the file does not settle."""
        return cls(key, None, why, True)


def rows(number: int) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} row{'' if number == 1 else 's'}"


def dates(values: Iterable[str] | None, declared: Dates | None = None) -> Finding:
    """In which way the times are written."""
    if values is None and declared is None:
        return Finding.open("values.dates", f"which column is the time is open: then {', '.join(DATES)}?")
    return _way("values.dates", values or (), DATES, read_time, declared)


def decimal(values: Iterable[str] | None, declared: Mark | None = None) -> Finding:
    """Which decimal mark the numbers have."""
    if values is None and declared is None:
        return Finding.open("values.decimal", 'which column is the price is open: then "." or ","?')
    return _way("values.decimal", values or (), MARKS, read_number, declared)


def time_zone(values: Iterable[str], way: Dates | None, *, contract: bool) -> Finding:
    """Whether the times say of which clock they are; ``way``: in which they are written."""
    clocks = [text for text in values if _has_clock(text, way)]
    naive = [text for text in clocks if not _has_offset(text, way)]
    if not naive:
        why = "every time says its offset" if clocks else "there are days alone, without a time"
        return Finding("values.time_zone", None, why)
    if contract:
        return Finding("values.time_zone", None, f"{naive[0]!r} names no offset: then it is UTC")
    why = f"{naive[0]!r} names no offset: which clocks are meant, as Europe/Berlin, or UTC?"
    return Finding.open("values.time_zone", why)


def currency(values: Iterable[str]) -> Finding:
    """Which currencies there are."""
    counts = Counter(text.upper() for text in values if text)
    found = ", ".join(f"{code} in {rows(number)}" for code, number in counts.most_common(5)) or "none is said"
    first = next(iter(counts), "USD")
    return Finding("columns.currency", None, f"{found}; the warehouse counts one of them: CURRENCY={first}")


def _way(
    key: str,
    values: Iterable[str],
    ways: Sequence[Any],
    read: Callable[[str, Any], Read | None],
    declared: Any,
) -> Finding:
    """The one way of reading that all values allow, of several that say the same the first."""
    texts = [text for text in dict.fromkeys(values) if any(character.isdigit() for character in text)]
    readings = {way: [read(text, way) for text in texts] for way in ways}
    readable = [any(readings[way][i] is not None for way in ways) for i in range(len(texts))]

    def reads_all(way: Any) -> bool:
        return all(reading is not None for reading, can in zip(readings[way], readable, strict=True) if can)

    unreadable = [text for text, can in zip(texts, readable, strict=True) if not can]
    beyond = f"; {len(unreadable)} cannot be read in any way, such as {unreadable[0]!r}" if unreadable else ""
    fitting = [way for way in ways if reads_all(way)]
    if not any(readable):
        return Finding(key, None, f"there is nothing to tell it by{beyond}")
    if declared in fitting and declared is not None:
        return Finding(key, None, f"as the feed declares: {_said(declared)}{beyond}")
    if not fitting:
        return Finding.open(key, f"no way reads all of them: {_contradiction(texts, readings, ways)}{beyond}")
    first = fitting[0]
    default = first == ways[0] and declared is None
    others = [way for way in fitting if readings[way] != readings[first]]
    if not others:
        ruled_out = next(
            (
                f"; {text!r} is none by {_said(way)}"
                for way in ways
                if way not in fitting
                for text, reading, can in zip(texts, readings[way], readable, strict=True)
                if can and reading is None and _said(way) in ("dmy", "mdy", ".", ",")
            ),
            "",
        )
        value = None if default else first
        return Finding(key, value, f"all are read by {_said(first)}{ruled_out}{beyond}")
    differing = next(i for i in range(len(texts)) for way in others if readings[way][i] != readings[first][i])
    meanings = " or ".join(f"{_said(way)}: {readings[way][differing]}" for way in [first, *others])
    return Finding.open(key, f"{texts[differing]!r} is {meanings}; no value settles it{beyond}")


def _contradiction(texts: Sequence[str], readings: Mapping[Any, Sequence[Any]], ways: Sequence[Any]) -> str:
    """Two values that no way of reading has in common."""
    found: list[tuple[str, list[str]]] = []
    for i, text in enumerate(texts):
        able = [_said(way) for way in ways if readings[way][i] is not None]
        if able and all(set(able).isdisjoint(others) for _, others in found):
            found.append((text, able))
    return ", ".join(f"{text!r} is read by {' or '.join(able)} only" for text, able in found[:3])


def _said(way: str | None) -> str:
    return "plain digits and a point" if way is None else way


def _has_clock(text: str, way: Dates | None) -> bool:
    if way == "excel":
        return bool(text.partition(".")[2].strip("0"))
    return ":" in text


def _has_offset(text: str, way: Dates | None) -> bool:
    tail = text[16:].upper()
    return way == "iso" and any(sign in tail for sign in ("Z", "+", "-", "UTC", "GMT"))
