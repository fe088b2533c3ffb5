"""A reason tells a person which column it is about."""

import re
from pathlib import Path

import pytest

from minidw.feed.salvage import LINE_FAULTS
from minidw.transforms import rules
from minidw.transforms.parse import Scope, parsed
from minidw.transforms.reasons import MALFORMED, REASONS, Fault, faults

ROW = {"order_id": "1", "customer_id": "c", "product_id": "p", "category": "x", "status": "shipped",
       "order_timestamp": "2024-05-01", "price": "2.50", "quantity": "1", "line_number": None}  # fmt: skip


def test_every_reason_says_what_is_allowed() -> None:
    codes = {code for code, _ in rules._reasons(parsed(Scope.ALL))} | {"REPEATED_HEADER"}
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
    assert faults("BAD_NUMBER", ROW) == [Fault("BAD_NUMBER", "price", "2.50", REASONS["BAD_NUMBER"].allowed)]
