"""A file of broken structure → its sound records, and the lines between them, each with its fault.

A record is sound where the scanner would find no fault in it. Where none begins, one physical line is set
aside and the next line gets its chance: an unterminated quote costs one line, not the rest of the file.
"""

import hashlib
import re
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import replace
from typing import BinaryIO

from minidw.errors import BadFileError
from minidw.feed import scan
from minidw.feed.decode import Decoder, UndecodableError
from minidw.feed.feed import Feed
from minidw.feed.header import Header, match_header
from minidw.feed.opening import Opening
from minidw.feed.scan import LINE_END, Scanner, count_lines, first_line_end
from minidw.feed.source import CHUNK, Source, refusals

LINE_FAULTS = frozenset(
    {
        "BLANK_LINE",
        "COLUMN_COUNT",
        "ENCODING",
        "END_MARKER",
        "MIXED_EOL",
        "NUL_BYTE",
        "STRAY_QUOTE",
        "TRUNCATED",
        "UNTERMINATED_QUOTE",
    }
)
"""Codes of the faults of a line; any other is a fault of the whole file."""


_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_UNDECODED = b"\xff"  # never in UTF-8; the byte that could not be decoded follows as hexadecimal digits


def salvage(source: Source, feed: Feed, fault: BadFileError) -> "Salvage":
    """Read a file again in which the scanner met a fault of a line, in bounded memory.

    Raises BadFileError where its header or the file as a whole is at fault; otherwise the caller is to close
    the two files.
    """
    with refusals(source.name), ExitStack() as stack:
        result = Salvage(source, feed)
        stack.callback(result.sound.close)
        stack.callback(result.malformed.close)
        with closing(result.texts):
            result.begin(fault)
            result.divide()
        result.malformed.flush()
        stack.pop_all()
    return result


class Salvage:
    """The text of one file, of which a window is in memory, divided into two temporary files.

    sound: the header and the sound records in UTF-8, all of which ``scanner`` has scanned
    malformed: ``lines`` lines as CSV: physical line number, code, text
    digest, size: of the CSV bytes as delivered
    """

    def __init__(self, source: Source, feed: Feed) -> None:
        self.feed = feed
        self.header = Header((), ())
        self._opening = Opening(source.name, feed)
        self.texts = self._read_texts(source, feed.encoding)
        self.sound: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (they outlive this function)
        self.malformed: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.lines = 0
        self.digest = hashlib.sha256()
        self.size = 0
        self._name = source.name
        self._line_end = b""
        self._window = b""
        self._at = 0  # in the window; all before this place is dealt with
        self._line = 1  # the physical line that begins there
        self._ended = False  # the window reaches to the end of the file
        self._cut = False  # the last line of the file had no line end until it was given one
        self._fragment = False  # what comes next was parted from its line by a bare CR
        self._blanks = 0  # blank lines just before; at the end of the file they are no fault

    def begin(self, fault: BadFileError) -> None:
        """Take the header."""
        while not (first := first_line_end(self._window)):
            if self._ended or len(self._window) > scan.MAX_LINE:
                raise fault
            self._grow()
        header_line = self._window[: first.end()]
        if _UNDECODED in header_line:
            raise fault
        self._line_end = first[0]
        self._line = self._opening.lines + 1
        self.feed = replace(self.feed, delimiter=self._opening.delimiter)
        names = Scanner(self._name, self.feed.delimiter, self._match, self._line)
        names.add(header_line)
        names.finish()
        self._columns = names.columns
        self._compile()
        self.scanner = Scanner(self._name, self.feed.delimiter, lambda _: self._columns)
        self._keep(first.end())
        self._after_header = copy(self.scanner)

    def _match(self, line: bytes) -> int:
        self.header = match_header(line.decode(), self.feed, self._name, self._line)
        return len(self.header.names)

    def divide(self) -> None:
        """Take all that follows."""
        while self._at < len(self._window) or not self._ended:
            limit = self._at + scan.MAX_LINE
            if not self._fragment and (run := self._records.match(self._window, self._at, limit)):
                self._keep(run.end())
                continue
            line = LINE_END.search(self._window, self._at, limit)
            undecided = not line or self._beginning.match(self._window, self._at, limit)
            if undecided and not self._ended and len(self._window) < limit:
                self._grow()
            elif line:
                self._set_aside(line.end(), line[0])
            else:
                message = f"a line of more than {scan.MAX_LINE} bytes"
                raise BadFileError(self._name, "LINE_TOO_LONG", message, line=self._line)
        # It has scanned what was kept like any other file: the two ways of reading it must agree.
        self.scanner.finish()

    def _compile(self) -> None:
        """A run of sound records; what may still become a record when more of the text is seen."""
        delimiter = re.escape(self.feed.delimiter.encode())
        opened = rb'"[^"\0\xff]*+(?:""[^"\0\xff]*+)*+'
        plain = rb'[^"\r\n\0\xff%b]*+' % delimiter
        field = rb'(?:%b"|%b)' % (opened, plain)
        separated = rb"(?:%b%b)" % (field, delimiter)
        others = b"%d" % (self._columns - 1)
        line_end = self._line_end if self._line_end != b"\r" else rb"\r(?!\n)"
        self._records = re.compile(rb"(?:%b{%b}%b%b)++" % (separated, others, field, line_end))
        self._beginning = re.compile(rb'%b{0,%b}+(?:%b"?+|%b)\r?+\Z' % (separated, others, opened, plain))

    def _keep(self, end: int) -> None:
        self._note_blanks()
        for start in range(self._at, end, CHUNK):
            text = self._window[start : min(start + CHUNK, end)]
            self.sound.write(text)
            self.scanner.add(text)
        self._pass(end)

    def _set_aside(self, end: int, line_end: bytes) -> None:
        line = self._window[self._at : end]
        if line == self._line_end:
            self._blanks += 1
        else:
            self._note_blanks()
            text = line[: -len(line_end)]
            last = self._cut and end == len(self._window)
            self._note(self._line, self._code(text if last else line), text)
        self._fragment = line_end == b"\r" != self._line_end
        self._pass(end)

    def _code(self, line: bytes) -> str:
        """The fault that the scanner finds in a file of this line alone."""
        if _UNDECODED in line:
            return "ENCODING"
        try:
            alone = copy(self._after_header)
            alone.add(line)
            alone.finish()
        except BadFileError as error:
            return error.code
        return "MIXED_EOL"  # a fragment that could pass for a record

    def _note_blanks(self) -> None:
        for line in range(self._line - self._blanks, self._line):
            self._note(line, "BLANK_LINE", b"")
        self._blanks = 0

    def _note(self, line: int, code: str, text: bytes) -> None:
        for byte, shown in {b'"': b'""', b"\0": rb"\x00", _UNDECODED: rb"\x"}.items():
            text = text.replace(byte, shown)
        self.malformed.write(b'%d,%b,"%b"\n' % (line, code.encode(), text))
        self.lines += 1

    def _pass(self, end: int) -> None:
        self._line += count_lines(self._window[self._at : end])
        self._at = end

    def _grow(self) -> None:
        """See twice as far, or note that there is no more."""
        self._window = self._window[self._at :]
        self._at = 0
        before = len(self._window)
        while len(self._window) <= 2 * before and (text := next(self.texts, None)) is not None:
            self._window += text
        self._ended = len(self._window) == before
        if self._ended and self._window and not self._window.endswith((b"\r", b"\n")):
            self._cut = True
            self._window += self._line_end

    def _read_texts(self, source: Source, encoding: str) -> Generator[bytes, None, None]:
        """The file in UTF-8, no piece of which ends between a CR and an LF."""
        decoder = Decoder(encoding, lenient=True)
        held = b""
        try:
            with closing(source.chunks()) as chunks:
                for chunk in chunks:
                    self.digest.update(chunk)
                    self.size += len(chunk)
                    text = held + _SURROGATE.sub(_mark, decoder.decode(chunk))
                    held = b"\r" if text.endswith(b"\r") else b""
                    if text := self._opening.add(text.removesuffix(held)):
                        yield text
            last = held + _SURROGATE.sub(_mark, decoder.decode(b"", final=True))
            yield self._opening.add(last, final=True)
        except UndecodableError as error:
            begun = max(self._line, self._opening.line)
            line = begun + count_lines(self._window[self._at :] + error.text)
            raise error.refusal(source.name, encoding, line) from None


def _mark(surrogate: re.Match[bytes]) -> bytes:
    code = ord(surrogate[0].decode("utf-8", "surrogatepass"))
    return _UNDECODED + b"%02x" % (code - 0xDC00 if code >= 0xDC00 else code)
