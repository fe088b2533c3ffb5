"""Texts of CSV files, sound and untidy, and what a feed makes of them."""

import csv
import io

from minidw.feed.survey import SurveyedFile

HEADER = b"order_id,order_timestamp,customer_id,product_id,category,price,quantity,status"
ROW = b"1,2024-05-01,c1,p1,books,9.50,2,shipped"
FILE = HEADER + b"\n" + ROW + b"\n"
CRLF = FILE.replace(b"\n", b"\r\n")


def row(order_id: bytes, end: bytes = b"\n") -> bytes:
    """A sound row but for its first column."""
    return order_id + ROW[1:] + end


def read(feed: SurveyedFile, size: int = 4096) -> bytes:
    with feed.open() as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


ACCEPTED = [
    # case of docs/bad-input.md, file, rows
    ("4 a byte order mark", b"\xef\xbb\xbf" + FILE, 1),
    ("7 \\. in quotes, \\N", FILE + row(b'"\n\\.\n"') + row(b"\\N") + row(b"\\.") + row(b'"\\."'), 5),
    ("11 blank last lines", FILE + b"\n\n\n", 1),
    ("11 no final newline", FILE + ROW, 2),
    ("11 CRLF", CRLF + b"\r\n", 1),
    ("11 CR", FILE.replace(b"\n", b"\r") + row(b"2", b"\r"), 2),
    ("13 any newline in quotes", FILE + row(b'"\r\n\n\r"') + row(b'"\n"'), 3),
    ("13 also in the header", HEADER + b',"a\r\nb"\n' + ROW + b",x\n", 1),
    ("15 header only", HEADER, 0),
    ("16 another order", b",".join(HEADER.split(b",")[::-1]) + b"\n" + ROW, 1),
    ("17 case and spaces", HEADER.upper().replace(b",", b" ,\t") + b"\n" + ROW, 1),
    ("21 a field over 1 MB", FILE + row(b"x" * 2_000_000) + row(b'"' + b"\n" * 2_000_000 + b'"'), 3),
    ("22 empty and quoted empty", HEADER + b'\n,,,,,,,\n"","","","","","","",""\n', 2),
    ("quotes in quotes", FILE + row(b'""""') + row(b'"a"""') + row(b'"""a"') + row(b'"a""b"",""c"'), 5),
    ("extra columns", HEADER + b",line_number,note\n" + ROW + b",1,hello\n", 1),
]


def malformed(feed: SurveyedFile) -> list[tuple[int, str, str]]:
    """The lines set aside: number, code, text."""
    with feed.open_malformed() as file:
        lines = csv.reader(io.StringIO(file.read().decode(), newline=""), strict=True)
        return [(int(line), code, text) for line, code, text in lines]
