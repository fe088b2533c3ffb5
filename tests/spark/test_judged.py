"""What PostgreSQL makes of each row of the catalogue of bad input, and of real exports, Spark makes of it."""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

import minidw
from minidw.engines.spark.session import execute
from minidw.errors import BadFileError
from minidw.feed import named_feed
from minidw.feed.feed import Feed, Mark
from minidw.schema.ledger import Batch
from minidw.schema.raw import OrderDelivered
from minidw.schema.vocabulary import STAGED_COLUMNS
from minidw.settings import Settings
from minidw.steps.replay import translated_batches
from minidw.transforms.judge import batches_by_feed, judged_by_feed
from minidw.transforms.parse import Scope
from tests.support.bad_input import CASES, many
from tests.support.spark import bring_over

pytestmark = pytest.mark.spark

EXPORTS = Path(__file__).parents[1] / "data" / "exports"
LENIENT = Settings(max_reject_ratio=Decimal(1), currency="USD")


def load(conn: Connection, path: Path, feed: Feed | None = None) -> None:
    with suppress(BadFileError):
        minidw.run(path, conn, feed=feed, settings=LENIENT, force=True)


def assert_judged_alike(spark: Any, conn: Connection, directory: Path) -> int:
    """Every column of every row, the reasons in their order."""
    translated = translated_batches(conn)
    parameters = LENIENT.rules | batches_by_feed(translated)
    statement = judged_by_feed(Scope.ALL, tuple(translated))
    for table in (Batch.__table__, OrderDelivered.__table__):
        bring_over(spark, conn, table, directory)

    here = [dict(row) for row in conn.execute(statement, parameters).mappings()]
    there = [row.asDict() for row in execute(spark, statement, parameters).collect()]

    def by_origin(rows: list[dict[str, Any]]) -> dict[Any, Any]:
        return {(row["batch_id"], row["source_row"]): told(row) for row in rows}

    def told(row: dict[str, Any]) -> dict[str, Any]:
        # Of a rejected row the reasons count: a number too large for Spark is another one there.
        return {"reasons": row["reasons"]} if row["reasons"] else {name: row[name] for name in STAGED_COLUMNS}

    assert by_origin(there) == by_origin(here)
    return len(here)


def test_every_row_of_the_catalogue_of_bad_input(spark: Any, conn: Connection, tmp_path: Path) -> None:
    for name, (_, contents) in CASES.items():
        for number, content in enumerate(contents):
            path = tmp_path / f"{name}-{number}.csv"
            path.write_bytes(content)
            load(conn, path)
    assert assert_judged_alike(spark, conn, tmp_path) > 100


def test_rows_at_the_boundaries(spark: Any, conn: Connection, tmp_path: Path) -> None:
    """Where a number leaves what Spark has room for, an offset what PostgreSQL knows, a text its length."""
    numbers = (
        *(
            "9999999999.9999",
            "9999999999.99999",
            "10000000000",
            "99999999999",
            "999999999999",
            "1e308",
            "-0.0",
        ),
        *(
            "0.0001",
            "0.00001",
            "0." + "0" * 30 + "1",
            "-0." + "0" * 30 + "1",
            "1." + "0" * 38,
            "9" * 40,
            "9" * 41,
        ),
        *(
            "1" + "0" * 17,
            "1" + "0" * 18,
            "+1",
            "-1",
            "+-1",
            "1.",
            ".1",
            "1.10",
            "0001.1",
            "1e3",
            "1E400",
            "inf",
        ),
        *(
            "NaN",
            "-nan",
            "Infinity",
            "\u0661",
            " 7 ",
            "\t7",
            "7\u00a0",
            "2147483647",
            "2147483648",
            "-2147483649",
        ),
    )
    stamps = (
        *("0000-01-01", "0001-01-01", "1999-12-31T23:59:59.999999Z", "2000-01-01", "9999-12-31 23:59:59"),
        *("2024-02-29", "2023-02-29", "2024-05-01T10:00:00+15:59", "2024-05-01T10:00:00+16:00"),
        *("2024-05-01T10:00-1559", "2024-05-01T10:00+05", "2024-05-01 10:00Z", "2024-05-01 10:00:00 GMT"),
        *("2024-05-01 24:00", "2024-05-01 23:59:60", "2024-05-01 10:60", "2024-05-01T10:00:00.1234560"),
        *("2024-05-01 10:00:00.1", "2024-05-01T10:00:00.123456-05:30", "2024-5-1", "2024-05-01T1:00"),
        *("2024-05-01T10:00:00+05:60", "infinity", "now", "2024-05-01 ", " 2024-05-01", "2024-05-01T"),
    )
    keys = (
        "É",
        "e\u0301",
        "\u212b",
        "x" * 255,
        "x" * 256,
        "é" * 255,
        "é" * 256,
        "a\u200bb",
        "\U0001f600",
        "a\\b",
        "%_",
    )
    rows = [
        *({"price": number} for number in numbers),
        *({"quantity": number} for number in numbers),
        *({"order_timestamp": stamp} for stamp in stamps),
        *({name: key} for key in keys for name in ("order_id", "customer_id", "category", "status")),
        *(
            {"status": status}
            for status in ("DELIVERED", "Canceled", " shipped\f", "İ", "DELİVERED", "returned")
        ),
        {"price": "x", "quantity": "0", "status": "?", "customer_id": "", "order_timestamp": "now"},
    ]
    path = tmp_path / "boundaries.csv"
    path.write_bytes(many(*rows))
    load(conn, path)
    assert assert_judged_alike(spark, conn, tmp_path) == len(rows)


def test_real_exports_by_their_feeds(spark: Any, conn: Connection, tmp_path: Path) -> None:
    feeds = {
        "shopify.csv": named_feed("shopify"),
        "shopify_blankstatus.csv": named_feed("shopify"),
        "woo.csv": named_feed("woocommerce"),
        "etsy.csv": named_feed("etsy"),
        "amazon.txt": named_feed("amazon"),
        "superstore.csv": named_feed("superstore"),
        "refunds.csv": Feed(returns="subtract"),
    }
    for name, feed in feeds.items():
        load(conn, EXPORTS / name, feed)
    assert assert_judged_alike(spark, conn, tmp_path) > 20


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (
            {"dates": "dmy"},
            ["5.1.2024 9:05 PM", "31/12/2023", "1-2-24 23:59:59.5", "5/1/2024, 12:00 AM", "5.1/2024"],
        ),
        ({"dates": "mdy"}, ["1/5/2024 1:00 pm", "13/1/2024", "2/29/2023", "1/5/2024 13:00 PM"]),
        ({"dates": "ymd"}, ["2024.1.5", "24/1/5 7:00", "2024-01-05T07:00:00"]),
        ({"dates": "epoch"}, ["1704448800", "1704448800123", "170444880", "9999999999"]),
        ({"dates": "excel"}, ["45296", "45296.5", "45296.123456789", "45296.", "4529", "45296.99999999"]),
        (
            {"time_zone": "America/New_York"},
            ["2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-11-03 00:59:59", "2024-11-03 02:00:00",
             "2024-11-02 10:00:00", "2024-03-09 10:00", "2024-07-01", "2024-07-01T10:00:00Z"],
        ),
        ({"time_zone": "Australia/Lord_Howe"}, ["2024-04-07 01:45:00", "2024-10-06 02:15:00", "2024-01-05"]),
    ],
)  # fmt: skip
def test_times_as_a_feed_declares_them(
    spark: Any, conn: Connection, tmp_path: Path, declared: dict[str, Any], values: list[str]
) -> None:
    path = tmp_path / "times.csv"
    path.write_bytes(many(*({"order_timestamp": value} for value in values)))
    load(conn, path, Feed(**declared))
    assert assert_judged_alike(spark, conn, tmp_path) == len(values)


@pytest.mark.parametrize("mark", [".", ","])
def test_numbers_as_a_feed_declares_them(spark: Any, conn: Connection, tmp_path: Path, mark: Mark) -> None:
    numbers = (
        *("1.234,50", "1,234.50", "1 234,50", "1'234.50", "$1.50", "1,50 €", "(3.00)", "3.00-", "EUR 20.00"),
        *("-$5", "1.234", "1,234", "12.34.56", "USD", "$", "", "\u00a01\u202f234,5", "1,23,4", "ABCD 1"),
    )
    path = tmp_path / "numbers.csv"
    path.write_bytes(many(*({"price": number, "quantity": "3"} for number in numbers)))
    load(conn, path, Feed(decimal=mark, price_is="line", returns="subtract"))
    assert assert_judged_alike(spark, conn, tmp_path) == len(numbers)
