"""A CSV file is surveyed in one pass, then streamed to COPY in another. No other code reads one."""

import hashlib
import io
import os
import weakref
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from minidw.errors import BadFileError
from minidw.feed.decode import Decoder, UndecodableError
from minidw.feed.feed import Feed
from minidw.feed.given import Input, source_of
from minidw.feed.header import Header, match_header
from minidw.feed.opening import Opening
from minidw.feed.salvage import LINE_FAULTS, salvage
from minidw.feed.scan import Scanner
from minidw.feed.source import Source, find_files
from minidw.feed.suspicions import Suspicions

__all__ = ["Feed", "SurveyedFile", "find_files", "survey"]


@dataclass(frozen=True)
class SurveyedFile:
    """A surveyed file: its structure is sound, and COPY will read exactly ``rows`` rows from it.

    name: of the file, without its directory; ``stdin`` for standard input
    sha256: of the CSV bytes as delivered, decompressed, hexadecimal
    size: of the same, bytes
    rows: records after the header
    header: names as delivered, trimmed
    columns: for each of them the column of ours that it feeds, or None
    malformed: lines set aside because the structure of the file is broken there
    exponents: whether there may be a number such as 1.23E+15 in it
    hints: what of it is sound and yet likely not what was meant, in a sentence each
    declared: the feed as it was declared; ``feed`` is that of the text which COPY will read
    """

    name: str
    feed: Feed
    sha256: str
    size: int
    rows: int
    header: tuple[str, ...]
    columns: tuple[str | None, ...]
    declared: Feed
    source: Source = field(repr=False)
    text_size: int = field(repr=False)  # of the UTF-8 text from the header to the last row, bytes
    text_start: int = field(default=0, repr=False)  # where in the UTF-8 text the header begins
    malformed: int = 0
    exponents: bool = True
    hints: tuple[str, ...] = ()
    malformed_spool: BinaryIO | None = field(
        default=None, repr=False
    )  # set: source is a spool of the sound rest

    def open(self, progress: Callable[[int], None] | None = None) -> "FileStream":
        """The file as UTF-8 for COPY; ``progress`` is told the bytes read since it was last called."""
        return FileStream(self, progress)

    def open_malformed(self) -> BinaryIO:
        """The lines set aside, as CSV without a header: physical line number, code, text.

        NUL reads ``\\x00`` in the text, and a byte NN that could not be decoded ``\\xNN``.
        """
        if self.malformed_spool is None:
            return io.BytesIO()
        self.malformed_spool.seek(0)
        return os.fdopen(os.dup(self.malformed_spool.fileno()), "rb")

    def explain(self, line: int | None) -> BadFileError:
        """Why COPY refused the structure of the file, at this line, although the survey did not."""
        try:
            again = _survey(self.source, self.feed)
        except BadFileError as error:
            return error
        if again.sha256 != self.sha256 and self.malformed_spool is None:
            return _changed(self.name)
        return BadFileError(self.name, "NOT_CSV", "PostgreSQL does not read this as CSV", line=line)


class FileStream:
    """What COPY reads: the header and the rows as delivered, in UTF-8, without blank lines at the end.

    Hashes what it reads, and raises BadFileError at the end if it is not what was surveyed.
    """

    def __init__(self, file: SurveyedFile, progress: Callable[[int], None] | None) -> None:
        self._file = file
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

    def __enter__(self) -> "FileStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_texts(self) -> Generator[bytes, None, None]:
        file = self._file
        decoder = Decoder(file.feed.encoding)
        digest = hashlib.sha256()
        before, left = file.text_start, file.text_size
        try:
            with closing(file.source.chunks()) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    text = decoder.decode(chunk)
                    before, text = max(before - len(text), 0), text[before:][:left]
                    left -= len(text)
                    yield text
                    if self._progress:
                        self._progress(len(chunk))
            text = decoder.decode(b"", final=True)[before:][:left]
        except UndecodableError:
            raise _changed(file.name) from None
        if digest.hexdigest() != file.sha256 and file.malformed_spool is None:
            raise _changed(file.name)
        yield text


def survey(source: Input, feed: Feed | None = None, *, name: str | None = None) -> SurveyedFile:
    """Read a file once, in bounded memory, and raise BadFileError for the first fault of its structure.

    ``name``: what it is called from now on, in place of where it comes from. A file that is compressed, as
    the suffix of its name says, is decompressed, and one of tab-separated values, .tsv, needs no delimiter.
    Where the feed says to skip malformed lines, a file with a fault in a line is read once more, and what
    COPY will read goes without such lines.
    """
    opened, feed = source_of(source, feed or Feed(), name)
    if opened.is_tsv and feed.delimiter == ",":
        feed = replace(feed, delimiter="\t")
    try:
        return _survey(opened, feed)
    except BadFileError as error:
        if not feed.skip_malformed or error.code not in LINE_FAULTS:
            raise
        fault = error.with_traceback(None)  # which would keep the text that was scanned in memory
    return _salvaged(opened, feed, fault)


def _survey(source: Source, feed: Feed) -> SurveyedFile:
    source.refuse_other_formats(feed.encoding)
    reading = _Reading(source.name, feed)
    decoder = Decoder(feed.encoding)
    suspicions = Suspicions(feed.encoding)
    digest = hashlib.sha256()
    size = 0
    try:
        with closing(source.chunks()) as chunks:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                text = decoder.decode(chunk)
                suspicions.add(text)
                reading.add(text)
        reading.finish(decoder.decode(b"", final=True))
    except UndecodableError as error:
        line = reading.stop(error.text)
        raise error.refusal(source.name, feed.encoding, line) from None
    return SurveyedFile(
        name=source.name,
        feed=reading.feed,
        sha256=digest.hexdigest(),
        size=size,
        rows=reading.scanner.records - 1,
        header=reading.header.names,
        columns=reading.header.columns,
        declared=feed,
        source=source,
        text_size=reading.scanner.size,
        text_start=reading.opening.size,
        exponents=suspicions.exponents,
        hints=suspicions.hints,
    )


class _Reading:
    """One pass over the text of a file: its opening, then its header and rows."""

    def __init__(self, file: str, feed: Feed) -> None:
        self.feed = feed
        self.opening = Opening(file, feed)
        self.header = Header((), ())
        self.scanner = Scanner(file, feed.delimiter, self._match)
        self._file = file
        self._begun = False

    def add(self, text: bytes, *, final: bool = False) -> None:
        """The next piece of the text."""
        if text := self.opening.add(text, final=final):
            self._begin()
            self.scanner.add(text)

    def finish(self, text: bytes) -> None:
        """The last piece."""
        self.add(text, final=True)
        self._begin()
        self.scanner.finish()

    def stop(self, text: bytes) -> int:
        """Nothing can be read after this piece. Raises the fault before that, or returns the line."""
        self.add(text)
        if self._begun:
            self.scanner.stop()
            return self.scanner.line
        return self.opening.line

    def _begin(self) -> None:
        """The opening is over: what it says of the delimiter and the lines is known."""
        if not self._begun:
            self._begun = True
            self.feed = replace(self.feed, delimiter=self.opening.delimiter)
            self.scanner = Scanner(self._file, self.feed.delimiter, self._match, self.opening.lines + 1)

    def _match(self, line: bytes) -> int:
        self.header = match_header(line.decode(), self.feed, self._file, self.opening.lines + 1)
        return len(self.header.names)


def _salvaged(source: Source, feed: Feed, fault: BadFileError) -> SurveyedFile:
    salvaged = salvage(source, feed, fault)
    spool = Source(source.name, spool=salvaged.sound)
    weakref.finalize(spool, salvaged.sound.close)
    file = SurveyedFile(
        name=source.name,
        feed=replace(salvaged.feed, encoding="utf-8", skip_lines=0),  # those of the spool
        sha256=salvaged.digest.hexdigest(),
        size=salvaged.size,
        rows=salvaged.scanner.records - 1,
        header=salvaged.header.names,
        columns=salvaged.header.columns,
        declared=feed,
        source=spool,
        text_size=salvaged.scanner.size,
        malformed=salvaged.lines,
        malformed_spool=salvaged.malformed,
    )
    weakref.finalize(file, salvaged.malformed.close)
    return file


def _changed(name: str) -> BadFileError:
    return BadFileError(name, "FILE_CHANGED", "the file changed while it was read; nothing of it was loaded")
