"""Feeds: which files are refused and why, and that what is accepted is exactly what COPY will read."""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import os
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidw.errors import BadFileError, SettingsError
from minidw.feed import find_files, scan, source
from minidw.feed.feed import Feed
from minidw.feed.survey import SurveyedFile, survey
from minidw.schema.vocabulary import REQUIRED_COLUMNS
from tests.support.texts import ACCEPTED, CRLF, FILE, HEADER, ROW, read, row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def refusal(path: Path, content: bytes, feed: Feed | None = None) -> BadFileError:
    path.write_bytes(content)
    with pytest.raises(BadFileError) as caught:
        survey(path, feed)
    assert "\n" not in str(caught.value)
    return caught.value


REFUSED = [
    # case of docs/bad-input.md, file, code, line
    ("1 a NUL byte", FILE + row(b"a\0b"), "NUL_BYTE", 3),
    ("1 a NUL byte within quotes", FILE + row(b'"a\nb\0"'), "NUL_BYTE", 4),
    ("2 Latin-1", FILE + row(b"caf\xe9"), "ENCODING", 3),
    ("2 an encoded surrogate", FILE + row(b"\xed\xa0\x80"), "ENCODING", 3),
    ("2 half a character at the end", FILE + b"caf\xc3", "ENCODING", 3),
    ("3 UTF-16", FILE.decode().encode("utf-16"), "NOT_CSV", None),
    ("3 UTF-16 without a mark", FILE.decode().encode("utf-16-le"), "NOT_CSV", None),
    ("3 gzip", gzip.compress(FILE), "NOT_CSV", None),
    ("3 xlsx", b"PK\x03\x04 and so on", "NOT_CSV", None),
    ("5 a stray quote", FILE + row(b'ab"c'), "STRAY_QUOTE", 3),
    ("5 two of them", FILE + row(b'a"b"c') + row(b"2"), "STRAY_QUOTE", 3),
    ("5 text after a closing quote", FILE + row(b'"a\nb"x'), "STRAY_QUOTE", 4),
    ("5 a space before a quote", FILE + row(b' "a"'), "STRAY_QUOTE", 3),
    ("5 in the header", HEADER + b',a"b\n' + ROW + b",1\n", "STRAY_QUOTE", 1),
    ("6 \\. alone", FILE + b"\\.\n" + row(b"2"), "END_MARKER", 3),
    ("6 \\. at the end", FILE + b"\\.", "END_MARKER", 3),
    ("8 an unterminated quote", FILE + row(b'"a') + row(b"2") + row(b"3"), "UNTERMINATED_QUOTE", 3),
    ("8 closed by the next field", FILE + row(b'"a') + row(b'"b"'), "STRAY_QUOTE", 4),
    ("9 a column too many", FILE + ROW + b",\n" + row(b"2"), "COLUMN_COUNT", 3),
    ("9 too few", FILE + b"1,2\n" + row(b"2"), "COLUMN_COUNT", 3),
    ("9 both", FILE + row(b"1,1") + b"1,2,3,4,5,6,7\n", "COLUMN_COUNT", 3),
    ("9 after a field of two lines", FILE + row(b'"a\nb"') + b'"c\nd",2\n', "COLUMN_COUNT", 5),
    ("9 cut in a row", FILE + ROW[:20], "TRUNCATED", 3),
    ("10 a blank line", FILE + b"\n" + row(b"2"), "BLANK_LINE", 3),
    ("10 several", FILE + b"\n\n\n" + row(b"2"), "BLANK_LINE", 3),
    ("10 a whitespace-only line", FILE + b" \t\n" + row(b"2"), "BLANK_LINE", 3),
    ("10 at the end", FILE + b"  ", "BLANK_LINE", 3),
    ("12 LF, then CRLF", FILE + row(b"2", b"\r\n"), "MIXED_EOL", 3),
    ("12 CRLF, then LF", CRLF + row(b"2"), "MIXED_EOL", 3),
    ("12 CRLF, then CR", CRLF + row(b"2", b"\r"), "MIXED_EOL", 3),
    ("12 CR, then CRLF", FILE.replace(b"\n", b"\r") + row(b"2", b"\r\n"), "MIXED_EOL", 3),
    ("12 a bare CR in a field", FILE + row(b"a\rb"), "MIXED_EOL", 3),
    ("12 CR and LF apart", CRLF + ROW + b"\rx\n" + row(b"2", b"\r\n"), "MIXED_EOL", 3),
    ("12 with quotes between", CRLF + ROW + b'\r""\n' + row(b"2", b"\r\n"), "MIXED_EOL", 3),
    ("12 among blank lines", CRLF + b"\r\n\n" + row(b"2", b"\r\n"), "MIXED_EOL", 4),
    ("14 nothing", b"", "EMPTY_FILE", None),
    ("14 a byte order mark", b"\xef\xbb\xbf", "EMPTY_FILE", None),
    ("14 blank lines", b"\r\n\r\n", "EMPTY_FILE", None),
    ("18 a blank first line", b"\n" + FILE, "HEADER", 1),
    ("18 a required column missing", FILE.replace(b",status", b""), "HEADER", 1),
    ("18 a column twice", FILE.replace(b"_id", b"_id, Price ", 1), "HEADER", 1),
    ("18 no header", ROW + b"\n" + ROW, "HEADER", 1),
    ("18 too many columns", HEADER + b"".join(b",c%d" % n for n in range(999)), "HEADER", 1),
    ("20 semicolons", FILE.replace(b",", b";"), "HEADER", 1),
    ("21 a line without end", FILE + b"x" * (scan.MAX_LINE + 1), "LINE_TOO_LONG", 3),
    ("21 in quotes", FILE + row(b'"' + b"x" * scan.MAX_LINE + b'"'), "LINE_TOO_LONG", 3),
]


@pytest.mark.parametrize(("content", "code", "line"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_faulty_file_is_refused(path: Path, content: bytes, code: str, line: int | None) -> None:
    error = refusal(path, content)
    assert (error.code, error.line) == (code, line)


@pytest.mark.parametrize(("content", "rows"), [c[1:] for c in ACCEPTED], ids=[c[0] for c in ACCEPTED])
def test_a_sound_file_is_accepted(path: Path, content: bytes, rows: int) -> None:
    path.write_bytes(content)
    feed = survey(path)
    assert feed.rows == rows
    assert read(feed) == content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    assert (feed.size, feed.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_header_is_matched_by_name(path: Path) -> None:
    path.write_bytes(
        FILE.replace(b"order_id", b" InvoiceNo ").replace(b"\n", b",Note\n", 1).replace(b"pped\n", b"pped,x")
    )
    feed = survey(path, Feed(columns={"order_id": "invoiceno"}))
    assert feed.header == ("InvoiceNo", *REQUIRED_COLUMNS[1:], "Note")
    assert feed.columns == (*REQUIRED_COLUMNS, None)


def test_columns_that_nobody_maps_may_lack_a_name_or_repeat_one(path: Path) -> None:
    path.write_bytes(b"," + HEADER + b",Tax,tax,Tax, ,Tax.2\n0," + ROW + b",1,2,3,4,5\n")
    feed = survey(path)
    assert feed.header == ("column 1", *REQUIRED_COLUMNS, "Tax", "tax", "Tax.2", "column 13", "Tax.2.2")
    assert feed.columns == (None, *REQUIRED_COLUMNS, None, None, None, None, None)


@pytest.mark.parametrize(
    ("content", "feed", "message"),
    [
        (FILE.replace(b"order_id", b"InvoiceNo"), {}, "no column order_id; the header has InvoiceNo, "),
        (FILE, {"columns": {"order_id": "Nr"}}, "no column order_id=Nr; the header has order_id, "),
        (FILE, {"columns": {"line_number": "Pos"}}, "no column line_number=Pos; "),
        (ROW, {}, "there is no header: the first line looks like data; "),
        (
            FILE.replace(b",", b";"),
            {},
            "the delimiter looks like ';'; declare delimiter = \";\" (--delimiter ';')",
        ),
        (
            FILE.replace(b",", b"\t"),
            {},
            "the delimiter looks like '\\t'; declare delimiter = \"tab\" (--delimiter tab)",
        ),
        (FILE, {"delimiter": ";"}, "the delimiter looks like ','; declare delimiter = "),
        (b"a|b|c\n", {}, "the delimiter looks like '|'; declare delimiter = "),
        (HEADER + b",Price", {}, "the same column twice: price, Price"),
    ],
)
def test_a_wrong_header_is_explained(path: Path, content: bytes, feed: dict[str, Any], message: str) -> None:
    assert refusal(path, content, Feed(**feed)).message.startswith(message)


def test_messages_say_what_to_do(path: Path) -> None:
    assert str(refusal(path, FILE + row(b'"a\nb"x'))) == (
        "orders.csv:4: STRAY_QUOTE: text after the closing quote of the field that opens in line 3"
    )
    assert str(refusal(path, FILE + row(b"caf\xe9"))) == (
        f"orders.csv:3: ENCODING: byte {len(FILE) + 3} of the file: not utf-8 (invalid continuation byte);"
        ' declare what it is: encoding = "cp1252" (--encoding cp1252)'
    )
    assert refusal(path, FILE + b"1,2\n").message == "expected 8 columns, found 2"


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"]
)
def test_other_encodings_become_utf_8(path: Path, encoding: str) -> None:
    text = (FILE + row("é".encode())).decode()
    path.write_bytes(text.encode(encoding))
    feed = survey(path, Feed(encoding=encoding))
    assert (feed.rows, read(feed).decode()) == (2, text.rstrip("\n"))


@pytest.mark.parametrize(
    ("encoding", "bad"), [("cp1252", b"\x81"), ("utf-16-le", b"\x00\xd8a\x00"), ("gb18030", b"\xff")]
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 17])
def test_an_encoding_that_does_not_fit_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, bad: bytes, chunk: int
) -> None:
    monkeypatch.setattr(source, "CHUNK", chunk)
    good = FILE.decode().encode(encoding)
    error = refusal(path, good + bad + good, Feed(encoding=encoding))
    assert (error.code, error.line) == ("ENCODING", 3)
    assert error.message.startswith(f"byte {len(good)} of the file")


@pytest.mark.parametrize("damage", [b"", b"\x00\xd8a\x00"])
def test_a_missing_byte_order_mark_is_refused_whatever_follows(path: Path, damage: bytes) -> None:
    error = refusal(path, FILE.decode().encode("utf-16-le") + damage, Feed(encoding="utf-16"))
    assert error.code == "ENCODING"
    assert "does not start with BOM" in error.message


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t"])
def test_a_tab_can_be_spelled(path: Path, delimiter: str) -> None:
    path.write_bytes(FILE.replace(b",", b"\t"))
    feed = survey(path, Feed(delimiter=delimiter))
    assert (feed.rows, feed.feed.delimiter) == (1, "\t")


@pytest.mark.parametrize(
    ("option", "value"),
    [("delimiter", v) for v in ("", ",,", '"', "\n", "\r", "\0", "é")]
    + [("encoding", v) for v in ("nonsense", "hex", "rot13", "", "a\0b")]
    + [("columns", {"ordre_id": "x"})],
)
def test_a_wrong_option_is_refused(option: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"^{option}: "):
        Feed(**{option: value})


# What precedes the header.


@pytest.mark.parametrize("chunk", [1, 3, 1 << 17])
@pytest.mark.parametrize(
    ("before", "skip_lines"),
    [
        (b"sep=;\n", 0),
        (b'"sep=;"\n', 0),
        (b"\xef\xbb\xbfSEP=;\n", 0),
        (b"Orders of May\n\nall amounts in USD\n", 3),
        (b"sep=;\na note\n", 2),
        (b"a note\nsep=;\n", 1),
    ],
)
def test_what_precedes_the_header_is_passed_over(
    path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, before: bytes, skip_lines: int
) -> None:
    monkeypatch.setattr(source, "CHUNK", chunk)
    table = (FILE + row(b"2")).replace(b",", b";")
    path.write_bytes(before + table + b"\n")
    delimiter = "," if b"sep" in before.lower() else ";"
    feed = survey(path, Feed(delimiter=delimiter, skip_lines=skip_lines))
    assert (feed.rows, feed.feed.delimiter) == (2, ";")
    assert read(feed) == table.rstrip()
    assert feed.size == len(before + table) + 1


@pytest.mark.parametrize(
    ("content", "skip_lines", "code", "line"),
    [
        (b"note\n" + FILE + b"1,2\n", 1, "COLUMN_COUNT", 4),
        (b"note\n" + FILE + row(b"a\0"), 1, "NUL_BYTE", 4),
        (b"note\n" + FILE + row(b"\xff"), 1, "ENCODING", 4),
        (b"\xff\n" + FILE, 1, "ENCODING", 1),
        (b"note\n\n" + FILE, 1, "HEADER", 2),
        (b"note\n" + FILE, 2, "HEADER", 3),
        (FILE, 9, "EMPTY_FILE", None),
        (b"sep=;\n" + FILE, 0, "HEADER", 2),
        (b"x" * (scan.MAX_LINE + 1), 1, "LINE_TOO_LONG", 1),
    ],
)
def test_lines_are_counted_from_the_first_of_the_file(
    path: Path, content: bytes, skip_lines: int, code: str, line: int | None
) -> None:
    error = refusal(path, content, Feed(skip_lines=skip_lines))
    assert (error.code, error.line) == (code, line)


def test_a_file_of_tabs_needs_no_delimiter(tmp_path: Path) -> None:
    for name in ("orders.tsv", "orders.tsv.gz"):
        content = FILE.replace(b",", b"\t")
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert survey(tmp_path / name).rows == 1


# Files that are not plain files.


def test_a_gz_file_is_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress(FILE) + gzip.compress(ROW))
    feed = survey(path)
    assert (feed.name, feed.rows, feed.size) == ("orders.csv.gz", 2, len(FILE + ROW))
    assert feed.sha256 == hashlib.sha256(FILE + ROW).hexdigest()
    assert read(feed) == FILE + ROW


def zipped(**members: bytes) -> bytes:
    """A zip archive of such files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: zstandard().compress(content),
    "zip": lambda content: zipped(**{"a/orders.csv": content, "__MACOSX/a/._orders.csv": b"x"}),
}


def zstandard() -> Any:
    try:
        return import_module("compression.zstd")
    except ImportError:
        return pytest.importorskip("backports.zstd")


@pytest.mark.parametrize("packed", PACKED)
def test_a_packed_file_is_read(tmp_path: Path, packed: str) -> None:
    content = FILE + row(b"2") * 50_000
    path = tmp_path / f"orders.csv.{packed}"
    path.write_bytes(PACKED[packed](content))
    feed = survey(path)
    assert (feed.rows, feed.sha256) == (50_001, hashlib.sha256(content).hexdigest())
    assert read(feed) == content.rstrip()


@pytest.mark.parametrize("packed", PACKED)
def test_a_damaged_packed_file_is_refused(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"orders.csv.{packed}"
    sound = PACKED[packed](FILE * 99)
    for damaged in (sound[:-9], sound[: len(sound) // 2], b"no such thing", sound[:9] + b"\xff" * 99):
        assert refusal(path, damaged).code in ("TRUNCATED", "NOT_CSV")


def test_what_is_packed_under_another_name_is_named(tmp_path: Path) -> None:
    for packed, compress in PACKED.items():
        error = refusal(tmp_path / "orders.csv", compress(FILE))
        assert error.message.endswith(f"give the file a name that ends in .{packed}")
    workbook = zipped(**{"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": b""})
    assert "an Excel workbook; make a CSV of it: python -c" in refusal(tmp_path / "a.xlsx", workbook).message
    assert "this archive holds 2 files" in refusal(tmp_path / "a.zip", workbook).message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(FILE)[:-9], "TRUNCATED"),
        (gzip.compress(FILE)[:-8] + b"\0" * 8, "NOT_CSV"),
        (gzip.compress(FILE)[:12] + b"\xff" * 50, "NOT_CSV"),
        (gzip.compress(gzip.compress(FILE)), "NOT_CSV"),
        (FILE, "NOT_CSV"),
        (b"", "EMPTY_FILE"),
    ],
    ids=["cut", "wrong sum", "no gzip within", "twice", "plain", "empty"],
)
def test_a_damaged_gz_file_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    assert refusal(tmp_path / "orders.csv.gz", content).code == code


def test_a_gz_bomb_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(FILE)
        for _ in range(64):
            file.write(b"x" * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError, match=r"bomb\.csv\.gz:3: LINE_TOO_LONG"):
            survey(path)
        assert tracemalloc.get_traced_memory()[1] < 6 * scan.MAX_LINE
    finally:
        tracemalloc.stop()


def test_a_stray_quote_is_found_where_it_stands_in_a_large_file(path: Path) -> None:
    error = refusal(path, FILE + row(b'a"b') + row(b"2") * 500_000)
    assert (error.code, error.line) == ("STRAY_QUOTE", 3)


def test_an_open_quote_is_found_where_it_stands_in_a_large_file(path: Path) -> None:
    error = refusal(path, FILE + row(b'"a') + row(b"2") * 500_000)
    assert (error.code, error.line) == ("UNTERMINATED_QUOTE", 3)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FILE)))
    feed = survey("-")
    assert (feed.name, feed.rows) == ("stdin", 1)
    assert read(feed) == read(feed) == FILE.rstrip()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    for place, code in {
        tmp_path: "NOT_A_FILE",
        tmp_path / "fifo.csv": "NOT_A_FILE",
        Path("/dev/zero"): "NOT_A_FILE",
        tmp_path / "gone.csv": "NOT_FOUND",
        tmp_path / "dangling.csv": "NOT_FOUND",
        tmp_path / "a\0b": "NOT_FOUND",
        tmp_path / ("x" * 300): "UNREADABLE",
    }.items():
        with pytest.raises(BadFileError) as caught:
            survey(place)
        assert caught.value.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_an_unreadable_file_is_refused(path: Path) -> None:
    path.touch(0o000)
    with pytest.raises(BadFileError, match="UNREADABLE: Permission denied"):
        survey(path)


def test_a_strange_file_name_stays_on_one_line(tmp_path: Path) -> None:
    error = refusal(tmp_path / "a\n\x1b[31m\udcff.csv", b"")
    assert error.file == r"a\n\x1b[31m\udcff.csv"


def test_files_are_found_oldest_name_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "b/2.csv",
        "b/1.CSV",
        "b/3.csv.gz",
        "b/notes.txt",
        "b/.4.csv",
        "b/5.tsv.zst",
        "a/9.csv",
        "a/[0].csv",
        "empty/x.txt",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("b/dir.csv").mkdir()
    assert find_files(["b"]) == ["b/1.CSV", "b/2.csv", "b/3.csv.gz", "b/5.tsv.zst"]
    assert find_files(["a/9.csv", "b/*.csv*", "b/2.csv"]) == ["b/2.csv", "b/3.csv.gz", "a/9.csv"]
    assert find_files(["a/[0].csv"]) == ["a/[0].csv"]
    assert find_files(["-"]) == ["-"]
    for missing in ("gone.csv", "*.gone", "empty", "a\0b"):
        with pytest.raises(BadFileError, match="NOT_FOUND"):
            find_files(["b", missing])


# Case 48: the file changes.


@pytest.mark.parametrize("content", [FILE + ROW, FILE[:-9], FILE.replace(b"books", b"boats"), b"\xff" * 200])
def test_a_file_that_changes_is_refused_at_the_latest_at_its_end(path: Path, content: bytes) -> None:
    path.write_bytes(FILE)
    feed = survey(path)
    path.write_bytes(content)
    with pytest.raises(BadFileError, match="FILE_CHANGED"):
        read(feed)


def test_a_refusal_by_copy_is_explained(path: Path) -> None:
    path.write_bytes(FILE)
    feed = survey(path)
    assert feed.explain(2).code == "NOT_CSV"
    path.write_bytes(FILE + FILE)
    assert feed.explain(2).code == "FILE_CHANGED"
    path.write_bytes(FILE + b"1,2\n")
    assert feed.explain(3).code == "COLUMN_COUNT"


def test_progress_adds_up_to_the_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CHUNK", 16)
    path.write_bytes(FILE + b"\n\n")
    feed = survey(path)
    seen: list[int] = []
    with feed.open(seen.append) as stream:
        assert stream.read() == FILE.rstrip()
        assert stream.read() == b""
    assert sum(seen) == feed.size


# Properties.

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
NASTY_TEXT = st.text(st.sampled_from('"\r\n,;\\. é€x'), max_size=6)
PLAIN_TEXT = st.text(st.sampled_from('",;\\. é€x\t'), max_size=6)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feed") / "orders.csv"


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes, list[list[str]]]:
    """A delimiter, a file, and what is in it."""
    delimiter = draw(st.sampled_from(",;\t|"))
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    # Python's writer leaves a CR unquoted where it need not quote all fields and lines end in LF.
    quoting: Literal[0, 1] = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    cell = PLAIN_TEXT if quoting == csv.QUOTE_MINIMAL else ANY_TEXT | NASTY_TEXT
    names = draw(st.permutations([*REQUIRED_COLUMNS, "note"]))
    rows = draw(st.lists(st.lists(cell, min_size=len(names), max_size=len(names)), max_size=6))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows([names, *rows])
    content = out.getvalue().removesuffix(line_end) + line_end * draw(st.integers(0, 3))
    return delimiter, content.encode(), [list(names), *rows]


def parsed(text: bytes, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter, strict=True))


@given(tables())
def test_every_table_survives(scratch: Path, table: tuple[str, bytes, list[list[str]]]) -> None:
    delimiter, content, rows = table
    scratch.write_bytes(content)
    feed = survey(scratch, Feed(delimiter=delimiter))
    assert feed.rows == len(rows) - 1
    assert parsed(read(feed, 5), delimiter) == rows


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    delimiter, content, _ = draw(tables())
    for _ in range(draw(st.integers(0, 3))):
        at, other = draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))
        # Faults past the header are the interesting ones.
        at = max(at, content.find(b"status") + 20) if draw(st.booleans()) else at
        splice = st.sampled_from(
            [b'"', b"\n", b"\r", b"\r\n", b",", b"\0", b"\xff", b"\n\\.\n", b'"\n', b"\n\n"]
        )
        inserted = draw(st.one_of(splice, st.just(content[other : other + 9]), st.binary(max_size=1)))
        content = content[:at] + inserted + content[at + draw(st.sampled_from([0, 0, 1, 9, 10**6])) :]
    return delimiter, content


def outcomes(path: Path, feed: Feed, sizes: tuple[int, ...]) -> Iterator[SurveyedFile | str]:
    for size in sizes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "CHUNK", size)
            try:
                yield survey(path, feed)
            except BadFileError as error:
                yield str(error)


@example((",", b'"\n' + b'","'.join(name.encode() for name in REQUIRED_COLUMNS) + b'"'), 1, 10**6)
@given(mutations(), st.integers(1, 64), st.sampled_from([100, 10**6]))
def test_a_damaged_file_is_refused_or_read_alike_in_chunks_of_any_size(
    scratch: Path, mutation: tuple[str, bytes], chunk: int, max_line: int
) -> None:
    delimiter, content = mutation
    scratch.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "MAX_LINE", max_line)
        outcome, *others = outcomes(scratch, Feed(delimiter=delimiter), (max_line, 1, chunk))
    if isinstance(outcome, SurveyedFile):
        assert len(parsed(read(outcome), delimiter)) == outcome.rows + 1
    for other in others:
        if isinstance(outcome, SurveyedFile) and isinstance(other, SurveyedFile):
            assert (outcome.rows, outcome.text_size, outcome.sha256) == (
                other.rows,
                other.text_size,
                other.sha256,
            )
        else:
            assert _fault(outcome) == _fault(other)


def _fault(outcome: SurveyedFile | str) -> SurveyedFile | str:
    """A refusal; of a record beyond the limit, how much of it was seen decides which of two it is."""
    if isinstance(outcome, str) and ("LINE_TOO_LONG" in outcome or "UNTERMINATED_QUOTE" in outcome):
        return outcome.split(": ")[0]
    return outcome
