"""A file looked at before anything is declared of it: its encoding, delimiter, header and rows."""

import csv
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from minidw.errors import BadFileError
from minidw.feed.column import fold
from minidw.feed.decode import Decoder, UndecodableError
from minidw.feed.feed import Feed
from minidw.feed.given import Input, source_of
from minidw.feed.header import DELIMITERS
from minidw.feed.opening import Opening
from minidw.feed.scan import LINE_END, Scanner
from minidw.feed.source import CHUNK, Source

LOOKED_AT = 100_000  # rows of which every value is looked at
_FIRST_ROWS = 200  # what delimiter and header are told by
_LINE_ENDS = {b"\n": "LF", b"\r": "CR", b"\r\n": "CRLF"}
_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Sample:
    """What a file is, and its first rows.

    name: of the file
    encoding: by which it was read; ``foreign``: where that is not certain, what of the text would tell
    delimiter, line_end, skip_lines: of the file; ``says_sep``: whether its first line names the delimiter
    header: names as delivered, trimmed; ``names``: the same, folded
    rows: the first rows, their values by folded name
    count: rows of the whole file, up to the fault
    fault: the first fault of its structure
    """

    name: str
    encoding: str
    foreign: str | None
    delimiter: str
    says_sep: bool
    line_end: str
    skip_lines: int
    header: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    count: int
    fault: BadFileError | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(fold, self.header))


def look_at(given: Input, said: Feed) -> Sample:
    """Look at a file, in bounded memory, by what is said of it already.

    Raises BadFileError where it cannot be read, or is no table.
    """
    source, said = source_of(given, said)
    encoding, foreign = (said.encoding, None) if said.encoding != "utf-8" else _encoding_of(source)
    source.refuse_other_formats(encoding)
    with closing(_texts(source, encoding)) as texts:
        head = next((text for text in texts if text), b"")
    skip_lines, delimiter, says_sep = _opening_of(head, source.name)
    skip_lines = said.skip_lines or skip_lines
    delimiter = said.delimiter if said.delimiter != "," else delimiter
    feed = Feed(delimiter=delimiter, skip_lines=skip_lines, encoding=encoding)
    header: list[bytes] = []
    count, fault = _scanned(source, feed, header)
    if not header:
        raise fault or BadFileError(source.name, "EMPTY_FILE", "the file is empty: not even a header")
    records = _records(_texts(source, encoding), skip_lines + says_sep, delimiter)
    names = [name.strip() for name in next(records)]
    folded = list(map(fold, names))
    rows = [
        dict(zip(folded, values, strict=True))
        for values, _ in zip(records, range(LOOKED_AT), strict=False)
        if len(values) == len(names)
    ]
    first_end = LINE_END.search(head)
    line_end = _LINE_ENDS[first_end[0]] if first_end else "none"
    return Sample(
        source.name, encoding, foreign, delimiter, says_sep, line_end, skip_lines,
        tuple(names), tuple(rows), count, fault,
    )  # fmt: skip


def _encoding_of(source: Source) -> tuple[str, str | None]:
    """The encoding, and where the bytes leave others what a person can tell it by."""
    decoder = Decoder("utf-8")
    with closing(source.chunks()) as chunks:
        begun = False
        for chunk in chunks:
            if not begun:
                begun = True
                for mark, encoding in _MARKS.items():
                    if chunk.startswith(mark):
                        return encoding, None
                if chunk[1:4:2] == b"\0\0" or chunk[0:4:2] == b"\0\0":
                    return ("utf-16-le" if chunk[1:4:2] == b"\0\0" else "utf-16-be"), None
            try:
                decoder.decode(chunk)
            except UndecodableError as error:
                return _other_encoding(source, chunk, len(error.text))
    return "utf-8", None


def _other_encoding(source: Source, chunk: bytes, at: int) -> tuple[str, str]:
    """An encoding of one byte per character that reads all of a file, and a word of it that shows it."""
    around = re.split(rb'[\r\n",;\t|]', chunk[max(at - 12, 0) : at + 12])
    near = next((part for part in around if not part.isascii()), chunk[at : at + 1])
    for encoding in ("cp1252", "latin-1"):
        with suppress(UndecodableError):
            for _ in _texts(source, encoding):
                pass
            return encoding, near.decode(encoding)
    raise AssertionError("latin-1 reads every byte")


def _texts(source: Source, encoding: str) -> Generator[bytes, None, None]:
    """The text of a file, in UTF-8."""
    decoder = Decoder(encoding)
    with closing(source.chunks()) as chunks:
        for chunk in chunks:
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _opening_of(head: bytes, name: str) -> tuple[int, str, bool]:
    """Lines before the header, the delimiter, and whether a first line names it."""
    opening = Opening(name, Feed(delimiter="\x1f"))
    with suppress(BadFileError):
        opening.add(head, final=True)
    if opening.lines:
        return 0, opening.delimiter, True
    lines = [line.decode("utf-8", "replace") for line in head.splitlines(keepends=True)]
    if len(head) >= CHUNK // 2:
        lines = lines[:-1]  # the rest of it is in another chunk
    tables = {delimiter: _table(lines, delimiter) for delimiter in DELIMITERS}

    def score(delimiter: str) -> tuple[float, bool, bool, int]:
        regular, columns, skip_lines = tables[delimiter]
        return regular, _has_sound_quotes(lines, delimiter), not skip_lines, columns

    delimiter = max(DELIMITERS, key=score)
    _, columns, skip_lines = tables[delimiter]
    if lines and columns < 2:
        delimiters = "comma, semicolon, tab or |"
        raise BadFileError(name, "HEADER", f"no {delimiters} parts the first lines into columns", line=1)
    return skip_lines, delimiter, False


def _table(lines: list[str], delimiter: str) -> tuple[float, int, int]:
    """How regular the lines are with a delimiter, their columns, and the lines before the header."""
    reader = csv.reader(lines, delimiter=delimiter)
    widths: list[tuple[int, int]] = []  # values of a record, physical lines before it
    before = 0
    with suppress(csv.Error):
        for values in reader:
            widths.append((len(values), before))
            before = reader.line_num
            if len(widths) == _FIRST_ROWS:
                break
    wide = [(width, line) for width, line in widths if width > 1]
    if not wide:
        return 0, 1, 0
    # Of two counts that are as frequent, the wider: a header without rows below a remark with a comma.
    columns, _ = max(Counter(width for width, _ in wide).items(), key=lambda item: (item[1], item[0]))
    skip_lines = next(line for width, line in wide if width == columns)
    rows = [width for width, line in widths if line >= skip_lines]
    return round(rows.count(columns) / len(rows), 1), columns, skip_lines


def _has_sound_quotes(lines: list[str], delimiter: str) -> bool:
    """Whether quotes stand around what a delimiter parts, as in ``1,"a|b"`` around that of a comma alone."""
    scanner = Scanner("", delimiter, lambda line: _width(line, delimiter))
    try:
        scanner.add("".join(lines[:_FIRST_ROWS]).encode())
    except BadFileError as fault:
        return fault.code != "STRAY_QUOTE"
    return True


def _width(line: bytes, delimiter: str) -> int:
    return len(next(csv.reader([line.decode()], delimiter=delimiter), []))


def _scanned(source: Source, feed: Feed, header: list[bytes]) -> tuple[int, BadFileError | None]:
    """The rows of a file and the first fault of its structure; its header is added to ``header``."""

    def columns_of(line: bytes) -> int:
        header.append(line)
        return _width(line, opening.delimiter)

    opening = Opening(source.name, feed)
    scanner: Scanner | None = None
    try:
        for text in (*_texts(source, feed.encoding), None):
            rest = opening.add(text or b"", final=text is None)
            if rest or text is None:
                scanner = scanner or Scanner(source.name, opening.delimiter, columns_of, opening.lines + 1)
                scanner.add(rest)
        assert scanner is not None
        scanner.finish()
    except BadFileError as fault:
        return max(scanner.records - 1, 0) if scanner else 0, fault
    return max(scanner.records - 1, 0), None


def _records(texts: Iterator[bytes], skip_lines: int, delimiter: str) -> Iterator[list[str]]:
    """The records of a text, its header among them; up to where Python's reader is at its end too."""

    def lines() -> Iterator[str]:
        rest = b""
        for text in texts:
            *whole, rest = (rest + text).splitlines(keepends=True) or [b""]
            if rest.endswith(b"\n"):
                whole.append(rest)
                rest = b""
            yield from (line.decode() for line in whole)
        if rest:
            yield rest.decode()

    everything = lines()
    for _ in range(skip_lines):
        next(everything, None)
    with suppress(csv.Error):
        yield from (values for values in csv.reader(everything, delimiter=delimiter) if values)
