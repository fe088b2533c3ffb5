"""What a caller gives to be loaded → a source that can be read more than once.

A file stays where it is. Whatever else is given is brought into an anonymous temporary file first, so that
it is surveyed, hashed and loaded like a file, in the same memory.
"""

import inspect
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from minidw.errors import BadFileError, SettingsError, printable
from minidw.feed.feed import Feed
from minidw.feed.fetch import fetched, is_url, name_of
from minidw.feed.rows import ArrowStream, frame_as_csv, mappings_as_csv
from minidw.feed.source import CHUNK, STANDARD_INPUT, Source, refusals
from minidw.feed.unpack import packed_as


class Readable(Protocol):
    """A file object, of bytes or of text."""

    def read(self, size: int, /) -> bytes | str | None: ...


Input = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | Readable
    | Iterable[Mapping[str, Any]]
    | ArrowStream
)
"""What a run loads: a path, ``-``, an ``https://`` or ``s3://`` URL, bytes, a file object, rows, a frame."""


def source_of(given: Input, feed: Feed, name: str | None = None) -> tuple[Source, Feed]:
    """Where the bytes can be read, and how: what minidw has written itself needs no delimiter or encoding.

    Raises BadFileError where it cannot be had, and SettingsError where it is nothing to load.
    """
    title = _title(given) if name is None else printable(name)
    if isinstance(given, os.PathLike) or (
        isinstance(given, str) and given != STANDARD_INPUT and not is_url(given)
    ):
        return Source(title, Path(given)), feed
    mark = feed.decimal or "."
    written = replace(feed, delimiter=",", encoding="utf-8", skip_lines=0)
    if isinstance(given, str):
        pieces = fetched(given, title) if is_url(given) else _standard_input(title)
    elif isinstance(given, bytes | bytearray | memoryview):
        pieces = iter([bytes(given)])
    elif hasattr(given, "__arrow_c_stream__"):
        return _spooled(title, frame_as_csv(given, title, mark)), written  # type: ignore[arg-type]
    elif hasattr(given, "read"):
        pieces = _read(given, title, feed.encoding)
    elif isinstance(given, Iterable) and not isinstance(given, Mapping):
        return _spooled(title, mappings_as_csv(given, title, mark)), written
    else:
        raise SettingsError(
            "source: a path, a URL, bytes, a file object, an iterable of mappings or a data frame is needed,"
            f" not {type(given).__name__}"
        )
    return _spooled(title, pieces), feed


def _title(given: Any) -> str:
    """What a file is called that the caller does not name."""
    match given:
        case str() if is_url(given):
            return name_of(given)
        case str() if given == STANDARD_INPUT:
            return "stdin"
        case str() | os.PathLike():
            return printable(Path(given).name or str(given))
        case bytes() | bytearray() | memoryview():
            return "bytes"
    if hasattr(given, "__arrow_c_stream__"):
        return "frame"
    if hasattr(given, "read"):
        called = getattr(given, "name", None)
        return printable(Path(called).name) if isinstance(called, str) and called else "file"
    return "rows"


def _spooled(name: str, pieces: Iterable[bytes]) -> Source:
    """The pieces in a file that is gone with the source."""
    with refusals(name):
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the source)
    try:
        for piece in pieces:  # whatever the caller's own iterator raises is the caller's
            with refusals(name):
                spool.write(piece)
        with refusals(name):
            spool.seek(0)
            source = Source(name, spool=spool, packed=packed_as(name, spool.read(8)))
    except BaseException:
        spool.close()
        raise
    weakref.finalize(source, spool.close)
    return source


def _standard_input(name: str) -> Iterator[bytes]:
    if sys.stdin is not None:
        yield from _read(sys.stdin.buffer, name, "utf-8")


def _read(file: Any, name: str, encoding: str) -> Iterator[bytes]:
    """From where it stands to its end; text in the encoding that the feed declares."""
    while True:
        with refusals(name):
            try:
                piece = file.read(CHUNK)
                piece = piece.encode(encoding) if isinstance(piece, str) else piece
            except ValueError as error:  # it is closed; or its text is in another encoding
                raise BadFileError(name, "UNREADABLE", printable(str(error))) from None
        if inspect.isawaitable(piece):
            getattr(piece, "close", lambda: None)()
            raise SettingsError(f"source: read() of {type(file).__name__} must be awaited: give its bytes")
        if not piece:
            return
        yield piece
