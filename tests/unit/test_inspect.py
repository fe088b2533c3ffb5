"""inspect: what the evidence of a file settles is declared, what it leaves open is asked, never guessed."""

import lzma
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidw.errors import BadFileError, SettingsError
from minidw.feed import Feed
from minidw.feed.declaration import from_text
from minidw.feed.inspection import Inspection, inspect
from minidw.feed.known import known_feed
from minidw.feed.writing import value
from tests.support.feeds import write_feed

EXPORTS = Path(__file__).parents[1] / "data" / "exports"


@pytest.fixture
def export(tmp_path: Path) -> Any:
    """Inspect an export of which only these columns are told, as a small table."""

    def look(rows: str) -> Inspection:
        return inspect(write_feed(tmp_path / "export.csv", rows))

    return look


@pytest.mark.parametrize(
    ("file", "known", "questions"),
    [
        ("shopify.csv", "shopify", []),
        ("shopify_blankstatus.csv", "shopify", []),
        ("woo.csv", "woocommerce", ["values.time_zone"]),
        ("etsy.csv", "etsy", []),
        ("amazon.txt", "amazon", []),
        ("superstore.csv", "superstore", []),
        ("ref1.csv", None, []),
        ("ref2.csv", None, ["status.refunded"]),
        ("refunds.csv", None, ["values.lines", "values.returns", "status.refunded"]),
        ("currency.csv", None, []),
        ("thousands.csv", None, []),
        ("sep.csv", None, []),
        ("preamble.csv", None, []),
        ("pandasindex.csv", None, []),
    ],
)
def test_real_exports(file: str, known: str | None, questions: list[str]) -> None:
    found = inspect(EXPORTS / file)
    assert (found.known, [finding.key for finding in found.questions]) == (known, questions)
    assert found.fault is None
    if known and not questions:  # then the feed is the known one, and what it says of itself
        read = from_text(found.toml, name=known, shown=known)
        assert read.translation == known_feed(known).translation


SETTLED = [
    ("order_timestamp", ["2024-01-05"], "values.dates", None),
    ("order_timestamp", ["01/02/2024", "13/02/2024"], "values.dates", "dmy"),
    ("order_timestamp", ["01/02/2024", "02/13/2024"], "values.dates", "mdy"),
    ("order_timestamp", ["2024/01/02"], "values.dates", "ymd"),
    ("order_timestamp", ["1704448800"], "values.dates", "epoch"),
    ("order_timestamp", ["45296.5"], "values.dates", "excel"),
    ("price", ["12.50", "1"], "values.decimal", None),
    ("price", ["1,234.50"], "values.decimal", "."),
    ("price", ["1.234,50"], "values.decimal", ","),
    ("price", ["$5"], "values.decimal", "."),
    ("price", ["1234.000000"], "values.decimal", None),
    ("price", ["1.234", "12.5"], "values.decimal", None),
    ("quantity", ["1"], "values.returns", None),
    ("status", ["Shipped ", "canceled"], "values.returns", None),
]  # fmt: skip
OPEN = [
    ("order_timestamp", ["01/02/2024"], "values.dates", "dmy: 2024-02-01 00:00:00 or mdy: 2024-01-02"),
    ("order_timestamp", ["24.01.05"], "values.dates", "dmy: 2005-01-24 00:00:00 or ymd: 2024-01-05"),
    ("order_timestamp", ["13/02/2024", "02/13/2024"], "values.dates", "'13/02/2024' is read by dmy only"),
    ("order_timestamp", ["2024-01-05", "45296"], "values.dates", "no way reads all of them"),
    ("price", ["1.234"], "values.decimal", "1.234 or ,: 1234; no value settles it"),
    ("price", ["1,234"], "values.decimal", ".: 1234 or ,: 1.234"),
    ("price", ["40,00", "40.00"], "values.decimal", "'40.00' is read by"),
    ("price", ["-5"], "values.returns", "a price below zero in 1 row"),
    ("quantity", ["-2", "-3"], "values.returns", "a quantity below zero in 2 rows, such as '-2'"),
    ("price", ["0.00"], "values.free", "a price of 0 in 1 row"),
    ("status", ["Paid", "paid "], "status.Paid", "2 rows: pending, shipped, delivered or cancelled?"),
    ("status", ["On hold"], "status.On hold", "To woocommerce it is pending."),
]


def table(column: str, values: list[str]) -> str:
    """Rows of orders of their own that have these values."""
    rows = "\n".join(f"{number} | {text}" for number, text in enumerate(values))
    return f"order_id | {column}\n{rows}"


@pytest.mark.parametrize(("column", "values", "key", "expected"), SETTLED)
def test_what_the_values_settle(
    export: Any, column: str, values: list[str], key: str, expected: str | None
) -> None:
    found = export(table(column, values))
    assert found.questions == []
    assert found.findings[key].value == expected
    from_text(found.toml, name="x", shown="x")


@pytest.mark.parametrize(("column", "values", "key", "why"), OPEN)
def test_what_the_values_leave_open(export: Any, column: str, values: list[str], key: str, why: str) -> None:
    found = export(table(column, values))
    assert [finding.key for finding in found.questions] == [key]
    assert why in found.findings[key].why
    # And the feed cannot be used before somebody answers
    with pytest.raises(SettingsError, match="is a question still; answer it, or take the line out"):
        from_text(found.toml, name="x", shown="x")


def test_rows_of_one_order(export: Any) -> None:
    def lines(rows: str) -> Any:
        return export(rows).findings["values.lines"]

    assert lines("order_id | product_id\n1 | a\n2 | a").value is None
    assert lines("order_id | product_id\n1 | a\n1 | b").value == "number"
    assert lines("order_id | product_id\n1 | a\n1 | a").is_question
    assert lines("order_id | line_number\n1 | 1\n1 | 2").value == "given"
    assert lines("order_id | line_number\n1 | 1\n1 | 1").is_question


def test_values_that_only_the_first_row_of_an_order_has(export: Any) -> None:
    found = export("order_id | product_id | status\n1 | a | delivered\n1 | b | -\n2 | a | shipped")
    assert found.findings["values.fill_down"].value == ["status"]
    # A blank that has nothing above it is none of these
    found = export("order_id | product_id | status\n1 | a | -\n1 | b | -\n2 | a | shipped")
    assert found.findings["values.fill_down"].value is None


def test_columns_are_told_by_their_names_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Order No;Date;E-Mail;SKU;Amount;Qty;State;Unit Price\n"
        "A1;31.1.2024 10:00;a@x.org;p1;20,00;2;Paid;10,00\n"
    )
    found = inspect(path)
    declared = {key: finding.value for key, finding in found.findings.items() if finding.value}
    assert declared == {
        "file.delimiter": ";", "columns.order_id": "Order No", "columns.order_timestamp": "Date",
        "columns.customer_id": "E-Mail", "columns.product_id": "SKU", "columns.category": {"value": ""},
        "columns.price": "Unit Price", "columns.quantity": "Qty", "columns.status": "State",
        "values.dates": "dmy", "values.decimal": ",",
    }  # fmt: skip
    assert "price × quantity is 'amount'" in found.findings["values.price_is"].why
    assert [finding.key for finding in found.questions] == ["values.time_zone", "status.Paid"]

    path.write_text("Order,Invoice,Total,Qty\n1,2,9.00,3\n")
    found = inspect(path)
    assert found.findings["columns.order_id"].value == "Order"
    open_ones = {finding.key: finding.why for finding in found.questions}
    assert list(open_ones) == [
        "columns.order_timestamp", "columns.customer_id", "columns.product_id", "columns.status",
        "values.dates", "values.price_is",
    ]  # fmt: skip
    assert '"Invoice"' in open_ones["columns.customer_id"]
    # What is said of a file is not asked any more
    said = Feed(
        columns={"order_timestamp": {"value": "2024-01-05"}, "customer_id": "Invoice", "product_id": "Qty",
                 "status": {"value": "delivered"}}, price_is="line",
    )  # fmt: skip
    assert inspect(path, said).questions == []


def test_the_amount_of_a_line_is_told_by_a_column_of_unit_prices(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Order,Total,Each,Qty\n1,9.00,3.00,3\n2,5.00,5.00,1\n")
    assert inspect(path).findings["values.price_is"].value == "line"


def test_what_a_known_feed_lacks_for_a_file_is_asked(tmp_path: Path) -> None:
    text = (EXPORTS / "superstore.csv").read_text().replace("44143", "11/8/2020")
    (tmp_path / "export.csv").write_text(text)
    assert [f.key for f in inspect(tmp_path / "export.csv").questions] == ["values.dates"]
    (tmp_path / "export.csv").write_text(text.replace("11/8/2020", "11/18/2020"))
    found = inspect(tmp_path / "export.csv")
    assert (found.known, found.findings["values.dates"].value) == ("superstore", "mdy")
    assert from_text(found.toml, name="x", shown="x").dates == "mdy"


@pytest.mark.parametrize(
    ("name", "content", "encoding", "is_question"),
    [
        ("a.csv", "é".encode(), "utf-8", False),
        ("a.csv", "é".encode("utf-8-sig"), "utf-8", False),
        ("a.csv", "é".encode("utf-16"), "utf-16", False),
        ("a.csv", "é".encode("utf-16-le"), "utf-16-le", False),
        ("a.csv.xz", "é".encode(), "utf-8", False),
        ("a.csv", "é".encode("cp1252"), "cp1252", True),
        ("a.csv", b"\x81\xe9", "latin-1", True),
    ],
)
def test_encodings(tmp_path: Path, name: str, content: bytes, encoding: str, is_question: bool) -> None:
    wide = "utf-16-le" if encoding.startswith("utf-16") else "ascii"
    whole = "order_id,".encode(wide) + content + ",x\n1,2,3\n".encode(wide)
    if encoding == "utf-16":  # its mark stands first
        whole = "order_id,é,x\n1,2,3\n".encode("utf-16")
    (tmp_path / name).write_bytes(lzma.compress(whole) if name.endswith("xz") else whole)
    found = inspect(tmp_path / name)
    assert (found.encoding, len(found.header), found.rows) == (encoding, 3, 1)
    assert ("file.encoding" in [f.key for f in found.questions]) == is_question


@pytest.mark.parametrize(
    ("text", "delimiter", "skip_lines", "columns"),
    [
        ("a;b;c\n1,5;2,5;3,5\n", ";", None, 3),
        ("a\tb\n1\t2\n", "tab", None, 2),
        ("a|b,c|d\r\n1|2|3\r\n", "|", None, 3),
        ("Report, of today\n\na,b,c\n1,2,3\n4,5,6\n", ",", 2, 3),
        ("sep=;\na;b\n1;2\n", ";", None, 2),
        ('a,"b\nc"\n1,"2,3"\n', ",", None, 2),
    ],
)
def test_delimiters_and_lines_before(
    tmp_path: Path, text: str, delimiter: str, skip_lines: int | None, columns: int
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    found = inspect(tmp_path / "a.csv")
    skipped = found.findings.get("file.skip_lines")
    assert (found.delimiter, skipped and skipped.value, len(found.header)) == (delimiter, skip_lines, columns)


def test_a_delimiter_within_quotes_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('status,"|","|"\n"|","|",paid\n')
    assert inspect(tmp_path / "a.csv").delimiter == ","


def test_a_fault_of_the_structure_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("order_id,price\n1,2\n2\n")
    assert inspect(tmp_path / "a.csv").fault == "a.csv:3: COLUMN_COUNT: expected 2 columns, found 1"
    for text, message in (("", "EMPTY_FILE"), ("one\ntwo\n", "HEADER: no comma")):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(BadFileError, match=message):
            inspect(tmp_path / "a.csv")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4))
def test_any_text_is_written_as_toml(texts: list[str]) -> None:
    for declaring in (texts[0], texts, [*texts, {"value": texts[0]}], {texts[0]: texts[1]}):
        assert tomllib.loads(f"x = {value(declaring)}") == {"x": declaring}


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
             min_size=2, max_size=9)
)  # fmt: skip
def test_whatever_is_in_a_file_its_feed_is_toml(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = write_feed(tmp_path_factory.mktemp("any") / "any.csv", "order_id | status\n1 | delivered")
    quoted = ",".join('"' + text.replace('"', '""') + '"' for text in texts)
    path.write_bytes(f"status,{quoted}\n{quoted},paid\n".encode())
    assert "columns" in tomllib.loads(inspect(path).toml)
