"""Feeds: a CSV file is surveyed in one pass, then streamed to COPY in another. No other code reads one."""

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from minidw.delivery import Decoder, Delivery, UndecodableError, check_encoding, find_files
from minidw.errors import BadFileError, SettingsError
from minidw.header import match_header
from minidw.scan import Scanner
from minidw.schema.raw import FEED_COLUMNS

__all__ = ["Feed", "Format", "find_files", "survey"]

_TAB = ("tab", "\\t")  # as spelled on a command line


@dataclass(frozen=True)
class Format:
    """How to read a feed. ``columns``: our name → the feed's name, such as ``{"order_id": "InvoiceNo"}``."""

    delimiter: str = ","
    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.delimiter in _TAB:
            object.__setattr__(self, "delimiter", "\t")
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise SettingsError(
                f"--delimiter: must be one ASCII character other than a quote, but is {self.delimiter!r}"
            )
        check_encoding(self.encoding)
        for name in self.columns:
            if name not in FEED_COLUMNS:
                raise SettingsError(f"--column: {name!r} is none of {', '.join(FEED_COLUMNS)}")


@dataclass(frozen=True)
class Feed:
    """A surveyed file: its structure is sound, and COPY will read exactly ``rows`` rows from it.

    name: of the file, without its directory; ``stdin`` for standard input
    sha256: of the CSV bytes as delivered, decompressed, hexadecimal
    size: of the same, bytes
    rows: records after the header
    header: names as delivered, trimmed
    columns: for each of them the column of ours that it feeds, or None
    """

    name: str
    format: Format
    sha256: str
    size: int
    rows: int
    header: tuple[str, ...]
    columns: tuple[str | None, ...]
    delivery: Delivery = field(repr=False)
    text_size: int = field(repr=False)  # of the UTF-8 text without the blank lines at its end, bytes

    def open(self, progress: Callable[[int], None] | None = None) -> "FeedStream":
        """The file as UTF-8 for COPY; ``progress`` is told the bytes read since it was last called."""
        return FeedStream(self, progress)

    def explain(self, line: int | None) -> BadFileError:
        """Why COPY refused the structure of the file, at this line, although the survey did not."""
        try:
            again = _survey(self.delivery, self.format)
        except BadFileError as error:
            return error
        if again.sha256 != self.sha256:
            return _changed(self.name)
        return BadFileError(self.name, "NOT_CSV", "PostgreSQL does not read this as CSV", line=line)


class FeedStream:
    """What COPY reads: the header and the rows as delivered, in UTF-8, without blank lines at the end.

    Hashes what it reads, and raises BadFileError at the end if it is not what was surveyed.
    """

    def __init__(self, feed: Feed, progress: Callable[[int], None] | None) -> None:
        self._feed = feed
        self._progress = progress
        self._texts = self._read_texts()
        self._buffer = b""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end only."""
        if size < 0:
            self._buffer += b"".join(self._texts)
            size = len(self._buffer)
        while not self._buffer:
            text = next(self._texts, None)
            if text is None:
                return b""
            self._buffer = text
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def close(self) -> None:
        self._texts.close()

    def __enter__(self) -> "FeedStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_texts(self) -> Generator[bytes, None, None]:
        feed = self._feed
        decoder = Decoder(feed.format.encoding)
        digest = hashlib.sha256()
        left = feed.text_size
        try:
            with closing(feed.delivery.chunks()) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    text = decoder.decode(chunk)[:left]
                    left -= len(text)
                    yield text
                    if self._progress:
                        self._progress(len(chunk))
            text = decoder.decode(b"", final=True)[:left]
        except UndecodableError:
            raise _changed(feed.name) from None
        if digest.hexdigest() != feed.sha256:
            raise _changed(feed.name)
        yield text


def survey(source: str | Path, format: Format | None = None) -> Feed:
    """Read a file once, in bounded memory, and raise BadFileError for the first fault of its structure.

    ``-`` is standard input. A file whose name ends in .gz is decompressed.
    """
    return _survey(Delivery.of(source), format or Format())


def _survey(delivery: Delivery, format: Format) -> Feed:
    name = delivery.name
    header: list[str] = []
    columns: list[str | None] = []

    def read_header(line: bytes) -> int:
        names, fed = match_header(line.decode(), format.delimiter, format.columns, name)
        header.extend(names)
        columns.extend(fed)
        return len(names)

    delivery.refuse_other_formats(format.encoding)
    scanner = Scanner(name, format.delimiter, read_header)
    decoder = Decoder(format.encoding)
    digest = hashlib.sha256()
    size = 0
    try:
        with closing(delivery.chunks()) as chunks:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                scanner.add(decoder.decode(chunk))
        scanner.add(decoder.decode(b"", final=True))
    except UndecodableError as error:
        scanner.add(error.text)
        scanner.stop()
        place = "" if error.offset is None else f"byte {error.offset} of the file: "
        message = f"{place}not {format.encoding} ({error.reason}); name its encoding with --encoding"
        raise BadFileError(name, "ENCODING", message, line=scanner.line) from None
    scanner.finish()
    return Feed(
        name=name,
        format=format,
        sha256=digest.hexdigest(),
        size=size,
        rows=scanner.records - 1,
        header=tuple(header),
        columns=tuple(columns),
        delivery=delivery,
        text_size=scanner.size,
    )


def _changed(name: str) -> BadFileError:
    return BadFileError(name, "FILE_CHANGED", "the file changed while it was read; nothing of it was loaded")
