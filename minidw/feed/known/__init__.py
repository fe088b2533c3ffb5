"""The feeds that minidw knows, one TOML file each, and how their exports are recognised."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from minidw.errors import SettingsError
from minidw.feed.column import fold
from minidw.feed.declaration import from_text, from_toml
from minidw.feed.feed import Feed


@cache
def known_names() -> tuple[str, ...]:
    """The names of the known feeds."""
    return tuple(sorted(file.name[:-5] for file in files(__name__).iterdir() if file.name.endswith(".toml")))


def known_text(name: str) -> str:
    """The declaration of a known feed as it is written. Raises SettingsError where there is none."""
    if name not in known_names():
        known = ", ".join(known_names())
        raise SettingsError(f"there is no feed {name!r}; known are {known}, and any FILE.toml of your own")
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


@cache
def known_feed(name: str) -> Feed:
    """A known feed by its name. Raises SettingsError where there is none."""
    return from_text(known_text(name), name=name, shown=name)


def named_feed(name: str | Path) -> Feed:
    """A known feed by its name, or the one that a TOML file declares, to be the ``feed`` of a load.

    Args:
        name: of a known feed, such as ``shopify`` (``minidw feeds`` lists them), or of a ``.toml`` file

    Returns:
        The declaration; ``dataclasses.replace`` makes another of it.

    Raises:
        SettingsError: there is no such feed, or the file cannot be read or declares what cannot be meant

    Example:
        >>> minidw.named_feed("etsy").dates
        'mdy'
    """
    is_path = isinstance(name, Path) or name.lower().endswith(".toml")
    return from_toml(Path(name)) if is_path else known_feed(str(name))


def recognised(header: Iterable[str]) -> Feed | None:
    """The known feed of an export with such a header: of several, the one that asks for most of its names."""
    names = set(map(fold, header))
    fitting = [feed for feed in map(known_feed, known_names()) if set(map(fold, feed.recognise)) <= names]
    return max(fitting, key=lambda feed: len(feed.recognise), default=None)


def title(feed: Feed) -> str:
    """What a feed is called in a sentence: ``a Shopify export``."""
    name = feed.description.partition(":")[0]
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name} export"
