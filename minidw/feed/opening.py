"""What precedes the header of a file: lines to skip, and the line ``sep=;`` that Excel writes and reads."""

import re

from minidw.errors import BadFileError
from minidw.feed.feed import Feed
from minidw.feed.scan import LINE_END, MAX_LINE

_SEP = re.compile(rb'"?sep=([^"\r\n])"?', re.IGNORECASE)


class Opening:
    """Takes the text of a file piece by piece and hands on what begins with the header.

    lines, size: what it kept back, in physical lines and in bytes of UTF-8
    delimiter: that of the feed, or what a line ``sep=;`` says instead
    """

    def __init__(self, file: str, feed: Feed) -> None:
        self.lines = 0
        self.size = 0
        self.delimiter = feed.delimiter
        self._file = file
        self._skip = feed.skip_lines
        self._held = b""
        self._over = False

    @property
    def line(self) -> int:
        """The physical line on which the text so far ends."""
        return self.lines + 1

    def add(self, text: bytes, *, final: bool = False) -> bytes:
        """The next piece; ``final`` where no other follows."""
        if self._over:
            return text
        self._held += text
        while self.lines < self._skip or self._may_say_sep(final=final):
            line_end = LINE_END.search(self._held)
            if line_end is None or (line_end.end() == len(self._held) and line_end[0] == b"\r" and not final):
                if len(self._held) > MAX_LINE:
                    message = f"a line of more than {MAX_LINE} bytes"
                    raise BadFileError(self._file, "LINE_TOO_LONG", message, line=self.lines + 1)
                if not final:
                    return b""
                self._held = b""  # the file ends before its header
                break
            if said := _SEP.fullmatch(self._held, 0, line_end.start()):
                self.delimiter = said[1].decode("latin-1")
            self.lines += 1
            self.size += line_end.end()
            self._held = self._held[line_end.end() :]
        self._over = True
        held, self._held = self._held, b""
        return held

    def _may_say_sep(self, *, final: bool) -> bool:
        """Whether the first line is ``sep=;``, or may become it when more of the text is seen."""
        line_end = LINE_END.search(self._held)
        if line_end or final:
            return (
                _SEP.fullmatch(self._held, 0, line_end.start() if line_end else len(self._held)) is not None
            )
        start = self._held.removeprefix(b'"')
        return len(start) <= 6 and b"sep=".startswith(start[:4].lower())
