"""Files damaged at random: a sound table, its values and its bytes spoiled, so that a seed names a file."""

import csv
import gzip
import io
import random
from pathlib import Path
from typing import Literal

from minidw import Feed
from minidw.schema.vocabulary import FEED_COLUMNS, REQUIRED_COLUMNS

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


def mutant(seed: int, directory: Path) -> tuple[Path, bytes, Feed]:
    """A file, the bytes of the CSV in it, and how it is said to be read."""
    rng = random.Random(seed)
    delimiter = rng.choice(",,,,;\t|")
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "latin-1", "cp1252", "utf-16", "gb18030"])
    content = written(rng, damaged_table(rng), delimiter).encode(encoding, "replace")
    for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 1, 2, 4])):
        at, to = sorted(rng.choices(range(len(content) or 1), k=2))
        content = rng.choice(MUTATIONS)(rng, content or b"x", at, min(to, at + rng.choice([9, 99, 10**9])))
    said = Feed(
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
