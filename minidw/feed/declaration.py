"""A declaration as data: TOML as a person writes it, and the same as the ledger keeps it."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from minidw.errors import SettingsError, printable
from minidw.feed.feed import Feed

SECTIONS = {
    "file": ("delimiter", "encoding", "skip_lines", "skip_malformed"),
    "values": ("dates", "time_zone", "decimal", "fill_down", "lines", "price_is", "returns", "free"),
}
"""The tables of a declaration whose keys are fields of a Feed; ``columns`` and ``status`` are fields."""

QUESTION = "?"
"""In a declaration that ``inspect`` wrote: what the file does not settle, and somebody has to say."""

_TOP = ("description", "recognise")
_KINDS: dict[str, tuple[type, str]] = {
    "description": (str, "a text"),
    "recognise": (list, "a list of names"),
    "file": (dict, "a table"),
    "columns": (dict, "a table"),
    "values": (dict, "a table"),
    "status": (dict, "a table"),
    "delimiter": (str, "a text"),
    "encoding": (str, "a text"),
    "skip_lines": (int, "a number"),
    "skip_malformed": (bool, "true or false"),
    "dates": (str, "a text"),
    "time_zone": (str, "a text"),
    "decimal": (str, "a text"),
    "fill_down": (list, "a list of columns"),
    "lines": (str, "a text"),
    "price_is": (str, "a text"),
    "returns": (str, "a text"),
    "free": (bool, "true or false"),
}


def from_toml(path: Path) -> Feed:
    """The feed that a TOML file declares; it goes by the name of the file.

    Raises SettingsError for the first fault, in one line.
    """
    shown = printable(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise SettingsError(f"feed {shown}: cannot be read: {reason}") from None
    return from_text(text, name=path.stem, shown=shown)


def from_text(text: str, *, name: str, shown: str) -> Feed:
    """The feed that the text of a TOML file declares."""
    try:
        return from_dict(tomllib.loads(text), name=name)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"feed {shown}: this is no TOML: {error}") from None
    except SettingsError as error:
        raise SettingsError(f"feed {shown}: {error}") from None


def from_dict(declared: Mapping[str, Any] | None, *, name: str | None = None) -> Feed:
    """The feed of a declaration that was read already, None if there is none.

    Raises SettingsError for the first fault.
    """
    declared = declared or {}
    known = (*_TOP, *SECTIONS, "columns", "status")
    given: dict[str, Any] = {"name": declared.get("name", "") if name is None else name}
    for key, value in declared.items():
        if key == "name" and name is None:
            continue
        _check(key, value, known, "")
        _refuse_questions(key, value)
        if key in SECTIONS:
            for inner, inner_value in value.items():
                _check(inner, inner_value, SECTIONS[key], f"[{key}] ")
                given[inner] = inner_value
        elif key == "status":
            given[key] = {theirs: _text(ours, f"[status] {theirs}") for theirs, ours in value.items()}
        else:
            given[key] = value
    for key in ("recognise", "fill_down"):
        given[key] = tuple(_text(part, key) for part in given.get(key, ()))
    return Feed(**given)


def to_dict(feed: Feed) -> dict[str, Any]:
    """What of a feed differs from the defaults, in the tables of its TOML: plain data, as for the ledger."""

    def differing(names: tuple[str, ...]) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in names
            if (value := getattr(feed, name)) != _DEFAULTS[name]
        }

    columns = {ours: column.declared() for ours, column in feed.columns.items()}
    tables = {
        **{section: differing(names) for section, names in SECTIONS.items()},
        "columns": columns,
        "status": dict(feed.status),
    }
    return differing(("name", *_TOP)) | {name: table for name, table in tables.items() if table}


def differences(held: Feed, asked: Feed) -> tuple[str, ...]:
    """The keys by which two feeds read the same file otherwise, each with both values."""

    def flat(feed: Feed) -> dict[str, Any]:
        tables = to_dict(replace(feed, name="", description="", recognise=()))
        return {f"{table}.{key}": value for table, inner in tables.items() for key, value in inner.items()}

    ours, theirs = flat(held), flat(asked)
    return tuple(
        f"{key} was {ours.get(key, 'not declared')}, now {theirs.get(key, 'not declared')}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    )


def _check(key: str, value: Any, known: tuple[str, ...], table: str) -> None:
    if key not in known:
        close = get_close_matches(key, known, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        raise SettingsError(f"{table}{key}: there is no such key; {meant}")
    kind, said = _KINDS[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SettingsError(f"{table}{key}: must be {said}, but is {value!r}")


def _refuse_questions(table: str, values: Any) -> None:
    for key, value in values.items() if isinstance(values, dict) else ():
        if value == QUESTION:
            raise SettingsError(f"[{table}] {key}: is a question still; answer it, or take the line out")


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{place}: must be a text, but is {value!r}")
    return value


_DEFAULTS: dict[str, Any] = {
    field.name: field.default if field.default is not MISSING else None for field in fields(Feed)
}
