"""The header of a feed: which of its columns feeds which of ours."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import NoReturn

from minidw.errors import BadFileError, printable
from minidw.schema.vocabulary import FEED_COLUMNS, REQUIRED_COLUMNS

MAX_COLUMNS = 300  # a row of that many values, however long each, still fits into a page of PostgreSQL
_OTHER_DELIMITERS = ",;\t|"
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_NUMBER_OR_TIME = re.compile(r"[-+]?\d[\d.:TZ +-]*")


def match_header(
    line: str, delimiter: str, mapping: Mapping[str, str], file: str
) -> tuple[list[str], list[str | None]]:
    """The names in a header, trimmed, and for each of them the column of ours that it feeds, or None.

    ``mapping``: our name → the feed's name, for those that differ. Raises BadFileError.
    """
    names = _names(line, delimiter)

    def refuse(message: str) -> NoReturn:
        raise BadFileError(file, "HEADER", message, line=1)

    wanted = {_fold(name): name for name in FEED_COLUMNS if name not in mapping}
    wanted |= {_fold(theirs): ours for ours, theirs in mapping.items()}
    folded = [_fold(name) for name in names]
    columns = [wanted.get(name) for name in folded]

    missing = [name for name in (*REQUIRED_COLUMNS, *mapping) if name not in columns]
    if missing:
        if better := _better_delimiter(line, delimiter, wanted):
            refuse(f"the delimiter looks like {better!r}; use --delimiter")
        if not any(columns) and any(_NUMBER_OR_TIME.fullmatch(name) for name in names):
            expected = _list(REQUIRED_COLUMNS)
            refuse(f"there is no header: the first line looks like data; a header names {expected}")
        asked = [f"{ours}={mapping[ours]}" if ours in mapping else ours for ours in missing]
        refuse(
            f"no column {_list(dict.fromkeys(asked))}; the header has {_list(names)};"
            " say which is which with --column order_id=NAME"
        )
    if len(names) > MAX_COLUMNS:
        refuse(f"{len(names)} columns; at most {MAX_COLUMNS} can be kept")
    counts = Counter(column for column in columns if column)
    twice = [name for name, column in zip(names, columns, strict=True) if column and counts[column] > 1]
    if twice:
        refuse(f"the same column twice: {_list(twice)}")
    return _told_apart(names), columns


def _told_apart(names: list[str]) -> list[str]:
    """Each name once, as the columns that nobody maps are kept by it: ``Tax``, ``Tax.2``, ``column 3``."""
    told: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        name = unique = name or f"column {position}"
        number = 1
        while unique in told:
            number += 1
            unique = f"{name}.{number}"
        told[unique] = None
    return list(told)


def _names(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error:  # quotes that are sound with another delimiter only, or a name beyond its size limit
        return [name.strip() for name in line.split(delimiter)]


def _better_delimiter(line: str, delimiter: str, wanted: Mapping[str, str]) -> str | None:
    """Another delimiter that makes more sense of the header, if there is one."""

    def score(candidate: str) -> tuple[int, int]:
        names = _names(line[:10_000], candidate)  # a broken file's first line may be megabytes
        return len({_fold(name) for name in names} & wanted.keys()), len(names)

    found, count = score(delimiter)
    best = max(_OTHER_DELIMITERS, key=score)
    best_found, best_count = score(best)
    return best if best_found > found or count == 1 < best_count else None


def _fold(name: str) -> str:
    return name.strip().translate(_LOWER)


def _list(names: Iterable[str]) -> str:
    """Names for a message: at most ten, none of them long."""
    shown = [printable(name if len(name) <= 40 else name[:40] + "…") or "(empty)" for name in names]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
