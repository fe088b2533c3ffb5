"""A reason tells a person which column it is about."""

import re
from pathlib import Path

import pytest

from minidw.feed.feed import Feed
from minidw.feed.salvage import LINE_FAULTS
from minidw.transforms import judge
from minidw.transforms.reasons import MALFORMED, REASONS, Fault, faults

ROW = {"order_id": "1", "customer_id": "c", "product_id": "p", "category": "x", "status": "shipped",
       "order_timestamp": "2024-05-01", "price": "2.50", "quantity": "1", "line_number": None}  # fmt: skip


def test_every_reason_says_what_is_allowed() -> None:
    with_currency = Feed(columns={"currency": "Currency"}).translation
    codes = {*judge._reasons(with_currency), "REPEATED_HEADER", "NO_AMOUNT"}
    assert codes == set(REASONS)
    assert set(MALFORMED) == LINE_FAULTS


def test_every_reason_is_in_the_catalogue() -> None:
    catalogue = (Path(__file__).parents[2] / "docs" / "bad-input.md").read_text()
    assert [code for code in (*REASONS, *MALFORMED) if not re.search(rf"`{code}`", catalogue)] == []


@pytest.mark.parametrize(
    ("code", "given", "columns"),
    [
        ("MISSING_KEY", {"customer_id": " \t"}, ["customer_id"]),
        ("MISSING_KEY", {"order_id": None, "product_id": ""}, ["order_id", "product_id"]),
        ("INVISIBLE_CHARACTER", {"product_id": "p\u200b"}, ["product_id"]),
        ("FIELD_TOO_LONG", {"category": "x" * 300}, ["category"]),
        ("BAD_NUMBER", {"price": "1,5"}, ["price"]),
        ("BAD_NUMBER", {"quantity": "1.5"}, ["quantity"]),
        ("BAD_NUMBER", {"price": "٣"}, ["price"]),
        ("BAD_NUMBER", {"line_number": "one"}, ["line_number"]),
        ("NOT_POSITIVE", {"price": "-1", "quantity": "0"}, ["price", "quantity"]),
        ("OUT_OF_RANGE", {"quantity": "2147483648"}, ["quantity"]),
        ("OUT_OF_RANGE", {"price": "1e400"}, ["price"]),
        ("UNKNOWN_STATUS", {"status": "paid"}, ["status"]),
        ("REPEATED_HEADER", {}, [None]),
        ("A_REASON_OF_TOMORROW", {}, [None]),
    ],
)
def test_the_column_at_fault(code: str, given: dict[str, str | None], columns: list[str | None]) -> None:
    found = faults(code, ROW | given)
    assert [fault.column for fault in found] == columns
    assert [fault.value for fault in found] == [given[column] if column else None for column in columns]


def test_a_fault_names_one_column_where_none_looks_wrong() -> None:
    (fault,) = faults("TOO_MANY_DECIMALS", ROW)
    assert fault == Fault("TOO_MANY_DECIMALS", "price", "2.50", "four decimals")


@pytest.mark.parametrize(
    ("code", "given", "advice"),
    [
        ("BAD_NUMBER", {"price": "1.234,50"}, 'decimal = "," (--decimal ,) reads 1234.50'),
        ("BAD_NUMBER", {"price": "$1,234.50"}, 'decimal = "." (--decimal .) reads 1234.50'),
        (
            "BAD_NUMBER",
            {"price": "1,234"},
            'decimal = "." (--decimal .) reads 1234 or decimal = "," (--decimal ,) reads 1.234',
        ),
        ("BAD_NUMBER", {"price": "ten"}, None),
        (
            "BAD_TIMESTAMP",
            {"order_timestamp": "31.01.2024"},
            'dates = "dmy" (--dates dmy) reads 2024-01-31 00:00:00',
        ),
        (
            "BAD_TIMESTAMP",
            {"order_timestamp": "1/2/24 9:05 PM"},
            'dates = "dmy" (--dates dmy) reads 2024-02-01 21:05:00 or dates = "mdy" (--dates mdy) reads'
            " 2024-01-02 21:05:00",
        ),
        (
            "BAD_TIMESTAMP",
            {"order_timestamp": "1704448800"},
            'dates = "epoch" (--dates epoch) reads 2024-01-05 10',
        ),
        (
            "BAD_TIMESTAMP",
            {"order_timestamp": "45296.5"},
            'dates = "excel" (--dates excel) reads 2024-01-05 12',
        ),
        (
            "NOT_POSITIVE",
            {"quantity": "-1"},
            'returns = "subtract" (--returns subtract) takes it as a return',
        ),
        ("NOT_POSITIVE", {"price": "0.00"}, "free = true (--free) takes it as a gift"),
        (
            "UNKNOWN_STATUS",
            {"status": "On hold"},
            'say what it means: status."On hold" = "…" (--status \'On hold=…\')',
        ),
        ("OTHER_CURRENCY", {"currency": "EUR"}, None),
    ],
)
def test_a_fault_says_what_could_be_declared(code: str, given: dict[str, str], advice: str | None) -> None:
    (fault,) = faults(code, ROW | given)
    assert (fault.advice or "").startswith(advice or "")
    assert (fault.advice is None) == (advice is None)


def test_what_is_declared_already_is_not_advised() -> None:
    feed = Feed(decimal=",", dates="dmy", returns="subtract", columns={"price": ["Net", "Gross"]})
    (fault,) = faults("BAD_NUMBER", ROW | {"price": None, "extra": {"Gross": "12.50"}}, feed)
    assert (fault.column, fault.value) == ("price", "12.50")
    assert fault.advice == 'decimal = "." (--decimal .) reads 12.50'
    (fault,) = faults("BAD_TIMESTAMP", ROW | {"order_timestamp": "31/31/2024"}, feed)
    assert fault.advice is None
