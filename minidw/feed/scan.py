"""The text of a CSV file → its records counted, and its first structural fault found, at C speed.

Whole records are checked many at a time: take the text away, and what is left of n sound records is
n times the same delimiters and line end. Only where it is not does anything look at single lines.
"""

import re
from collections.abc import Callable
from typing import NoReturn

from minidw.errors import BadFileError

MAX_LINE = 8 * 2**20  # bytes of a record, its line end included
LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE_END_NAMES = {b"\n": "LF", b"\r": "CR", b"\r\n": "CRLF"}
_OPEN_FIELD = rb'"[^"]*+(?:""[^"]*+)*+'


class Scanner:
    """Takes the UTF-8 text of one file piece by piece; what it finds does not depend on the pieces.

    ``header`` is called with the first record before any other is looked at, and returns the number of
    columns. ``line`` is the physical line of the file on which the text begins. Every fault is raised as a
    BadFileError: the first of the file, with its physical line.
    """

    def __init__(self, file: str, delimiter: str, header: Callable[[bytes], int], line: int = 1) -> None:
        self.columns = 0
        self.records = 0
        self.size = 0  # bytes up to the end of the last record, without its line end
        self._file = file
        self._delimiter = delimiter.encode()
        self._header = header
        self._line_end = b""  # that of the header, which all others must equal; empty until it is read
        self._sound = b""  # what is left of a sound record when its text is taken away
        self._rest = b""  # the text since the last whole record that was checked
        self._offset = 0  # of the rest, in bytes
        self._line = line  # the physical line on which the rest begins
        self._blank: int | None = None  # the first of the blank lines that precede the rest

        around = re.escape(self._delimiter) + rb"\r\n"
        self._quoted_field = re.compile(rb'(?<![^%b])%b"(?![^%b])' % (around, _OPEN_FIELD, around))
        self._open_field = re.compile(_OPEN_FIELD)
        self._text = bytes(set(range(256)) - set(self._delimiter + b'\r\n"'))
        self._text_to_nul = bytes.maketrans(self._text, bytes(len(self._text)))

    @property
    def line(self) -> int:
        """The physical line on which the text so far ends."""
        return self._line + count_lines(self._rest)

    def add(self, text: bytes) -> None:
        """Take the next piece, of any size up to MAX_LINE."""
        nul = text.find(b"\0")
        if nul < 0:
            self._add(text)
            return
        self._add(text[:nul])
        self.stop()
        raise BadFileError(self._file, "NUL_BYTE", "a NUL byte; this is no text", line=self.line)

    def stop(self) -> None:
        """The text cannot be read on from here. Raises the fault before this place, if there is one."""
        self._diagnose(self._rest, cut_off=True)

    def finish(self) -> None:
        """The text ends here."""
        if not self._rest.strip(b"\r\n") and not self._line_end:
            raise BadFileError(self._file, "EMPTY_FILE", "the file is empty: not even a header")
        if not self._line_end:
            header = self._rest.removesuffix(b"\r")
            self._begin(header, self._rest[len(header) :] or b"\n")
        self._check(self._rest)

    def _add(self, text: bytes) -> None:
        piece = self._rest + text
        new = max(len(self._rest) - 1, 0)  # no record ends before, a line end in the very last byte aside
        if not self._line_end and piece.startswith((b"\r", b"\n")):
            if piece.strip(b"\r\n"):
                raise BadFileError(
                    self._file, "HEADER", "the first line is blank, not a header", line=self._line
                )
            self._rest = piece[:1]
            return
        if len(piece) > MAX_LINE:
            self._check_length(piece)
        if not self._line_end and (first := first_line_end(piece)):
            self._begin(piece[: first.start()], first[0])
            new = 0
        end = _end_of_records(piece, new) if self._line_end else 0
        self._rest = piece[end:]
        if end:
            self._check(piece[:end])

    def _begin(self, header: bytes, line_end: bytes) -> None:
        self._diagnose(header)  # of its quotes only: its other faults are against itself
        self.columns = self._header(header)
        self._line_end = line_end
        self._sound = self._delimiter * (self.columns - 1) + line_end

    def _check(self, text: bytes) -> None:
        """Count whole records; the last of the file may lack its line end."""
        content = text.rstrip(b"\r\n")
        line_ends = text[len(content) :]
        left = self._skeleton(content) + self._line_end if content else b""
        records = len(left) // len(self._sound)
        lines = len(line_ends) // len(self._line_end)
        if (
            left != self._sound * records
            or line_ends != self._line_end * lines
            or (content and self._blank is not None)
        ):
            self._diagnose(text)
            # Reached only if the two ways of looking at it disagree, which no test has seen.
            raise BadFileError(self._file, "NOT_CSV", "cannot be read as CSV", line=self._line)
        if content:
            self.size = self._offset + len(content)
            self._line += records - 1 if b'"' not in content else count_lines(content)
        self._line += lines
        blanks = lines - 1 if content else lines
        if blanks > 0 and self._blank is None:
            self._blank = self._line - blanks
        self.records += records
        self._offset += len(text)

    def _skeleton(self, text: bytes) -> bytes:
        """The delimiters and line ends outside quotes; a quote alone where there is a fault.

        ``1,"x,y⏎""z",3⏎`` → ``,,⏎``, in these steps (⏎ is a line end, ␀ a NUL):

        - cut at the quotes, the text has the parts ``1,`` ``x,y⏎`` (nothing) ``z`` ``,3⏎``;
        - every other part is outside quotes: ``1,`` (nothing) ``,3⏎``, joined by quotes ``1,"",3⏎``;
        - with text as NUL, ``␀,"",␀⏎``: text beside a quote, as in ``ab"c`` or ``"ab"c``, would be ``␀"`` or
          ``"␀``, and an odd number of quotes leaves an even number of parts;
        - without text and quotes, ``,,⏎`` is left.
        """
        outside = text
        if b'"' in text:
            parts = text.split(b'"')  # every other part is between quotes
            outside = b'"'.join(parts[::2]).translate(self._text_to_nul)
            if len(parts) % 2 == 0 or b'\0"' in outside or b'"\0' in outside:
                return b'"'
        left = outside.translate(None, self._text + b'"')
        # What stood between a CR and an LF is gone too.
        if self._line_end == b"\r\n" and outside.count(b"\r\n") != left.count(b"\n"):
            return b'"'
        return left

    def _check_length(self, text: bytes) -> None:
        first = first_line_end(text)
        if (first.end() if first else len(text)) <= MAX_LINE:
            return
        text = text[:MAX_LINE]
        opened = self._diagnose(text, cut_off=True)
        if opened is not None and LINE_END.search(text, opened):
            message = f"the quote opened here is not closed within {MAX_LINE} bytes"
            self._refuse("UNTERMINATED_QUOTE", message, text, opened)
        self._refuse("LINE_TOO_LONG", f"a line of more than {MAX_LINE} bytes", text, 0)

    def _diagnose(self, text: bytes, *, cut_off: bool = False) -> int | None:
        """Raise the first fault of a text that begins with a record.

        A text that is ``cut_off`` may stop anywhere, so what is unfinished in it is no fault; returns where
        in it a quoted field is still open.
        """
        # Of the same length, so that positions stay true; NUL, which is not in the text any more.
        masked = self._quoted_field.sub(lambda field: bytes(len(field[0])), text)
        quote = masked.find(b'"')
        blank = self._blank
        start = 0
        for line_end in LINE_END.finditer(masked if quote < 0 else masked[:quote]) if self._line_end else ():
            if cut_off and line_end.end() == len(text) and line_end[0] == b"\r":
                break
            line = masked[start : line_end.start()]
            if line and blank is not None:
                self._refuse_blank(blank)
            if line_end[0] != self._line_end:
                self._refuse_line_end(line_end[0], text, line_end.start())
            if line:
                self._check_line(line, text, start)
            elif blank is None:
                blank = self._line + count_lines(text[:start])
            start = line_end.end()
        last = masked[start:].rstrip(b"\r\n")
        if last and blank is not None:
            self._refuse_blank(blank)
        if quote >= 0:
            return self._check_quote(text, quote, cut_off=cut_off)
        if last and self._line_end and not cut_off:
            self._check_line(last, text, start, unfinished=True)
        return None

    def _check_line(self, line: bytes, text: bytes, start: int, *, unfinished: bool = False) -> None:
        found = line.count(self._delimiter) + 1
        if found == self.columns:
            return
        if not line.strip():
            self._refuse_blank(self._line + count_lines(text[:start]))
        if line == b"\\.":
            self._refuse("END_MARKER", "a line of \\. alone, which ends the data for PostgreSQL", text, start)
        count = f"expected {self.columns} columns, found {found}"
        if unfinished and found < self.columns:
            self._refuse("TRUNCATED", f"the file breaks off in its last line: {count}", text, start)
        self._refuse("COLUMN_COUNT", count, text, start)

    def _check_quote(self, text: bytes, at: int, *, cut_off: bool) -> int:
        """Judge the first quote that is not part of a sound quoted field."""
        if at and text[at - 1 : at] not in (self._delimiter, b"\r", b"\n"):
            self._refuse("STRAY_QUOTE", "a quote within an unquoted field", text, at)
        opened = self._open_field.match(text, at)
        assert opened is not None
        if opened.end() < len(text):
            line = self._line + count_lines(text[:at])
            message = f"text after the closing quote of the field that opens in line {line}"
            self._refuse("STRAY_QUOTE", message, text, opened.end())
        if not cut_off:
            self._refuse("UNTERMINATED_QUOTE", "the quote opened here is never closed", text, at)
        return at

    def _refuse_blank(self, line: int) -> NoReturn:
        raise BadFileError(self._file, "BLANK_LINE", "a blank line between the rows", line=line)

    def _refuse_line_end(self, found: bytes, text: bytes, at: int) -> NoReturn:
        names = _LINE_END_NAMES
        message = f"{names[found]} ends or breaks this line, but {names[self._line_end]} ends the header"
        self._refuse("MIXED_EOL", message, text, at)

    def _refuse(self, code: str, message: str, text: bytes, at: int) -> NoReturn:
        raise BadFileError(self._file, code, message, line=self._line + count_lines(text[:at]))


def first_line_end(text: bytes) -> re.Match[bytes] | None:
    """The first line end outside quotes. A CR that ends the text may be half of a CRLF."""
    quotes = counted = 0
    for line_end in LINE_END.finditer(text):
        quotes += text.count(b'"', counted, line_end.start())
        counted = line_end.start()
        if quotes % 2 == 0:
            return None if line_end[0] == b"\r" and line_end.end() == len(text) else line_end
    return None


def count_lines(text: bytes) -> int:
    return text.count(b"\n") + (text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else 0)


def _end_of_records(text: bytes, new: int) -> int:
    """The end of the last whole record, 0 if there is none.

    Where no quote is at fault, a line end is outside quotes if an even number of them precedes it.
    The very last byte is left alone: an LF may follow a CR.
    """
    end = lf = cr = len(text) - 1
    quotes = text.count(b'"', 0, max(end, 0))
    while end > new:
        # Each is looked for again only when passed, or a field of many lines would take quadratic time.
        lf = text.rfind(b"\n", new, end) if lf >= end else lf
        cr = text.rfind(b"\r", new, end) if cr >= end else cr
        at = max(lf, cr)
        if at < 0:
            break
        quotes -= text.count(b'"', at, end)
        if quotes % 2 == 0:
            return at + 1 + text.startswith(b"\n", at + 1)
        # Within a quoted field, which began at the quote before or goes on ahead of it.
        end = text.rfind(b'"', new, at)
        quotes -= 1
    return 0
