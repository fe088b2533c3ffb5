"""The files of the catalogue of bad input, docs/bad-input.md, and what a run makes of each."""

import csv
import gzip
import io
from datetime import datetime
from decimal import Decimal
from typing import Any

from minidw.feed import scan
from tests.support.feeds import DEFAULTS
from tests.support.texts import CRLF, FILE, HEADER, ROW, row

Outcome = dict[str, Any]


def refused(code: str, line: int | None = 3, says: str = "") -> Outcome:
    """F: the file is refused, at this line (of the files below, the third is the first after FILE)."""
    return {"code": code, "line": line, "says": says}


def rejected(*reasons: str) -> Outcome:
    """R: the last row is rejected for exactly these reasons."""
    return {"reasons": list(reasons), "rejected": 1}


def accepted(**values: Any) -> Outcome:
    """A: no row is rejected; counts of the result, and values of the last order line."""
    return {"rejected": 0, **values}


def one(**values: str) -> bytes:
    """A file of one row that differs from a sound one in these values."""
    return many(values)


def many(*rows: dict[str, str]) -> bytes:
    """A file of rows that differ from a sound one in these values."""
    out = io.StringIO()
    writer = csv.DictWriter(out, DEFAULTS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(DEFAULTS | values for values in rows)
    return out.getvalue().encode()


def prices(*prices: str) -> list[bytes]:
    return [one(price=price) for price in prices]


def times(*times: str) -> list[bytes]:
    return [one(order_timestamp=time) for time in times]


NFC, NFD = "caf\u00e9", "cafe\u0301"
JAN_5 = datetime(2024, 1, 5)

CASES: dict[str, tuple[Outcome, list[bytes]]] = {
    "01-nul": (refused("NUL_BYTE"), [FILE + row(b"a\0b"), FILE + row(b'"\0"')]),
    "02-encoding": (
        refused("ENCODING", says="--encoding"),
        [FILE + row(b"\xff"), FILE + row(b"caf\xe9"), FILE + row(b"\xed\xa0\x80")],
    ),
    "03-another-format": (
        refused("NOT_CSV", None, "looks like"),
        [FILE.decode().encode("utf-16"), FILE.decode().encode("utf-16-le"), gzip.compress(FILE),
         b"PK\x03\x04"],
    ),
    "04-byte-order-mark": (accepted(order_id="1", inserted=1), [b"\xef\xbb\xbf" + FILE]),
    "05-stray-quote": (refused("STRAY_QUOTE"), [FILE + row(b'ab"c'), FILE + row(b'"ab"x')]),
    "06-end-marker": (refused("END_MARKER"), [FILE + b"\\.\n" + row(b"2"), FILE + b"\\."]),
    "07-end-marker-in-quotes": (accepted(order_id="\\."), [FILE + row(b'"\\."'), FILE + row(b'"\n\\.\n"')]),
    "07-backslash-n": (accepted(order_id="\\N"), [FILE + row(b"\\N")]),
    "08-open-quote": (refused("UNTERMINATED_QUOTE"), [FILE + row(b'"a') + row(b"2") * 9, FILE + row(b'"a')]),
    "09-columns": (refused("COLUMN_COUNT"), [FILE + ROW + b",x\n", FILE + b"1,2\n", FILE + ROW + b","]),
    "09-cut-off": (refused("TRUNCATED"), [FILE + ROW[:20]]),
    "10-blank-line": (refused("BLANK_LINE"), [FILE + b"\n" + row(b"2"), FILE + b" \t\n" + row(b"2")]),
    "11-ends": (
        accepted(order_id="2", inserted=2),
        [FILE + row(b"2") + b"\n\n", FILE + row(b"2", b""), CRLF + row(b"2", b"\r\n"),
         (FILE + row(b"2")).replace(b"\n", b"\r")],
    ),
    "12-mixed-line-ends": (
        refused("MIXED_EOL"),
        [FILE + row(b"2", b"\r\n"), CRLF + row(b"2"), FILE + row(b"a\rb")],
    ),
    "13-newline-in-quotes": (accepted(order_id="a\nb", rows_read=2), [FILE + row(b'"a\nb"')]),
    "13-lines-are-physical": (refused("COLUMN_COUNT", 5), [FILE + row(b'"a\nb"') + b"1,2\n"]),
    "14-nothing": (refused("EMPTY_FILE", None), [b"", b"\n\n", b"\xef\xbb\xbf"]),
    "15-header-only": (accepted(rows_read=0, warnings=["raw_has_rows"]), [HEADER, HEADER + b"\n"]),
    "16-another-order": (
        accepted(order_id="1", status="shipped", quantity=2),
        [b",".join(HEADER.split(b",")[::-1]) + b"\n" + b",".join(ROW.split(b",")[::-1])],
    ),
    "17-case-and-spaces": (
        accepted(order_id="1"),
        [HEADER.upper() + b"\n" + ROW, HEADER.replace(b",", b" ,\t") + b"\n" + ROW],
    ),
    "18-header": (
        refused("HEADER", 1),
        [FILE.replace(b",status", b",price"), FILE.replace(b",status", b""), ROW + b"\n" + ROW],
    ),
    "18-column-twice": (refused("HEADER", 1, "twice: price, Price"), [HEADER + b",Price\n" + ROW + b",1\n"]),
    "19-repeated-header": (rejected("REPEATED_HEADER"), [FILE + HEADER]),
    "20-delimiter": (
        refused("HEADER", 1, "the delimiter looks like"),
        [FILE.replace(b",", b";"), FILE.replace(b",", b"\t")],
    ),
    "21-long-field": (
        rejected("FIELD_TOO_LONG"),
        [one(category="x" * 1_048_577), one(order_id="x" * 256), one(category="x\n" * 600_000)],
    ),
    "21-line-without-end": (refused("LINE_TOO_LONG"), [FILE + b"x" * (scan.MAX_LINE + 1)]),
    "22-missing-value": (accepted(category="unknown"), [one(category=""), one().replace(b"books", b'""')]),
    "23-missing-key": (
        rejected("MISSING_KEY"),
        [one(order_id=""), one(customer_id=" "), one(product_id="\t"), one().replace(b"p1", b'""')],
    ),
    "24-blanks-around-a-key": (
        accepted(customer_id="c1"),
        [one(customer_id=" c1"), one(customer_id="\tc1 \t")],
    ),
    "25-invisible-character": (
        rejected("INVISIBLE_CHARACTER"),
        [one(order_id="a\u00a0b"), one(customer_id="c\u200b1"), one(product_id="\u202ep1")],
    ),
    "26-composed-and-decomposed": (
        accepted(order_id=NFC, inserted=1, superseded=1),
        [many({"order_id": NFC}, {"order_id": NFD}), many({"order_id": NFD}, {"order_id": NFC})],
    ),
    "27-status-case": (accepted(status="shipped"), [one(status=" SHIPPED\t")]),
    "27-category-case": (accepted(category="ÉtÉ"), [one(category=" ÉTÉ ")]),
    "28-unknown-status": (
        rejected("UNKNOWN_STATUS"),
        [one(status="paid"), one(status=""), one(status="DELİVERED")],
    ),
    "29-duplicates": (
        accepted(inserted=1, superseded=1, price=Decimal("7")),
        [many({"price": "7"}, {"price": "7"}), many({"price": "9"}, {"price": "7"})],
    ),
    "31-nan": (rejected("NOT_FINITE"), prices("NaN", "nan", "-NaN")),
    "32-infinity": (rejected("NOT_FINITE"), prices("Infinity", "-Infinity", "+inf")),
    "32-out-of-range": (rejected("OUT_OF_RANGE"), prices("10000000000", "9" * 400)),
    "32-out-of-range-power": (rejected("BAD_NUMBER", "OUT_OF_RANGE"), prices("1e400")),
    "33-decimals": (rejected("TOO_MANY_DECIMALS"), prices("12.34567", "0.00001")),
    "33-zeros": (accepted(price=Decimal(20)), prices("20.000000", "20.00000000000")),
    "34-bad-number": (
        rejected("BAD_NUMBER"),
        prices("1e3", "0x1F", "0b11", "1_000", ".5", "5.", "1,234.50", "1.234,50", "$12", "١٢", "", "x"),
    ),
    "35-plus": (accepted(price=Decimal(5)), prices("+5", "5", "5.0000")),
    "35-minus-zero": (rejected("NOT_POSITIVE"), prices("-0")),
    "36-not-positive": (
        rejected("NOT_POSITIVE"),
        [*prices("0", "0.00", "-1"), one(quantity="0"), one(quantity="-3")],
    ),
    "37-quantity": (rejected("BAD_NUMBER"), [one(quantity="1.5"), one(quantity="1e3")]),
    "37-quantity-whole": (accepted(quantity=1), [one(quantity="1.0"), one(quantity="1.0000")]),
    "37-quantity-range": (rejected("OUT_OF_RANGE"), [one(quantity="2147483648")]),
    "38-no-such-day": (
        rejected("BAD_TIMESTAMP"),
        times("2024-02-30", "2024-00-10", "0000-01-01", "2023-02-29 10:00:00"),
    ),
    "39-day-or-month-first": (rejected("BAD_TIMESTAMP"), times("01/02/2024", "2024/01/02")),
    "40-not-iso": (
        rejected("BAD_TIMESTAMP"),
        times("24-01-05", "20240105", "J2451187", "Jan 5 2024", "1704448800"),
    ),
    "41-words": (rejected("BAD_TIMESTAMP"), times("now", "today", "epoch", "yesterday", "")),
    "42-far-away": (
        rejected("BAD_TIMESTAMP"),
        times("infinity", "-infinity", "2024-01-05 BC", "10000-01-05", "2024-01-05 10:00:00 BC"),
    ),
    "43-offset": (
        accepted(order_timestamp=JAN_5),
        times("2024-01-05T05:00:00+05:00", "2024-01-04T20:30-03:30", "2024-01-05 00:00:00Z"),
    ),
    "44-no-offset": (
        accepted(order_timestamp=JAN_5),
        times("2024-01-05", "2024-01-05 00:00", "2024-01-05T00:00:00"),
    ),
    "43-offset-after-a-blank": (
        accepted(order_timestamp=JAN_5),
        times("2024-01-04 19:00:00 -0500", "2024-01-05 00:00:00 UTC", "2024-01-05 00:00:00.000000000 Z"),
    ),
    "45-time": (
        rejected("BAD_TIMESTAMP"),
        times("2024-01-05T00:00:00+16:00", "2024-01-05T00:00:00 XST", "2024-01-05 24:00:00",
              "2024-01-05 23:59:60", "2024-01-05 10:00:00.1234567"),
    ),
    "46-range": (
        rejected("OUT_OF_RANGE_DATE"),
        times("1999-12-31 23:59:59", "2999-01-01", "2000-01-01T04:59:59+05:00"),
    ),
    "47-inert-command": (accepted(product_id="=cmd()"), [one(product_id="=cmd()")]),
    "47-inert-sql": (
        accepted(customer_id="'; DROP TABLE raw.batches; --"),
        [one(customer_id="'; DROP TABLE raw.batches; --")],
    ),
    "47-inert-parameters": (accepted(customer_id="%s :x %(y)s"), [one(customer_id="%s :x %(y)s")]),
}  # fmt: skip
