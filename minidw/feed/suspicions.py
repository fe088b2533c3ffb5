"""What is sound in a file and yet likely not what was meant; looked for in passing, at C speed."""

import codecs
import re

from minidw.feed.advice import declare

# The control characters that ISO 8859 has where Windows has letters and signs, in UTF-8.
_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]")


class Suspicions:
    """Takes the UTF-8 text of a file piece by piece.

    exponents: whether there is a number such as 1.23E+15, as a spreadsheet writes a long id
    """

    def __init__(self, encoding: str) -> None:
        self.exponents = False
        self._looks_for_controls = codecs.lookup(encoding).name.startswith("iso8859")
        self._control: str | None = None
        self._encoding = encoding
        self._last = b""

    def add(self, text: bytes) -> None:
        """The next piece."""
        # One byte is looked for ten times as fast as two, and most files have no plus.
        if not self.exponents and b"+" in text:
            joint = self._last + text[:1]
            self.exponents = b"E+" in text or b"e+" in text or joint in (b"E+", b"e+")
        self._last = text[-1:]
        if self._looks_for_controls and self._control is None and (found := _CONTROLS.search(text)):
            self._control = found[0].decode().encode("latin-1").decode("cp1252", "replace")

    @property
    def hints(self) -> tuple[str, ...]:
        """What to look at again, in a sentence each."""
        if self._control is None:
            return ()
        return (
            f"it has control characters in {self._encoding}; {declare('encoding', 'cp1252')} reads the first"
            f" as {self._control!r}",
        )
