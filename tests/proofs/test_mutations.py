"""Nothing lost, bad input: a damaged file is refused with its place and code, or every row of it is found."""

import csv
import gzip
import io
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Connection, func, literal, select, union_all

import minidw
from minidw import BadFileError, Format, OrderDelivered, OrderRejected, Settings
from minidw.feed import scan
from minidw.feed.survey import survey
from minidw.schema import Base
from minidw.schema.vocabulary import FEED_COLUMNS, RAW_COLUMNS, REQUIRED_COLUMNS
from tests.support.texts import malformed, read

Row = dict[str, str]

ANYTHING = Settings(max_reject_ratio=Decimal(1))
REFUSAL = re.compile(r"orders\.csv(\.gz)?(:[1-9]\d*)?: [A-Z_0-9]+: \S[^\r\n]*")
OUR_OWN_FAULT = re.compile("ROW_COUNT|FILE_CHANGED|cannot be read as CSV|PostgreSQL does not read")
LONGEST = 5.0  # seconds for one file

VALUES = ["", " ", "NaN", "-1", "1e400", "9" * 400, "now", "infinity", "2024-02-30", "x" * 300, "\\.", "\\N",
          "é", "e\u0301", "\u202e", "\u00a0", "\U0001f600", "a\nb", 'a"b', "a,b", "a\r\nb", "=cmd()", "%s :x",
          "'; DROP TABLE raw.batches; --", "{}", "price", "\ufeff", "\x1f", "\x7f", "10000000000", "+5",
          "2024-05-01T23:30:00-05:00", "CANCELLED", "shipped"]  # fmt: skip
TOKENS = [b'"', b'""', b",", b";", b"\n", b"\r", b"\r\n", b"\0", b"\\.", b"\n\\.\n", b"\xef\xbb\xbf", b"\xe9",
          b"\xff", b"\xed\xa0\x80", b"\n\n", b"\n \n", b'"\n', b',"', b"\t", b"\x1a", b"\\"]  # fmt: skip
REPLACED = [(b",", b";"), (b";", b","), (b"\n", b"\r\n"), (b"\n", b"\r"), (b"\r", b""), (b"\n", b"\n\n"),
            (b"\n", b""), (b'"', b""), (b'"', b"'"), (b'"', b'""'), (b"ship", b'sh"i"p'),
            (b"book", b'"bo"ok'), (b"2024", b'"2024" '), (b" ", b"\xa0"), (b"e", b"\xe9"),
            (b"_", b" "), (b"1", b"2")]  # fmt: skip


def table(rng: random.Random) -> list[list[str]]:
    """A header and thirty sound rows, of which a few say the same order line again."""
    others = rng.choice([[], ["line_number"], ["note"], ["line_number", "Größe", "x\ny"]])
    names = [*REQUIRED_COLUMNS, *others]
    rng.shuffle(names)
    rows = [
        {
            "order_id": f"A{rng.randrange(40)}",
            "order_timestamp": f"2024-0{rng.randint(1, 9)}-1{rng.randint(0, 9)} 10:00:00",
            "customer_id": rng.choice(["ada", "Zoë", "Łukasz", "李"]),
            "product_id": f"p{rng.randrange(9)}",
            "category": rng.choice(["books", "jeux, été", 'say "toys"', ""]),
            "price": f"{rng.randint(1, 99999) / 100:.2f}",
            "quantity": str(rng.randint(1, 9)),
            "status": rng.choice(["pending", "shipped", " Delivered", "cancelled"]),
            "line_number": rng.choice(["", "1", "2"]),
        }
        for _ in range(30)
    ]
    filler = ["", "two\nlines", "é", "x"]
    return [names, *([row.get(name, rng.choice(filler)) for name in names] for row in rows)]


def damaged_table(rng: random.Random) -> list[list[str]]:
    """A table in which some values are not what they should be, or a row is too short or long, or twice."""
    rows = table(rng)
    for _ in range(rng.choice([0, 1, 5])):
        row = rng.choice(rows[1:])
        row[rng.randrange(len(row))] = rng.choice(VALUES)
    match rng.randrange(30):
        case 0:
            rng.choice(rows).append(rng.choice(VALUES))
        case 1:
            rng.choice(rows).pop()
        case 2:
            rows.insert(rng.randrange(len(rows)), rows[0])
        case 3:
            rows[0][rng.randrange(len(rows[0]))] = rng.choice([*VALUES, *FEED_COLUMNS, " PRICE\t"])
        case 4:
            rng.choice(rows)[0] = rng.choice("x\n") * rng.choice([70_000, 140_000, 1_200_000])
        case 5:
            del rows[0]
    return rows


def written(rng: random.Random, rows: list[list[str]], delimiter: str) -> str:
    """The table as CSV, quoted in one way or another."""
    out = io.StringIO()
    quoting: Literal[0, 1, 2] = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    newline = rng.choice(["\n", "\n", "\r\n", "\r"])
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=newline).writerows(rows)
    return out.getvalue().removesuffix(newline) + newline * rng.choice([0, 1, 1, 3])


def flip(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """One bit the other way."""
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def cut(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """A byte, a block or the rest is gone."""
    return content[:at] + content[rng.choice([at + 1, to, len(content)]) :]


def insert(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """Something that means something to a CSV, a block of the file itself, or noise."""
    return content[:at] + rng.choice([*TOKENS, content[at:to], rng.randbytes(3)]) + content[at:]


def swap(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """The parts before and after a block change places."""
    return content[to:] + content[at:to] + content[:at]


def substitute(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """One sequence of bytes for another, once or throughout."""
    old, new = rng.choice(REPLACED)
    return content.replace(old, new, rng.choice([1, 3, -1]))


def swap_lines(rng: random.Random, content: bytes, at: int, to: int) -> bytes:
    """A line is there twice instead of another, and perhaps all are in another order."""
    lines = content.splitlines(keepends=True)
    lines[rng.randrange(len(lines))] = rng.choice(lines)
    if rng.random() < 0.2:
        rng.shuffle(lines)
    return b"".join(lines)


MUTATIONS = [flip, cut, insert, swap, substitute, swap_lines]


def mutant(seed: int, directory: Path) -> tuple[Path, bytes, Format]:
    """A file, the bytes of the CSV in it, and how it is said to be read."""
    rng = random.Random(seed)
    delimiter = rng.choice(",,,,;\t|")
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "latin-1", "cp1252", "utf-16", "gb18030"])
    content = written(rng, damaged_table(rng), delimiter).encode(encoding, "replace")
    for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 1, 2, 4])):
        at, to = sorted(rng.choices(range(len(content) or 1), k=2))
        content = rng.choice(MUTATIONS)(rng, content or b"x", at, min(to, at + rng.choice([9, 99, 10**9])))
    said = Format(
        delimiter=delimiter if rng.random() < 0.95 else ";",
        encoding=encoding if rng.random() < 0.8 else "utf-8",
    )
    path = directory / "orders.csv"
    if rng.random() < 0.05:
        path = directory / "orders.csv.gz"
        packed = gzip.compress(content)
        broken = flip(rng, packed, rng.randrange(len(packed)), 0) if rng.random() < 0.5 else packed
        path.write_bytes(broken)
        return path, content, said
    path.write_bytes(content)
    return path, content, said


def expected(content: bytes, format: Format) -> list[Row]:
    """The rows that Python's reader finds. To minidw, blank last lines are none; empty is missing."""
    text = content.decode(format.encoding).removeprefix("\ufeff").rstrip("\r\n")
    names, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=format.delimiter, strict=True)
    names = told_apart([name.strip() for name in names])
    return [present(dict(zip(map(our_name, names), values, strict=True))) for values in rows]


def told_apart(names: list[str]) -> list[str]:
    """Every name once: one that was there before gets a number, and one that is blank its place."""
    told: list[str] = []
    for place, name in enumerate(names, 1):
        name = name or f"column {place}"
        others = (f"{name}.{number}" for number in itertools.count(2))
        told.append(name if name not in told else next(other for other in others if other not in told))
    return told


def our_name(name: str) -> str:
    """What a column is called in raw."""
    return name.lower() if name.lower() in FEED_COLUMNS else name


def present(row: Row) -> Row:
    """The values that are not missing."""
    return {name: value for name, value in row.items() if value}


def delivered(conn: Connection, batch_id: int) -> list[Row]:
    """The rows of a batch in raw, in the order of the file."""
    columns = [getattr(OrderDelivered, name) for name in RAW_COLUMNS]
    query = select(*columns).where(OrderDelivered.batch_id == batch_id).order_by(OrderDelivered.source_row)
    rows = [dict(row) for row in conn.execute(query).mappings()]
    return [present((row.pop("extra") or {}) | row) for row in rows]


def counts(conn: Connection) -> dict[str, int]:
    """The number of rows of every table."""
    tables = [
        select(literal(table.fullname), func.count()).select_from(table)
        for table in Base.metadata.sorted_tables
    ]
    return dict(conn.execute(union_all(*tables)).all())


def check_loaded(conn: Connection, result: minidw.Result, content: bytes, format: Format) -> None:
    """Every row of the file has one fate and is in raw as it was delivered."""
    (staged,) = result.staged
    rows = expected(content, format)
    fates = staged.inserted + staged.updated + staged.unchanged + staged.superseded + staged.rejected
    assert len(rows) == fates == staged.rows_read
    assert delivered(conn, staged.batch_id) == rows
    rejected = select(func.count()).where(OrderRejected.batch_id == staged.batch_id)
    assert conn.scalar(rejected) == staged.rejected


def check_refused(error: BadFileError, after: dict[str, int], before: dict[str, int]) -> None:
    """The message says where and why, the fault is not ours, and nothing is stored."""
    assert REFUSAL.fullmatch(str(error))
    assert not OUR_OWN_FAULT.search(str(error))
    assert after == before


def prove(conn: Connection, directory: Path, seeds: range) -> Counter[str]:
    """Run a file per seed, each from the same state; returns how many were loaded, and refused by code."""
    before = counts(conn)
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        path, content, format = mutant(seed, directory)
        print(f"{seed=}")
        start = time.perf_counter()
        with conn.begin_nested() as savepoint:
            try:
                result = minidw.run(path, conn, format=format, settings=ANYTHING)
            except BadFileError as error:
                check_refused(error, counts(conn), before)
                outcomes[error.code] += 1
            else:
                check_loaded(conn, result, content, format)
                outcomes["loaded"] += 1
            savepoint.rollback()
        assert time.perf_counter() - start < LONGEST
    return outcomes


@pytest.fixture(autouse=True)
def _long_fields() -> Iterator[None]:
    """Given a reader that takes fields as long as minidw does."""
    limit = csv.field_size_limit(scan.MAX_LINE)
    yield
    csv.field_size_limit(limit)


@pytest.fixture(params=["empty", "filled"])
def warehouse_state(request: pytest.FixtureRequest, conn: Connection, tmp_path: Path) -> str:
    """Given a warehouse without rows, or with those of a sound feed."""
    if request.param == "filled":
        path = tmp_path / "sound.csv"
        path.write_text(written(random.Random(0), table(random.Random(0)), ","), newline="")
        minidw.run(path, conn)
    return str(request.param)


@pytest.mark.timeout(60)
def test_a_damaged_file_is_refused_or_every_row_of_it_is_found(
    conn: Connection, tmp_path: Path, warehouse_state: str
) -> None:
    seeds = range(75) if warehouse_state == "empty" else range(75, 150)
    outcomes = prove(conn, tmp_path, seeds)
    assert outcomes["loaded"] > 20
    assert len(outcomes) > 5


def salvage(directory: Path, seeds: range) -> int:
    """Survey a file per seed without its malformed lines; returns how many had any and some row."""
    salvaged = 0
    for seed in seeds:
        print(f"{seed=}")
        path, _, format = mutant(seed, directory)
        try:
            feed = survey(path, replace(format, skip_malformed=True))
        except BadFileError as error:
            check_refused(error, {}, {})
            continue
        (directory / "kept.csv").write_bytes(read(feed))
        assert len(malformed(feed)) == feed.malformed
        assert survey(directory / "kept.csv", replace(format, encoding="utf-8")).rows == feed.rows
        salvaged += bool(feed.rows and feed.malformed)
    return salvaged


@pytest.mark.timeout(60)
def test_what_is_salvaged_of_a_damaged_file_is_sound(tmp_path: Path) -> None:
    assert salvage(tmp_path, range(150)) > 20


@pytest.mark.slow
@pytest.mark.timeout(250)
def test_what_is_salvaged_of_three_thousand_damaged_files_is_sound(tmp_path: Path) -> None:
    assert salvage(tmp_path, range(1_000_000, 1_003_000)) > 600


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("block", range(20))
def test_ten_thousand_damaged_files(
    conn: Connection, tmp_path: Path, warehouse_state: str, block: int
) -> None:
    first = 1_000_000 + 500 * block + (250 if warehouse_state == "filled" else 0)
    print(prove(conn, tmp_path, range(first, first + 250)))
