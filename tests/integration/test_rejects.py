"""What was rejected can be looked at and sent back: by file or batch, with every reason."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

import minidw
from minidw import BadFileError, Settings
from minidw.generate.orders import REJECTED
from tests.support.terminal import Cli

WriteFeed = Callable[..., Path]
LENIENT = Settings(max_reject_ratio=Decimal(1))

BAD = """
    order_id | price | status    | note
    1        | 5     | delivered | fine
    -        | ten   | delivered | three, please
    3        | 0     | paid      | -
"""


def test_a_row_with_everything_that_is_wrong_with_it(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed(BAD, name="shop.csv"), conn, settings=LENIENT)

    second, third = minidw.rejects("shop.csv", conn)

    assert (second.batch_id, second.file, second.row, second.line) == (1, "shop.csv", 2, None)
    assert second.reasons == ("MISSING_KEY", "BAD_NUMBER")
    assert [(fault.column, fault.value) for fault in second.faults] == [("order_id", None), ("price", "ten")]
    assert second.delivered["note"] == "three, please"
    assert [(fault.reason, fault.column, fault.value) for fault in third.faults] == [
        ("NOT_POSITIVE", "price", "0"),
        ("UNKNOWN_STATUS", "status", "paid"),
    ]
    assert third.faults[1].allowed == "pending, shipped, delivered or cancelled"
    assert [minidw.rejects(of, conn) for of in (1, "1", Path("/exports/shop.csv"), None)] == [
        [second, third]
    ] * 4
    assert minidw.rejects(1, conn, limit=1) == [second]


def test_malformed_lines_are_among_them(conn: Connection, feed: WriteFeed) -> None:
    path = feed("order_id\n1\n2")
    path.write_text(path.read_text() + "broken,line\n")
    minidw.run(path, conn, feed=minidw.Feed(skip_malformed=True), settings=LENIENT)
    (line,) = minidw.rejects(1, conn)
    assert (line.row, line.line, line.reasons, line.text) == (None, 4, ("COLUMN_COUNT",), "broken,line")


def test_of_a_pruned_batch_the_reasons_are_left(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed(BAD), warehouse, settings=LENIENT)
    minidw.prune(datetime.now(UTC).date() + timedelta(days=1), warehouse)
    second, _ = minidw.rejects(1, warehouse)
    assert (second.reasons, second.delivered) == (("MISSING_KEY", "BAD_NUMBER"), {})


def test_every_fault_of_the_generator_has_its_column(conn: Connection, tmp_path: Path) -> None:
    path = minidw.generate_orders(tmp_path / "dirty.csv", rows=200, dirty=0.5, seed=1)
    minidw.run(path, conn, settings=LENIENT)
    rejects = minidw.rejects(bind=conn)
    assert {fault.reason for reject in rejects for fault in reject.faults} == {code for code, _ in REJECTED}
    without = {fault.reason for reject in rejects for fault in reject.faults if fault.column is None}
    assert without == {"REPEATED_HEADER"}


def test_a_refused_file_shows_an_example_of_each_reason(conn: Connection, feed: WriteFeed) -> None:
    with pytest.raises(BadFileError) as refused:
        minidw.run(feed(BAD, name="shop.csv"), conn)
    assert "BAD_NUMBER: row 2, price 'ten'; allowed: plain digits" in str(refused.value)
    assert [(example["reason"], example["rows"], example["row"]) for example in refused.value.examples] == [
        ("BAD_NUMBER", 1, 2),
        ("MISSING_KEY", 1, 2),
        ("NOT_POSITIVE", 1, 3),
        ("UNKNOWN_STATUS", 1, 3),
    ]
    assert minidw.rejects(bind=conn) == []


def test_examples_of_a_run_of_a_preview_and_as_json(cli: Cli, feed: WriteFeed) -> None:
    rows = "\n".join(f"{number} | 1" for number in range(20))
    path = str(feed(f"order_id | price\n{rows}\n21 | ten", name="shop.csv"))
    for command in ("preview", "run"):
        assert "BAD_NUMBER: row 21, price 'ten'; allowed: plain digits" in cli(command, path).out
    (result,) = json.loads(cli("run", path, "--force", "--json").out)["results"]
    assert result["staged"][0]["examples"][0]["row"] == 21
    bad = str(feed(BAD, name="bad.csv"))
    assert json.loads(cli("preview", bad, "--json").out)["error"]["examples"][0]["value"] == "ten"


def test_the_command(cli: Cli, feed: WriteFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("rejects").out == "no rejected rows\n"
    monkeypatch.setenv("MAX_REJECT_RATIO", "1")
    cli("run", str(feed(BAD, name="a.csv")))

    shown = cli("rejects", "a.csv").out
    assert "2 rejected rows of a.csv, batch 1" in shown
    assert "'ten'" in shown
    assert "UNKNOWN_STATUS: allowed is pending, shipped, delivered or cancelled" in shown
    assert "; the first 1" in cli("rejects", "--limit", "1").out
    document = json.loads(cli("rejects", "--json").out)
    assert (document["total"], document["error"], len(document["rejects"])) == (2, None, 2)
    missing = cli("rejects", "b.csv")
    assert (missing.code, missing.err.count("\n")) == (2, 1)


def test_rows_to_send_back_are_as_they_were_delivered(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quotes, line ends and characters of any kind; once corrected, the file loads."""
    monkeypatch.setenv("MAX_REJECT_RATIO", "1")
    header = "Order,order_timestamp,customer_id,product_id,category,price,quantity,status,Note"
    row = ["7", "2024-05-01", "zoë \x1b[1m", "p,1", ' "x"', "ten", "1", "shipped", "two\nlines"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    path = tmp_path / "odd.csv"
    path.write_text(f"{header}\n{text.getvalue()}")
    cli("run", str(path), "--column", "order_id=Order")

    sent = list(csv.reader(io.StringIO(cli("rejects", "odd.csv", "--csv").out, newline="")))

    assert dict(zip(sent[0], sent[1], strict=True)) == dict(zip(header.split(","), row, strict=True)) | {
        "reject_row": "1", "reject_line": "", "reject_reasons": "BAD_NUMBER", "reject_text": ""
    }  # fmt: skip
    back = tmp_path / "back.csv"
    back.write_text(cli("rejects", "odd.csv", "--csv").out.replace("ten", "10"))
    assert "1 inserted" in cli("run", str(back), "--column", "order_id=Order").out
