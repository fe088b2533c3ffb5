"""Standard output and standard error, which may be closed, full, or unable to spell what is printed."""

import os
import sys
from contextlib import suppress
from typing import TextIO

# What is drawn with other characters where ASCII is all there is.
_PLAIN = str.maketrans({"→": "->", "…": "...", "✓": "ok", "✗": "no", "·": "-", "–": "-", "−": "-"})


class Stream:
    """A text stream that raises nothing: what it cannot spell is escaped, and once it failed it is silent.

    By then the work is done or refused, and neither is changed by a reader who went away. ``failure`` says
    why it fell silent; ``reader_left`` is true where that is all that happened, as with ``| head``.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.failure = "it is closed" if stream is None else None
        self.reader_left = False

    def write(self, text: str) -> int:
        if self._stream is not None and self.failure is None:
            try:
                self._stream.write(self._spelled(text))
            except (OSError, ValueError) as error:
                self._fall_silent(error)
        return len(text)

    def write_exactly(self, text: str) -> int:
        """Write data rather than text: in UTF-8, whatever the stream is encoded in."""
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            return self.write(text)
        self.flush()
        if self.failure is None:
            try:
                buffer.write(text.encode())
            except (OSError, ValueError) as error:
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fall_silent(error)

    def isatty(self) -> bool:
        """Whether a person is looking."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def _spelled(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeError:
            plain = text.translate(_PLAIN)
            return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text

    def _fall_silent(self, error: OSError | ValueError) -> None:
        self.failure = getattr(error, "strerror", None) or str(error)
        self.reader_left = isinstance(error, BrokenPipeError)
        # What is still buffered would fail again when Python exits, and change the exit code.
        with suppress(OSError, ValueError, AttributeError):
            assert self._stream is not None
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def occupy_closed() -> None:
    """Open /dev/null where standard input, output or error is closed.

    The next file or connection would get its number, and whatever is printed there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def is_terminal(stream: TextIO | None) -> bool:
    return Stream(stream).isatty()


def standard() -> tuple[Stream, Stream]:
    """Standard output and standard error as they are now."""
    return Stream(sys.stdout), Stream(sys.stderr)
