"""What a delivered row must meet: each case a delivered value and what becomes of it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from minidw.schema import Batch, OrderDelivered
from minidw.settings import Settings
from minidw.transforms.judge import judged
from minidw.transforms.parse import Scope
from tests.support.feeds import DEFAULTS

LOADED = date(2025, 12, 30)


def judge(conn: Connection, settings: Settings | None = None, /, **delivered: str | None) -> Any:
    """The judged row of a feed that differs from the defaults in the given columns."""
    deliver(conn, **delivered)
    rules = (settings or Settings()).rules
    return conn.execute(judged(Scope.BATCH), {"batch_id": 1, **rules}).one()


def deliver(conn: Connection, **delivered: str | None) -> None:
    """A batch of one row."""
    conn.execute(
        insert(Batch).values(
            batch_id=1, file_name="f", sha256="s", file_bytes=1, load_date=LOADED, rows_read=1,
            header={name: name for name in DEFAULTS},
        )
    )  # fmt: skip
    row = DEFAULTS | delivered
    conn.execute(insert(OrderDelivered).values(batch_id=1, source_row=1, load_date=LOADED, **row))


@pytest.mark.parametrize(
    ("delivered", "reasons"),
    [
        ({"order_id": ""}, ["MISSING_KEY"]),
        ({"customer_id": None}, ["MISSING_KEY"]),
        ({"product_id": " \t"}, ["MISSING_KEY"]),
        ({"order_id": "A\u00a01"}, ["INVISIBLE_CHARACTER"]),
        ({"order_id": "\u00a0"}, ["INVISIBLE_CHARACTER"]),
        ({"customer_id": "c\u200b1"}, ["INVISIBLE_CHARACTER"]),
        ({"product_id": "\u202ep1"}, ["INVISIBLE_CHARACTER"]),
        ({"order_id": "x" * 256}, ["FIELD_TOO_LONG"]),
        ({"price": "1" * 1_048_577}, ["FIELD_TOO_LONG", "OUT_OF_RANGE"]),
        ({"price": "NaN"}, ["NOT_FINITE"]),
        ({"price": "Infinity"}, ["NOT_FINITE"]),
        ({"price": "-inf"}, ["NOT_FINITE"]),
        ({"price": "1e400"}, ["BAD_NUMBER", "OUT_OF_RANGE"]),
        ({"price": "10000000000"}, ["OUT_OF_RANGE"]),
        ({"price": "9" * 50}, ["OUT_OF_RANGE"]),
        ({"price": "12.34567"}, ["TOO_MANY_DECIMALS"]),
        ({"price": "1e3"}, ["BAD_NUMBER"]),
        ({"price": "1E3"}, ["BAD_NUMBER"]),
        ({"price": "9e99999"}, ["BAD_NUMBER", "OUT_OF_RANGE"]),
        ({"price": "0x1F"}, ["BAD_NUMBER"]),
        ({"price": "0b11"}, ["BAD_NUMBER"]),
        ({"price": "1_000"}, ["BAD_NUMBER"]),
        ({"price": ".5"}, ["BAD_NUMBER"]),
        ({"price": "5."}, ["BAD_NUMBER"]),
        ({"price": "."}, ["BAD_NUMBER"]),
        ({"price": "+"}, ["BAD_NUMBER"]),
        ({"price": "+-5"}, ["BAD_NUMBER"]),
        ({"price": "5-"}, ["BAD_NUMBER"]),
        ({"price": "-.5"}, ["BAD_NUMBER"]),
        ({"price": "1.2.3"}, ["BAD_NUMBER"]),
        ({"price": "1,234.50"}, ["BAD_NUMBER"]),
        ({"price": "1.234,50"}, ["BAD_NUMBER"]),
        ({"price": "$12"}, ["BAD_NUMBER"]),
        ({"price": "1 2"}, ["BAD_NUMBER"]),
        ({"price": "١٢"}, ["BAD_NUMBER"]),
        ({"price": ""}, ["BAD_NUMBER"]),
        ({"price": "-0"}, ["NOT_POSITIVE"]),
        ({"price": "0.00"}, ["NOT_POSITIVE"]),
        ({"price": "-3.50"}, ["NOT_POSITIVE"]),
        ({"quantity": "0"}, ["NOT_POSITIVE"]),
        ({"quantity": "-1"}, ["NOT_POSITIVE"]),
        ({"price": "19.990000000000002"}, ["TOO_MANY_DECIMALS"]),
        ({"quantity": "1.5"}, ["BAD_NUMBER"]),
        ({"quantity": "1."}, ["BAD_NUMBER"]),
        ({"quantity": ".0"}, ["BAD_NUMBER"]),
        ({"quantity": "1..0"}, ["BAD_NUMBER"]),
        ({"quantity": "1.0.0"}, ["BAD_NUMBER"]),
        ({"quantity": "0.0"}, ["NOT_POSITIVE"]),
        ({"quantity": "1e3"}, ["BAD_NUMBER"]),
        ({"quantity": "0x1F"}, ["BAD_NUMBER"]),
        ({"quantity": "1_000"}, ["BAD_NUMBER"]),
        ({"quantity": ""}, ["BAD_NUMBER"]),
        ({"quantity": "2147483648"}, ["OUT_OF_RANGE"]),
        ({"quantity": "9" * 30}, ["OUT_OF_RANGE"]),
        ({"quantity": "9" * 30 + ".0"}, ["OUT_OF_RANGE"]),
        ({"line_number": "0"}, ["NOT_POSITIVE"]),
        ({"line_number": "x"}, ["BAD_NUMBER"]),
        ({"line_number": ".0"}, ["BAD_NUMBER"]),
        ({"line_number": "2147483648"}, ["OUT_OF_RANGE"]),
        ({"order_timestamp": "2024-02-30"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-02-30 10:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-00-10 10:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "0000-01-01 10:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "01/02/2024"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "24-01-05"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "20240105"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "J2451187"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "Jan 5 2024"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "1704448800"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "now"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "today"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "epoch"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "infinity"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00 BC"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "10000-01-05 10:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05T00:00:00+16:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05T00:00:00 XST"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 24:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05T24:00:00Z"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 23:59:60"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05T23:59:60Z"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00.1234567"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00.123456700 -0500"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00  -0500"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00 UTC Z"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 10:00:00 EST"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 UTC"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024 -01-05 10:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-01-05 1 :00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "2024-Ja-05 10:00:00"}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": ""}, ["BAD_TIMESTAMP"]),
        ({"order_timestamp": "1999-12-31 23:59:59"}, ["OUT_OF_RANGE_DATE"]),
        ({"order_timestamp": "2026-01-01"}, ["OUT_OF_RANGE_DATE"]),
        ({"order_timestamp": "2025-12-31T23:00:00-05:00"}, ["OUT_OF_RANGE_DATE"]),
        ({"status": "paid"}, ["UNKNOWN_STATUS"]),
        ({"status": ""}, ["UNKNOWN_STATUS"]),
        ({"status": "DELİVERED"}, ["UNKNOWN_STATUS"]),
        ({name: name for name in DEFAULTS}, ["REPEATED_HEADER"]),
        (
            {"order_id": "", "price": "-1", "quantity": "x", "order_timestamp": "now", "status": "?"},
            ["MISSING_KEY", "BAD_NUMBER", "NOT_POSITIVE", "BAD_TIMESTAMP", "UNKNOWN_STATUS"],
        ),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_row_that_fails_carries_every_reason(
    conn: Connection, delivered: dict[str, str | None], reasons: list[str]
) -> None:
    assert judge(conn, **delivered).reasons == reasons


@pytest.mark.parametrize(
    ("column", "delivered", "staged"),
    [
        ("order_id", "\t C536379 ", "C536379"),
        ("order_id", "x" * 255, "x" * 255),
        ("customer_id", "e\u0301", "\u00e9"),
        ("product_id", "=cmd()", "=cmd()"),
        ("product_id", "'; DROP TABLE x; --", "'; DROP TABLE x; --"),
        ("product_id", "%s :x", "%s :x"),
        ("product_id", "\\N", "\\N"),
        ("category", " Books\t", "books"),
        ("category", "", "unknown"),
        ("category", None, "unknown"),
        ("category", "ÉTÉ", "ÉtÉ"),
        ("price", "+5", Decimal(5)),
        ("price", " 12.3456 ", Decimal("12.3456")),
        ("price", "12.50 ", Decimal("12.50")),
        ("price", "0012.50", Decimal("12.50")),
        ("price", "9999999999.9999", Decimal("9999999999.9999")),
        ("price", "0.0001", Decimal("0.0001")),
        ("price", "20.000000", Decimal(20)),
        ("price", " 19.99000000000 ", Decimal("19.99")),
        ("quantity", "+5", 5),
        ("quantity", "1.0000", 1),
        ("quantity", " 10.0 ", 10),
        ("line_number", "2.0", 2),
        ("quantity", "007", 7),
        ("quantity", "7\t", 7),
        ("quantity", "2147483647", 2147483647),
        ("status", " SHIPPED ", "shipped"),
        ("status", "Canceled", "cancelled"),
        ("line_number", "3", 3),
        ("line_number", None, 1),
        ("line_number", "", 1),
        ("order_timestamp", "2024-02-29 23:59:59", datetime(2024, 2, 29, 23, 59, 59)),
        ("order_timestamp", " 2024-02-29 23:59:59 ", datetime(2024, 2, 29, 23, 59, 59)),
        ("order_timestamp", "2024-02-29T23:59:59", datetime(2024, 2, 29, 23, 59, 59)),
        ("order_timestamp", "2024-02-29", datetime(2024, 2, 29)),
        ("order_timestamp", "2024-02-29 23:59", datetime(2024, 2, 29, 23, 59)),
        ("order_timestamp", "2024-02-29T23:59:59.5", datetime(2024, 2, 29, 23, 59, 59, 500000)),
        ("order_timestamp", "2024-02-29T23:59:59.123456Z", datetime(2024, 2, 29, 23, 59, 59, 123456)),
        ("order_timestamp", "2024-01-05T00:00:00+05:00", datetime(2024, 1, 4, 19)),
        ("order_timestamp", "2024-01-05T00:00:00-0330", datetime(2024, 1, 5, 3, 30)),
        ("order_timestamp", "2024-01-05T00:00-03", datetime(2024, 1, 5, 3)),
        ("order_timestamp", "2024-01-05 10:00:00 -0500", datetime(2024, 1, 5, 15)),
        ("order_timestamp", "2024-01-05 10:00 +05:30", datetime(2024, 1, 5, 4, 30)),
        ("order_timestamp", "2024-01-05 10:00:00 UTC", datetime(2024, 1, 5, 10)),
        ("order_timestamp", "2024-01-05 10:00:00 GMT", datetime(2024, 1, 5, 10)),
        ("order_timestamp", "2024-01-05T10:00:00.5 Z", datetime(2024, 1, 5, 10, 0, 0, 500000)),
        ("order_timestamp", "2024-01-05T10:00:00.0000000Z", datetime(2024, 1, 5, 10)),
        ("order_timestamp", "2024-01-05T10:00:00.12 +0500", datetime(2024, 1, 5, 5, 0, 0, 120000)),
        ("order_timestamp", "2024-01-05 10:00:00.123456000", datetime(2024, 1, 5, 10, 0, 0, 123456)),
        ("order_timestamp", "2024-01-05 10:00:00.123456000 -05", datetime(2024, 1, 5, 15, 0, 0, 123456)),
        ("order_timestamp", "2026-01-01T02:00:00+05:00", datetime(2025, 12, 31, 21)),
        ("order_timestamp", "2000-01-01", datetime(2000, 1, 1)),
        ("order_timestamp", "2025-12-31 23:59:59", datetime(2025, 12, 31, 23, 59, 59)),
    ],
    ids=ascii,
)
def test_a_row_that_passes_is_cleaned(
    conn: Connection, column: str, delivered: str | None, staged: object
) -> None:
    row = judge(conn, **{column: delivered})
    assert (row.reasons, getattr(row, column)) == (None, staged)


@pytest.mark.parametrize(
    ("first", "last", "time", "in_range"),
    [
        # Loaded on 2025-12-30: by default until the end of the day after.
        (None, None, "1999-12-31 23:59:59.999999", False),
        (None, None, "2000-01-01", True),
        (None, None, "2025-12-31 23:59:59.999999", True),
        (None, None, "2026-01-01", False),
        (None, None, "2026-01-01T00:59:59+01:00", True),
        (None, None, "2025-12-31T23:30:00-00:30", False),
        # A day that is set is a whole day, whenever it was loaded.
        ("2024-05-01", None, "2024-04-30 23:59:59.999999", False),
        ("2024-05-01", None, "2024-05-01", True),
        ("2024-05-01", None, "2026-01-01", False),
        (None, "2024-05-01", "2024-05-01 23:59:59.999999", True),
        (None, "2024-05-01", "2024-05-02", False),
        (None, "2024-05-01", "1999-12-31", False),
        ("2024-05-01", "2024-05-01", "2024-05-01 12:00:00", True),
        (None, "2030-01-01", "2029-12-31", True),
        ("0001-01-01", "9999-12-31", "0001-01-01", True),
        ("0001-01-01", "9999-12-31", "9999-12-31 23:59:59.999999", True),
    ],
)
def test_the_range_of_dates(
    conn: Connection, first: str | None, last: str | None, time: str, in_range: bool
) -> None:
    settings = Settings.from_env({"ORDER_DATE_MIN": first or "", "ORDER_DATE_MAX": last or ""})
    assert judge(conn, settings, order_timestamp=time).reasons == (
        None if in_range else ["OUT_OF_RANGE_DATE"]
    )


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_the_date_style_of_a_session_changes_nothing(conn: Connection, style: str) -> None:
    conn.execute(select(func.set_config("datestyle", style, True)))
    deliver(conn, order_timestamp="2024-02-01 10:00:00")
    judged_row = judged(Scope.BATCH).subquery()
    month = select(func.extract("month", judged_row.c.order_timestamp), judged_row.c.reasons)
    assert conn.execute(month, {"batch_id": 1, **Settings().rules}).one() == (2, None)


def test_the_rules_use_no_regular_expression() -> None:
    sql = str(judged(Scope.BATCH).compile(dialect=PGDialect_psycopg2()))  # type: ignore[no-untyped-call]
    assert not any(idiom in sql for idiom in (" ~ ", "regexp", "SIMILAR TO", "::"))
