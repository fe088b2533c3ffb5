"""The header of an export: which of its columns feeds which of ours."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from minidw.errors import BadFileError, printable
from minidw.feed.advice import declare, declare_column, declare_constant
from minidw.feed.column import Column, fold
from minidw.feed.feed import Feed
from minidw.schema.vocabulary import FEED_COLUMNS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS

MAX_COLUMNS = 300  # a row of that many values, however long each, still fits into a page of PostgreSQL
DELIMITERS = ",;\t|"
_NUMBER_OR_TIME = re.compile(r"[-+]?\d[\d.:TZ +-]*")


@dataclass(frozen=True)
class Header:
    """What a header says.

    names: by which each column is kept: as delivered, trimmed, each once; where a value of ours is made of
        it, as the feed spells it
    columns: for each of them the column of ours whose place it takes, or None
    """

    names: tuple[str, ...]
    columns: tuple[str | None, ...]


def match_header(line: str, feed: Feed, file: str, number: int = 1) -> Header:
    """What a header, in the line of this number, says; BadFileError where it is not that of the feed."""
    names = split_header(line, feed.delimiter)
    spelled = {fold(name): name for column in feed.columns.values() for name in column.names}
    wanted = _wanted(feed)
    folded = [fold(name) for name in names]
    columns = [wanted.get(name) for name in folded]

    def refuse(message: str) -> NoReturn:
        raise BadFileError(file, "HEADER", message, line=number)

    if missing := _missing(feed, folded):
        refuse(_explain(line, names, feed, missing))
    if len(names) > MAX_COLUMNS:
        refuse(f"{len(names)} columns; at most {MAX_COLUMNS} can be kept")
    counts = Counter(folded)
    mapped = wanted.keys() | spelled.keys()
    twice = [name for name, key in zip(names, folded, strict=True) if key in mapped and counts[key] > 1]
    if twice:
        refuse(f"the same column twice: {list_names(twice)}")
    kept = [
        name if ours else spelled.get(key, name)
        for name, key, ours in zip(names, folded, columns, strict=True)
    ]
    return Header(_told_apart(kept), tuple(columns))


def split_header(line: str, delimiter: str) -> list[str]:
    """The names in a header, trimmed."""
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error:  # quotes that are sound with another delimiter only, or a name beyond its size limit
        return [name.strip() for name in line.split(delimiter)]


def list_names(names: Iterable[str]) -> str:
    """Names for a message: at most ten, none of them long."""
    shown = [printable(name if len(name) <= 40 else name[:40] + "…") or "(empty)" for name in names]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _wanted(feed: Feed) -> dict[str, str]:
    """The folded name of each column that takes the place of one of ours."""
    undeclared = [
        ours
        for ours in FEED_COLUMNS
        if ours not in feed.columns and not (ours == "line_number" and feed.lines == "single")
    ]
    used = {fold(name) for column in feed.columns.values() for name in column.names}
    by_themselves = {fold(ours): ours for ours in undeclared if fold(ours) not in used}
    return by_themselves | {fold(theirs): ours for ours, theirs in feed.direct.items()}


def _missing(feed: Feed, folded: list[str]) -> dict[str, Column]:
    """Our columns that nothing in the header feeds, and what was to feed them."""
    wanted: dict[str, Column] = {
        ours: Column((ours,)) for ours in REQUIRED_COLUMNS if ours not in feed.columns
    }
    if feed.lines == "given" and "line_number" not in feed.columns:
        wanted["line_number"] = Column(("line_number",))
    wanted |= feed.columns

    def is_fed(ours: str, column: Column) -> bool:
        found = [fold(name) in folded for name in column.names]
        if column.join is not None:
            return all(found)
        return any(found) or (column.constant is not None and (not found or ours in OPTIONAL_COLUMNS))

    by_themselves = _wanted(feed)
    return {
        ours: column
        for ours, column in wanted.items()
        if not is_fed(ours, column) or (ours not in feed.columns and by_themselves.get(fold(ours)) != ours)
    }


def _explain(line: str, names: list[str], feed: Feed, missing: dict[str, Column]) -> str:
    """Why a header is not that of the feed, and what to do."""
    from minidw.feed.known import recognised, title

    line = line[:10_000]  # a broken file's first line may be megabytes
    for delimiter in (feed.delimiter, *DELIMITERS):
        known = None if feed.name else recognised(split_header(line, delimiter))
        if known:
            return f"this looks like {title(known)}: --feed {known.name}"
    if better := _better_delimiter(line, feed):
        return f"the delimiter looks like {better!r}; declare {declare('delimiter', _spelled(better))}"
    if not _found(names, feed) and any(_NUMBER_OR_TIME.fullmatch(name) for name in names):
        expected = list_names(REQUIRED_COLUMNS)
        return f"there is no header: the first line looks like data; a header names {expected}"
    asked = [
        ours if column.names == (ours,) else f"{ours}={(column.join or ' or ').join(column.names)}"
        for ours, column in missing.items()
    ]
    first = next(iter(missing))
    lacks = declare_constant(first, "delivered" if first == "status" else "…")
    return (
        f"no column {list_names(dict.fromkeys(asked))}; the header has {list_names(names)};"
        f" say which is which: {declare_column(first, 'NAME')}; or, where the export has none, {lacks}"
    )


def _found(names: list[str], feed: Feed) -> int:
    """How many of the names mean something to the feed."""
    spelled = {fold(name) for column in feed.columns.values() for name in column.names}
    return len({fold(name) for name in names} & (_wanted(feed).keys() | spelled))


def _better_delimiter(line: str, feed: Feed) -> str | None:
    """Another delimiter that makes more sense of the header, if there is one."""

    def score(candidate: str) -> tuple[int, int]:
        names = split_header(line, candidate)
        return _found(names, feed), len(names)

    found, count = score(feed.delimiter)
    best = max(DELIMITERS, key=score)
    best_found, best_count = score(best)
    return best if best_found > found or count == 1 < best_count else None


def _spelled(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else delimiter


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Each name once, as the columns that nobody maps are kept by it: ``Tax``, ``Tax.2``, ``column 3``."""
    told: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        name = unique = name or f"column {position}"
        number = 1
        while unique in told:
            number += 1
            unique = f"{name}.{number}"
        told[unique] = None
    return tuple(told)
