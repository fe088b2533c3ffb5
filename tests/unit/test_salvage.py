"""Salvage: what is sound in a file of broken structure is kept, and every other line is set aside."""

import gzip
import hashlib
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

import minidw
from minidw.errors import BadFileError
from minidw.feed import scan, source
from minidw.feed.feed import Feed
from minidw.feed.salvage import LINE_FAULTS
from minidw.feed.survey import SurveyedFile, survey
from tests.support.texts import ACCEPTED, FILE, HEADER, ROW, malformed, read, row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("salvage") / "orders.csv"


def salvaged(path: Path, content: bytes, feed: Feed | None = None) -> SurveyedFile:
    """The feed of a file of this content, without its malformed lines."""
    path.write_bytes(content)
    return survey(path, replace(feed or Feed(), skip_malformed=True))


LINES = [
    # lines after FILE, whose last line is the second; what is set aside; rows kept
    ("a stray quote", row(b'ab"c') + row(b"2"), [(3, "STRAY_QUOTE")], 2),
    ("text after a closing quote", row(b'"a"x') + row(b"2"), [(3, "STRAY_QUOTE")], 2),
    ("an open quote", row(b'"a') + row(b"2") * 5, [(3, "UNTERMINATED_QUOTE")], 6),
    ("an open quote and others", row(b'"a') + row(b'"b"') + row(b"2"), [(3, "UNTERMINATED_QUOTE")], 3),
    ("an open quote in the last line", row(b'"a'), [(3, "UNTERMINATED_QUOTE")], 1),
    ("too many columns", ROW + b",\n" + row(b"2"), [(3, "COLUMN_COUNT")], 2),
    ("too few columns", b"1,2\n" + row(b"2"), [(3, "COLUMN_COUNT")], 2),
    ("cut in a row", row(b"2") + ROW[:20], [(4, "TRUNCATED")], 2),
    ("blank lines", b"\n\n" + row(b"2") + b"\n\n", [(3, "BLANK_LINE"), (4, "BLANK_LINE")], 2),
    ("a line of blanks", b" \t\n" + row(b"2"), [(3, "BLANK_LINE")], 2),
    ("CRLF", row(b"2", b"\r\n") + row(b"3"), [(3, "MIXED_EOL")], 2),
    ("a bare CR", row(b"a\rb") + row(b"2"), [(3, "MIXED_EOL"), (4, "MIXED_EOL")], 2),
    (r"\.", b"\\.\n" + row(b"2"), [(3, "END_MARKER")], 2),
    ("NUL", row(b"a\0b") + row(b"2"), [(3, "NUL_BYTE")], 2),
    ("NUL in quotes", row(b'"\0"') + row(b'"a""\0"'), [(3, "NUL_BYTE"), (4, "NUL_BYTE")], 1),
    ("Latin-1 in quotes", row(b'"\xe9"') + row(b'"a""\xe9"'), [(3, "ENCODING"), (4, "ENCODING")], 1),
    ("Latin-1", row(b"caf\xe9") + row(b"2"), [(3, "ENCODING")], 2),
    ("an encoded surrogate", row(b"\xed\xa0\x80") + row(b"2"), [(3, "ENCODING")], 2),
    ("half a character", row(b"2") + row(b"caf\xc3")[:-1], [(4, "ENCODING")], 2),
    ("after a field of two lines", row(b'"a\nb"') + b"1,2\n" + row(b"2"), [(5, "COLUMN_COUNT")], 3),
    ("nothing else", b"1,2\n", [(3, "COLUMN_COUNT")], 1),
]


@pytest.mark.parametrize(("content", "lines", "rows"), [c[1:] for c in LINES], ids=[c[0] for c in LINES])
def test_a_broken_line_is_set_aside(
    path: Path, content: bytes, lines: list[tuple[int, str]], rows: int
) -> None:
    feed = salvaged(path, FILE + content)
    assert [line[:2] for line in malformed(feed)] == lines
    assert (feed.malformed, feed.rows) == (len(lines), rows)
    assert (feed.size, feed.sha256) == (len(FILE + content), hashlib.sha256(FILE + content).hexdigest())


def test_all_codes_of_lines_are_tried() -> None:
    assert {code for _, _, lines, _ in LINES for _, code in lines} == LINE_FAULTS


def test_the_text_of_a_broken_line_is_kept_legible(path: Path) -> None:
    feed = salvaged(path, FILE + b'a"b\0\xff\\.\n' + "é\u20ac".encode() + b"\n" + ROW)
    assert malformed(feed) == [
        (3, "ENCODING", r'a"b\x00\xff\.'),
        (4, "COLUMN_COUNT", "é€"),
    ]
    assert read(feed) == FILE + ROW


def test_what_is_kept_can_be_read_again_and_again(path: Path) -> None:
    feed = salvaged(path, FILE + b"1,2\n" + row(b"2"))
    path.unlink()
    assert read(feed) == read(feed, 7) == FILE + row(b"2").rstrip()
    assert malformed(feed) == malformed(feed)


@pytest.mark.parametrize("content", [c[1] for c in ACCEPTED], ids=[c[0] for c in ACCEPTED])
def test_a_sound_file_is_read_as_ever(path: Path, content: bytes) -> None:
    feed = salvaged(path, content)
    assert (feed.malformed, malformed(feed)) == (0, [])
    assert feed.source.path == path
    path.unlink()
    with pytest.raises(BadFileError, match="NOT_FOUND"):
        read(feed)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8-sig", "gb18030"])
def test_line_ends_and_encodings_stay_what_they_are(path: Path, newline: bytes, encoding: str) -> None:
    sound = (FILE + row("é".encode())).replace(b"\n", newline)
    content = (sound + b"1,2" + newline).decode().encode(encoding)
    feed = salvaged(path, content, Feed(encoding=encoding))
    assert malformed(feed) == [(4, "COLUMN_COUNT", "1,2")]
    assert read(feed) + newline == sound


@pytest.mark.parametrize("delimiter", list(";\t|%^]\\ "))
def test_any_delimiter_divides(path: Path, delimiter: str) -> None:
    content = FILE + row(b'"a\nb"') + b"1,2\n" + row(b"2") + b'a"b\n'
    feed = salvaged(path, content.replace(b",", delimiter.encode()), Feed(delimiter))
    assert (feed.rows, [line for line, _, _ in malformed(feed)]) == (3, [5, 7])


def test_a_byte_that_an_encoding_lacks_costs_its_line(path: Path) -> None:
    feed = salvaged(path, FILE + row(b"\x81") + row(b"\xe9"), Feed(encoding="cp1252"))
    assert malformed(feed) == [(3, "ENCODING", row(b"\\x81", b"").decode())]
    assert read(feed).decode().splitlines()[-1][0] == "é"


@pytest.mark.parametrize(
    ("content", "feed", "fault"),
    [
        (b"", {}, " EMPTY_FILE"),
        (HEADER.replace(b"price", b"prize") + b"\n1,2\n", {}, "1: HEADER"),
        (HEADER + b',a"b\n' + ROW, {}, "1: STRAY_QUOTE"),
        (HEADER + b',"ab\n' + ROW, {}, "1: UNTERMINATED_QUOTE"),
        (HEADER + b",\0\n" + ROW, {}, "1: NUL_BYTE"),
        (HEADER + b",\xe9\n" + ROW, {}, "1: ENCODING"),
        (b"PK\x03\x04" + FILE, {}, " NOT_CSV"),
        (FILE + b"1,2\n" + b"x" * (scan.MAX_LINE + 1), {}, "4: LINE_TOO_LONG"),
        (
            (FILE + b"1,2\n").decode().encode("utf-16") + b"\x00\xd8a\x00",
            {"encoding": "utf-16"},
            "4: ENCODING",
        ),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_fault_of_the_file_refuses_it(path: Path, content: bytes, feed: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadFileError, match=re.escape(f"orders.csv:{fault}")):
        salvaged(path, content, Feed(**feed))


def test_a_damaged_gz_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(FILE + b"1,2\n" + row(b"2") * 100_000)
    assert salvaged(tmp_path / "orders.csv.gz", packed).malformed == 1
    with pytest.raises(BadFileError, match=r"orders\.csv\.gz: TRUNCATED"):
        salvaged(tmp_path / "orders.csv.gz", packed[:-9])


def test_a_quote_left_open_in_a_large_file_costs_one_line_and_little_memory(path: Path) -> None:
    path.write_bytes(FILE + row(b'"a') + row(b"2") * 600_000)
    tracemalloc.start()
    try:
        feed = survey(path, Feed(skip_malformed=True))
        assert tracemalloc.get_traced_memory()[1] < 8 * scan.MAX_LINE
    finally:
        tracemalloc.stop()
    assert (feed.rows, [line[:2] for line in malformed(feed)]) == (600_001, [(3, "UNTERMINATED_QUOTE")])


def test_a_record_over_the_limit_is_set_aside_line_by_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MAX_LINE", 200)
    monkeypatch.setattr(source, "CHUNK", 100)
    feed = salvaged(path, FILE + row(b'"a' + b"\n" * 200 + b'b"') + row(b"2"))
    lines = malformed(feed)
    assert (feed.rows, lines[0][:2]) == (2, (3, "UNTERMINATED_QUOTE"))
    assert [line for line, _, _ in lines] == list(range(3, 204))


def test_postgresql_takes_both_halves(path: Path, conn: Connection) -> None:
    feed = salvaged(path, FILE + b'a"b\0\xff,\\.\n' + b"\\.\n\n" + row("é".encode()))

    minidw.load_raw(feed, conn)

    assert conn.scalar(text("SELECT count(*) FROM raw.orders_all")) == feed.rows == 2
    query = "SELECT line, code, text FROM raw.lines_malformed ORDER BY line"
    assert conn.execute(text(query)).all() == malformed(feed)


# Properties.

SOUND = st.lists(st.text(st.sampled_from('",;.é€ x\n\r'), max_size=4), min_size=8, max_size=8)
SOUP = st.lists(
    st.sampled_from(
        [b'"', b'""', b",", b",,,,,,,", b"\n", b"\r", b"\r\n", b"\0", b"\xe9", b"\\.", b"x", ROW]
    ),
    max_size=12,
).map(b"".join)


def record(values: list[str]) -> bytes:
    """A record in which every field is quoted, without its line end."""
    return b",".join(b'"%b"' % value.replace('"', '""').encode() for value in values)


def physical_lines(content: bytes) -> list[bytes]:
    return re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", content)


@given(
    st.lists(
        SOUND.map(record) | st.lists(st.sampled_from(b"x,.\xe9\0 \\"), max_size=6).map(bytes), max_size=9
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.integers(1, 200),
)
def test_every_sound_row_between_broken_lines_is_kept(
    scratch: Path, parts: list[bytes], line_end: bytes, chunk: int
) -> None:
    sound = [part for part in parts if b'"' in part]
    content = b"".join(part + line_end for part in [HEADER, *parts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", chunk)
        feed = salvaged(scratch, content)
    assert read(feed) == line_end.join([HEADER, *sound])
    lines = len(physical_lines(content.rstrip(b"\r\n")))
    assert feed.malformed == lines - 1 - sum(len(physical_lines(part + line_end)) for part in sound)


@given(SOUP, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 50))
def test_a_record_is_kept_exactly_where_the_scanner_finds_one(
    scratch: Path, soup: bytes, line_end: bytes, chunk: int
) -> None:
    soup = soup.lstrip(b"\n") if line_end == b"\r" else soup
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", chunk)
        feed = salvaged(scratch, HEADER + line_end + soup)
    kept = read(feed)
    numbers = [line for line, _, _ in malformed(feed)]
    records, aside = divided(physical_lines(soup), line_end)
    assert kept == line_end.join([HEADER, *records])
    assert numbers == aside
    scratch.write_bytes(kept)
    assert survey(scratch).rows == feed.rows == len(records)


def divided(lines: list[bytes], line_end: bytes) -> tuple[list[bytes], list[int]]:
    """The sound records of these lines, and the numbers of the others, by trying all there is."""
    while lines and lines[-1] == line_end:
        lines.pop()
    records: list[bytes] = []
    aside: list[int] = []
    at = 0
    while at < len(lines):
        tried = () if follows_bare_cr(lines, at, aside, line_end) else range(at + 1, len(lines) + 1)
        for end in tried:
            if is_sound(record := b"".join(lines[at:end]), line_end, last=end == len(lines)):
                records.append(record.removesuffix(line_end))
                at = end
                break
        else:
            aside.append(at + 2)
            at += 1
    return records, aside


def follows_bare_cr(lines: list[bytes], at: int, aside: list[int], line_end: bytes) -> bool:
    """Whether this line was parted by a CR from one that is set aside."""
    return at + 1 in aside and lines[at - 1].endswith(b"\r") and line_end != b"\r"


def is_sound(lines: bytes, line_end: bytes, *, last: bool) -> bool:
    """Whether the scanner takes this text as one record."""
    if lines.startswith((b"\r", b"\n")):
        return False  # or an LF would become part of the line end of the header
    scanner = scan.Scanner("f", ",", lambda _: 8)
    try:
        lines.decode()
        scanner.add(b"," * 7 + line_end + lines)
        scanner.finish()
    except (BadFileError, UnicodeDecodeError):
        return False
    return scanner.records == 2 and (last or lines.endswith(line_end))


def test_lines_before_the_header_count_among_those_of_the_file(path: Path) -> None:
    path.write_bytes(b"sep=;\nnote\n" + FILE.replace(b",", b";") + b"broken\n" + ROW.replace(b",", b";"))
    feed = survey(path, Feed(skip_malformed=True, skip_lines=2))
    assert malformed(feed) == [(5, "COLUMN_COUNT", "broken")]
    assert (feed.rows, feed.feed.delimiter, feed.feed.skip_lines) == (2, ";", 0)
    assert survey(path, Feed(skip_malformed=True, skip_lines=2)).sha256 == feed.sha256
