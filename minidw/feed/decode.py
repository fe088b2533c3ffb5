"""Delivered bytes → UTF-8."""

import codecs
import io

from minidw.errors import BadFileError, SettingsError
from minidw.feed.advice import declare


class UndecodableError(Exception):
    """The bytes are not in the encoding: ``text`` is what could be read of the chunk before ``offset``."""

    def __init__(self, text: bytes, offset: int | None, reason: str) -> None:
        self.text = text
        self.offset = offset
        self.reason = reason

    def refusal(self, file: str, encoding: str, line: int) -> BadFileError:
        """The fault of the file, on this line."""
        place = "" if self.offset is None else f"byte {self.offset} of the file: "
        other = "cp1252" if codecs.lookup(encoding).name == "utf-8" else "utf-8"
        message = f"{place}not {encoding} ({self.reason}); declare what it is: {declare('encoding', other)}"
        return BadFileError(file, "ENCODING", message, line=line)


class Decoder:
    """Chunks of delivered bytes → UTF-8 without a byte order mark.

    ``lenient``: a byte that cannot be decoded becomes a surrogate escape, in what UTF-8 would be for it.
    """

    def __init__(self, encoding: str, *, lenient: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if lenient else "strict")
        self._surrogates = "surrogatepass" if lenient else "strict"
        self._ascii_is_itself = codecs.lookup(encoding).name == "utf-8"
        self._begun = False
        self._taken = 0

    def decode(self, chunk: bytes, *, final: bool = False) -> bytes:
        state = self._decoder.getstate()
        if self._ascii_is_itself and not state[0] and chunk.isascii():
            self._begun |= bool(chunk)
            self._taken += len(chunk)
            return chunk
        try:
            text = self._encode(self._decoder.decode(chunk, final))
        except UnicodeEncodeError as error:  # some encodings can spell half a character
            raise UndecodableError(error.object[: error.start].encode(), None, error.reason) from None
        except UnicodeDecodeError as error:
            good = error.start - (len(error.object) - len(chunk))
            self._decoder.setstate(state)
            try:
                text = self._encode(self._decoder.decode(chunk[: max(good, 0)]))
            except UnicodeError as earlier:  # a missing byte order mark is noticed after what follows it
                raise UndecodableError(b"", None, str(earlier)) from None
            raise UndecodableError(text, self._taken + good, error.reason) from None
        except UnicodeError as error:
            raise UndecodableError(b"", None, str(error)) from None
        self._taken += len(chunk)
        return text

    def _encode(self, text: str) -> bytes:
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        return text.encode("utf-8", self._surrogates)


def check_encoding(encoding: str) -> None:
    """Raise SettingsError where Python has no such text encoding that can be read in pieces."""
    try:
        codecs.getincrementaldecoder(encoding)
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError):
        raise SettingsError(f"encoding: there is no text encoding {encoding!r}") from None
