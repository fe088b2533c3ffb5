"""Bad input, end to end: each row of the catalogue, docs/bad-input.md, a file and what a run makes of it."""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, func, select

import minidw
from minidw import BadFileError, Batch, Feed, OrderLine, OrderRejected, Settings
from minidw.feed.survey import survey
from tests.support import catalogue
from tests.support.bad_input import CASES, Outcome, many, one
from tests.support.feeds import DEFAULTS
from tests.support.texts import FILE, HEADER, row


def found(conn: Connection, path: Path, feed: Feed | None) -> Outcome:
    """What a run of the file comes to."""
    try:
        result = minidw.run(path, conn, feed=feed, settings=Settings(max_reject_ratio=Decimal(1)))
    except BadFileError as error:
        assert conn.scalar(select(func.count()).select_from(Batch)) == 0
        return {"code": error.code, "line": error.line, "says": error.message}
    (staged,) = result.staged
    last = select(*OrderLine.__table__.c).order_by(OrderLine.source_row.desc()).limit(1)
    reasons = conn.scalars(select(OrderRejected.reasons).order_by(OrderRejected.source_row.desc())).first()
    warnings = [check.name for check in result.checked if check.offending]
    counts = {name: getattr(staged, name) for name in ("rows_read", "inserted", "superseded", "rejected")}
    line = dict(conn.execute(last).mappings().first() or {})
    return line | counts | {"reasons": reasons, "warnings": warnings}


# What these are about is more than a file; each has a test of its own below.
OF_MORE_THAN_A_FILE = {
    30: {("A", "")},
    48: {("F", "FILE_CHANGED")},
    49: {("F", "NOT_A_FILE"), ("F", "UNREADABLE"), ("F", "NOT_FOUND")},
    50: {("F", "TOO_MANY_REJECTS")},
    51: {("R", "OTHER_CURRENCY")},
    52: {("R", "NO_AMOUNT")},
    53: {("F", "NO_LINE_NUMBERS")},
    54: {("F", "NOT_A_ROW")},
}
INPUTS = [
    pytest.param(content, outcome, id=f"{name}-{number}")
    for name, (outcome, contents) in CASES.items()
    for number, content in enumerate(contents, 1)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


@pytest.mark.parametrize(("content", "outcome"), INPUTS)
def test_bad_input(conn: Connection, path: Path, content: bytes, outcome: Outcome) -> None:
    path.write_bytes(content)
    met = found(conn, path, None)
    if outcome.get("says", "") in met.get("says", ""):
        met["says"] = outcome.get("says")
    assert {name: met.get(name) for name in outcome} == outcome


def answer(outcome: Outcome) -> set[tuple[str, str]]:
    """An outcome as the catalogue has it."""
    if "code" in outcome:
        return {("F", outcome["code"])}
    return {("R", reason) for reason in outcome.get("reasons", ())} or {("A", "")}


def test_every_case_of_the_catalogue_is_tried_and_every_case_tried_is_in_it() -> None:
    tried: dict[int, set[tuple[str, str]]] = {}
    for name, (outcome, _) in CASES.items():
        tried.setdefault(int(name[:2]), set()).update(answer(outcome))
    for number, answers in OF_MORE_THAN_A_FILE.items():
        assert any(name.startswith(f"test_{number}_") for name in globals())
        tried[number] = answers
    assert tried == catalogue.cases()


def test_20_a_delimiter_can_be_named(conn: Connection, path: Path) -> None:
    path.write_bytes(FILE.replace(b",", b";"))
    assert found(conn, path, Feed(delimiter=";"))["inserted"] == 1


def test_30_an_older_batch_loaded_late_is_the_newer_one(conn: Connection, tmp_path: Path) -> None:
    (tmp_path / "2024-06.csv").write_bytes(one(price="6"))
    (tmp_path / "2024-05.csv").write_bytes(one(price="5"))

    minidw.run(tmp_path / "2024-06.csv", conn)
    minidw.run(tmp_path / "2024-05.csv", conn)

    assert conn.scalar(select(OrderLine.price)) == 5


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (1, "row 2: 1 is no mapping from column to value"),
        (DEFAULTS | {1: "x"}, "row 2: a column is named 1, which is no text"),
        (DEFAULTS | {"note": "x"}, "row 2: the first row has no column note"),
        (DEFAULTS | {"price": [9]}, r"row 2: \[9\] is no text, number, time or None"),
        (DEFAULTS | {"status": "\ud800"}, r"a text has \\ud800, which UTF-8 cannot spell"),
    ],
)
def test_54_what_is_no_row_is_refused(conn: Connection, second: Any, says: str) -> None:
    with pytest.raises(BadFileError, match=f"^rows: NOT_A_ROW: {says}$"):
        minidw.run([DEFAULTS, second], conn)
    assert conn.scalar(select(func.count()).select_from(Batch)) == 0


@pytest.mark.parametrize("content", [FILE + row(b"2"), FILE[:-9], FILE.replace(b"books", b"boats")])
def test_48_a_file_that_changes_while_it_is_read_is_refused(
    conn: Connection, path: Path, content: bytes
) -> None:
    path.write_bytes(FILE)
    surveyed = survey(path)
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"^orders\.csv: FILE_CHANGED: "):
        minidw.run(surveyed, conn)
    assert conn.scalar(select(func.count()).select_from(Batch)) == 0


def test_49_a_file_that_vanishes_is_refused(conn: Connection, path: Path) -> None:
    path.write_bytes(FILE)
    surveyed = survey(path)
    path.unlink()
    with pytest.raises(BadFileError, match=r"^orders\.csv: NOT_FOUND: "):
        minidw.run(surveyed, conn)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def an_unreadable_file(path: Path) -> None:
    path.touch(0o000)


def a_vanished_file(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (a_directory, "NOT_A_FILE"),
        (a_fifo, "NOT_A_FILE"),
        (a_device, "NOT_A_FILE"),
        pytest.param(
            an_unreadable_file,
            "UNREADABLE",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything"),
        ),
        (a_vanished_file, "NOT_FOUND"),
    ],
)
def test_49_what_is_no_file_is_refused_before_connecting(
    path: Path, make: Callable[[Path], None], code: str
) -> None:
    make(path)
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    with pytest.raises(BadFileError, match=rf"^orders\.csv: {code}: "):
        minidw.run(path, nowhere)


def test_50_too_many_rejects_refuse_the_file(conn: Connection, path: Path) -> None:
    path.write_bytes(
        many({}, {"order_id": "2", "price": "x"}, {"order_id": "3", "price": "-1", "status": "?"})
    )
    with pytest.raises(BadFileError) as refusal:
        minidw.run(path, conn)
    assert str(refusal.value).startswith(
        "orders.csv: TOO_MANY_REJECTS: 2 of 3 rows rejected (BAD_NUMBER 1, NOT_POSITIVE 1, UNKNOWN_STATUS 1);"
        " nothing was stored; MAX_REJECT_RATIO is 0.2; BAD_NUMBER: row 2, price 'x'; allowed: "
    )
    assert "; NOT_POSITIVE: row 3, price '-1'; allowed: " in str(refusal.value)
    assert "; UNKNOWN_STATUS: row 3, status '?'; allowed: " in str(refusal.value)
    assert conn.scalar(select(func.count()).select_from(Batch)) == 0


@pytest.mark.parametrize(
    ("currency", "reasons"), [("EUR", ["OTHER_CURRENCY"]), ("usd", []), ("", ["OTHER_CURRENCY"])]
)
def test_51_another_currency_is_set_aside(
    conn: Connection, path: Path, currency: str, reasons: list[str]
) -> None:
    path.write_bytes(HEADER + b",cur\n" + row(b"1", b",USD\n") + row(b"2", f",{currency}\n".encode()))
    minidw.run(path, conn, feed=Feed(columns={"currency": "cur"}), settings=Settings(currency="USD"))
    assert [r for (found,) in conn.execute(select(OrderRejected.reasons)) for r in found] == reasons


def test_52_what_was_cancelled_before_it_had_a_price_is_set_aside(conn: Connection, path: Path) -> None:
    path.write_bytes(many({}, {"order_id": "2", "price": "", "quantity": "0", "status": "cancelled"}))
    minidw.run(path, conn, feed=Feed(decimal="."))
    assert conn.scalars(select(OrderRejected.reasons)).all() == [["NO_AMOUNT"]]


def test_53_an_order_of_several_lines_does_not_come_without_their_numbers(
    conn: Connection, feed: Callable[..., Path]
) -> None:
    minidw.run(feed("order_id | line_number | price\n1 | 1 | 50\n1 | 2 | 30"), conn)
    with pytest.raises(BadFileError) as refusal:
        minidw.run(feed("order_id | price\n1 | 60"), conn)
    assert refusal.value.code == "NO_LINE_NUMBERS"
    assert conn.scalar(select(func.sum(OrderLine.total_amount))) == 80
