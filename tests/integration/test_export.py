"""Rows of a mart in a terminal and in files: what is handed on is what the mart holds, all of one state."""

import csv
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from pyarrow import parquet
from sqlalchemy import Connection, Engine

import minidw
from minidw import SettingsError
from minidw.reports import export as exporting
from tests.support.terminal import Cli

WriteFeed = Callable[..., Path]
ORDERS = """
order_id | order_timestamp     | customer_id | price
1        | 2024-05-01 10:00:01 | =1+1        | 0.10
2        | 2024-05-02 11:00:00 | bob         | 9999999999.9999
3        | 2024-05-03 12:00:00 | zoë, "q"    | 5
4        | 2024-05-03 12:00:00 | bob         | 1
"""
EXPECTED = [
    ("=1+1", Decimal("0.1")),
    ("bob", Decimal("10000000000.9999")),
    ('zoë, "q"', Decimal(5)),
]


@pytest.fixture
def loaded(conn: Connection, feed: WriteFeed) -> Connection:
    minidw.run(feed(ORDERS), conn)
    return conn


# Show


@pytest.mark.parametrize(
    ("where", "order", "limit", "customers"),
    [
        ([], [], 20, ["=1+1", "bob", 'zoë, "q"']),
        ([], ["lifetime_value desc"], 2, ["bob", 'zoë, "q"']),
        ([], ["order_lines", "customer_id desc"], 20, ['zoë, "q"', "=1+1", "bob"]),
        (["customer_id = =1+1"], [], 20, ["=1+1"]),
        (["lifetime_value>=0.1", "lifetime_value < 6"], [], 20, ["=1+1", 'zoë, "q"']),
        (["last_order_at > 2024-05-03"], [], None, ["bob", 'zoë, "q"']),
        (["customer_id != bob"], [], 1, ["=1+1"]),
        # What looks like SQL is a value.
        (["customer_id = x' OR 1=1; DROP TABLE mart.customer_ltv; --"], [], 20, []),
    ],
)
def test_show_finds_what_is_asked_for(
    loaded: Connection, where: list[str], order: list[str], limit: int | None, customers: list[str]
) -> None:
    rows = minidw.show("customer_ltv", loaded, where=where, order=order, limit=limit)
    assert [row["customer_id"] for row in rows] == customers


@pytest.mark.parametrize(
    ("mart", "words", "said"),
    [
        ("orders", [], "there is no mart 'orders'; there are daily_revenue"),
        ("customer_ltv", ["--where", "lifetime_value"], "write it as COLUMN = VALUE"),
        (
            "customer_ltv",
            ["--where", "revenue = 1"],
            "customer_ltv has no column 'revenue'; it has customer_id",
        ),
        ("customer_ltv", ["--where", "lifetime_value = many"], "invalid input syntax for type numeric"),
        ("customer_ltv", ["--where", "customer_id = \udcff"], "no text of a database has such characters"),
        ("customer_ltv", ["--order", "1; DROP TABLE x"], "write it as COLUMN or COLUMN desc"),
        ("customer_ltv", ["--order", "random"], "customer_ltv has no column 'random'"),
        ("customer_ltv", ["--limit", "-1"], "is not a whole number"),
    ],
)
def test_what_cannot_be_shown_is_one_line(cli: Cli, mart: str, words: list[str], said: str) -> None:
    outcome = cli("show", mart, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err.splitlines()[-1]


def test_show_says_how_many_there_are(cli: Cli, feed: WriteFeed) -> None:
    assert cli("show", "customer_ltv").out == "no rows\n"
    cli("run", str(feed(ORDERS)))
    shown = cli("show", "customer_ltv", "--order", "lifetime_value desc", "--limit", "1").out
    assert "10,000,000,000.9999" in shown
    assert shown.endswith("1 of 3 rows\n")
    document = json.loads(cli("show", "customer_ltv", "--limit", "1", "--json").out)
    assert (document["total"], document["rows"][0]["lifetime_value"]) == (3, "0.1000")


# Export


def read_csv(path: Path) -> list[tuple[str, Decimal]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["customer_id"], Decimal(row["lifetime_value"])) for row in csv.DictReader(file)]


def read_parquet(path: Path) -> list[tuple[str, Decimal]]:
    columns = parquet.read_table(path, columns=["customer_id", "lifetime_value"]).to_pydict()
    return list(zip(columns["customer_id"], columns["lifetime_value"], strict=True))


def read_xlsx(path: Path) -> list[tuple[str, Decimal]]:
    header, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    assert header[:2] == ("customer_id", "lifetime_value")
    return [(row[0], Decimal(str(row[1]))) for row in rows]


READERS = {"csv": read_csv, "parquet": read_parquet, "xlsx": read_xlsx}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_holds_what_the_mart_holds(
    loaded: Connection, tmp_path: Path, kind: exporting.FileFormat
) -> None:
    written = minidw.export(bind=loaded, to=tmp_path / "out", format=kind)
    # Each mart, and the manifest, and nothing else
    marts = ["daily_revenue", "customer_ltv", "product_revenue", "customer_segments"]
    assert [exported.mart for exported in written] == marts
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["manifest.json", *(f"{mart}.{kind}" for mart in marts)]
    )
    assert READERS[kind](tmp_path / "out" / f"customer_ltv.{kind}") == EXPECTED
    # And the manifest says what they are
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["last_batch"], manifest["data_as_of"]) == (1, "2024-05-03 12:00:00")
    for said, exported in zip(manifest["files"], written, strict=True):
        content = (tmp_path / "out" / said["file"]).read_bytes()
        assert said["sha256"] == exported.sha256 == hashlib.sha256(content).hexdigest()
        assert (said["rows"], said["bytes"]) == (exported.rows, len(content))
    assert [said["rows"] for said in manifest["files"]] == [3, 3, 1, 3]


def test_a_number_that_a_workbook_would_round_is_text(
    conn: Connection, feed: WriteFeed, tmp_path: Path
) -> None:
    rows = "\n".join(f"{n} | big | 9999999999.9999 | 99999" for n in range(30))
    minidw.run(feed(f"order_id | customer_id | price | quantity\n{rows}\nx | small | 8.39 | 1"), conn)
    minidw.export(["customer_ltv"], conn, to=tmp_path, format="xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "customer_ltv.xlsx").active
    total = minidw.show("customer_ltv", conn, where=["customer_id = big"])[0]["lifetime_value"]
    assert [(row[1].data_type, row[1].value) for row in sheet.iter_rows(min_row=2)] == [
        ("s", str(total)),
        ("n", 8.39),
    ]


def test_all_files_show_one_state(
    warehouse: Engine, feed: WriteFeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minidw.run(feed(ORDERS), warehouse)
    other = feed("order_id | price\nz | 100")
    write = exporting.WRITERS["csv"]

    def slowly(conn: Connection, mart: type[minidw.Mart], path: Path) -> int:
        rows = write(conn, mart, path)
        if mart is minidw.DailyRevenue:
            minidw.run(other, warehouse)
        return rows

    # When another run commits between the first file and the second
    monkeypatch.setitem(exporting.WRITERS, "csv", slowly)
    minidw.export(bind=warehouse, to=tmp_path / "out")
    # Then none of them knows of it
    assert read_csv(tmp_path / "out" / "customer_ltv.csv") == EXPECTED
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["last_batch"] == 1
    assert minidw.status(warehouse)["batches"][0]["batch_id"] == 2


def test_an_export_that_fails_leaves_what_was_there(
    loaded: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minidw.export(bind=loaded, to=tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(conn: Connection, mart: type[minidw.Mart], path: Path) -> int:
        path.write_text("half")
        if mart is minidw.ProductRevenue:
            raise OSError(28, "No space left on device", str(path))
        return 1

    monkeypatch.setitem(exporting.WRITERS, "csv", full)
    with pytest.raises(SettingsError, match=r"cannot write .*product_revenue.csv: No space left on device"):
        minidw.export(bind=loaded, to=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_what_does_not_fit_into_a_sheet_is_refused(
    loaded: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minidw.reports.sheet.MOST_ROWS", 2)
    with pytest.raises(
        SettingsError, match="customer_ltv has more than 2 rows, which a sheet holds: take csv"
    ):
        minidw.export(["customer_ltv"], loaded, to=tmp_path / "out", format="xlsx")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_it_wrote(cli: Cli, feed: WriteFeed, tmp_path: Path) -> None:
    cli("run", str(feed(ORDERS)))
    assert cli("export", "customer_ltv", "daily_revenue").out == (
        "export/customer_ltv.csv: 3 rows\nexport/daily_revenue.csv: 3 rows\n"
    )
    (tmp_path / "file").touch()
    for words, said in {
        "orders": "there is no mart 'orders'",
        "--to file": "cannot write file: File exists",
        "--format ods": "invalid choice: 'ods'",
    }.items():
        outcome = cli("export", *words.split())
        assert (outcome.code, outcome.out) == (2, "")
        assert said in outcome.err.splitlines()[-1]
