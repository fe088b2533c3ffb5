"""What a feed declares, key by key, against a plain-Python reading of the same text."""

import csv
from decimal import Decimal
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlalchemy import Connection, select

import minidw
from minidw import OrderLine, OrderRejected, Settings
from tests.support import model
from tests.support.exports import Export

EXPORTS = Path(__file__).parents[1] / "data" / "exports"
Texts = st.SearchStrategy[str]
SETTINGS = Settings(max_reject_ratio=Decimal(1), currency="EUR")
RULES = model.Rules(currency="EUR")
STAGED = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
          "quantity", "status", "discount", "total_amount", "source_row")  # fmt: skip

few = st.sampled_from
digits = st.integers(0, 9_999_999).map(str)
noise = st.text("0123456789/.-:,' \u00a0€$EURAPMTZ()+x", max_size=14)


def joined(*parts: Texts) -> Texts:
    """The parts one after the other."""
    return st.tuples(*parts).map("".join)


def mostly(usual: Texts, other: Texts) -> Texts:
    """Five usual texts to one of another kind."""
    return st.one_of(usual, usual, usual, usual, usual, other)


part = st.one_of(st.integers(1, 31).map(str), st.integers(0, 13).map("{:02}".format))
year = few(["2024", "2023", "24", "99", "0024", "5"])
separators = few(["/", "/", ".", "-", " "])
clock = few(["", "", " 9:05", " 09:05:07", ", 9:05 PM", " 12:00 am", " 13:00 PM", "T10:00", "  7:30",
             " 24:00", " 10:00:00.123456", " 10:00 +01:00", " 9", " 10:60"])  # fmt: skip
iso = joined(
    few(["2024-01-05", "2024-03-10", "2023-02-29", "2024-13-01"]),
    few(["", " 10:00", "T10:00:00", " 10:00:00.5", " 10:00:00.123456000", " 10:00:00.1234567", " 24:00"]),
    few(["", "", "Z", " Z", " UTC", "+05:30", " -0500", "-16:00", " CET"]),
)
clocks_change = joined(
    few(["2024-03-10", "2024-11-03", "2024-03-31", "2024-10-27", "2024-07-01"]),
    st.tuples(st.integers(0, 3), st.integers(0, 59)).map(lambda time: " {:02}:{:02}".format(*time)),
    few(["", "", "", "Z", "+01:00"]),
)


def dated(order: str) -> Texts:
    """Dates in an order, now and then in another, with each separator, and a time or none."""
    parts = {"d": part, "m": part, "y": year}
    usual = separators.flatmap(
        lambda separator: joined(parts[order[0]], st.just(separator), parts[order[1]], st.just(separator),
                                 parts[order[2]], clock)
    )  # fmt: skip
    mixed = joined(part, separators, part, separators, year, clock)
    return mostly(usual, st.one_of(mixed, iso, noise))


def money(mark: str) -> Texts:
    """Numbers as people write them with a mark, now and then with the other."""

    def written(mark: str, other: str) -> Texts:
        group = few([other, " ", "'", "\u2019", "\u00a0", "\u202f"])
        grouped = group.flatmap(
            lambda by: st.integers(1, 9_999_999).map(lambda number: f"{number:,}".replace(",", by))
        )
        whole = st.one_of(digits, grouped)
        number = joined(whole, few(["", "", "00", "5", "50", "1234", "12345", "10000"]).map(
            lambda decimals: decimals and mark + decimals
        ))  # fmt: skip
        around = few(["{}", "{}", "{}", "{} €", "$ {}", "EUR {}", "{}USD", "-{}", "{}-", "({})", "$({})",
                      "- £{}", "+{}", "--{}", "$$ {}", "EURO {}", "{} x"])  # fmt: skip
        return st.tuples(around, number).map(lambda pair: pair[0].format(pair[1]))

    other = "," if mark == "." else "."
    return mostly(written(mark, other), st.one_of(written(other, mark), noise))


amounts = st.one_of(
    st.decimals(Decimal("-99.9999"), Decimal("9999.9999"), places=4).map("{:f}".format),
    few(["0", "0.00", "10", "0.0001", "9999999999.9999", "10000000000", "1.00001", "", "NaN", "x"]),
)
quantities = mostly(
    st.integers(1, 40).map(str), few(["0", "-1", "-3", "1.0", "-2.00", "1.5", "", "2147483648"])
)
discounts = few(["", "0", "0.00", "1", "5.5", "10000", "-1", "x", "0.00001"])

# The declaration, and how the columns that it is about are written.
KEYS: dict[str, tuple[str, dict[str, Texts]]] = {
    "none": ("", {"order_timestamp": iso, "price": amounts, "quantity": quantities}),
    **{
        f"dates {order}": (f'[values]\ndates = "{order}"', {"order_timestamp": dated(order)})
        for order in ("dmy", "mdy", "ymd")
    },
    "dates epoch": (
        '[values]\ndates = "epoch"',
        {"order_timestamp": mostly(
            st.integers(10**9, 17 * 10**8).map(str) | st.integers(10**12, 17 * 10**11).map(str),
            st.one_of(digits, iso, noise),
        )},
    ),
    "dates excel": (
        '[values]\ndates = "excel"',
        {"order_timestamp": mostly(
            st.decimals(36526, 45500, places=6).map("{:f}".format) | st.integers(36000, 46000).map(str),
            st.one_of(digits, noise),
        )},
    ),
    **{
        f"time_zone {zone}": (f'[values]\ntime_zone = "{zone}"', {"order_timestamp": clocks_change})
        for zone in ("America/New_York", "Europe/Dublin")
    },
    **{
        f"decimal {mark}": (
            f'[columns]\ndiscount = "discount"\n[values]\ndecimal = "{mark}"',
            {"price": money(mark), "quantity": mostly(few(["1", "2", "3,0", "3.0"]), money(mark)),
             "discount": mostly(few(["", "0", "1"]), money(mark))},
        )
        for mark in (".", ",")
    },
    "discount": (
        '[columns]\ndiscount = "discount"',
        {"price": amounts, "quantity": quantities, "discount": discounts},
    ),
    "price_is": (
        '[columns]\ndiscount = "discount"\n[values]\nprice_is = "line"',
        {"price": amounts, "quantity": quantities, "discount": discounts},
    ),
    "returns": ('[values]\nreturns = "subtract"', {"price": amounts, "quantity": quantities}),
    "returns of lines, free": (
        '[columns]\ndiscount = "discount"\n[values]\nreturns = "subtract"\nprice_is = "line"\nfree = true',
        {"price": amounts, "quantity": quantities, "discount": discounts},
    ),
    "free": ("[values]\nfree = true", {"price": amounts, "quantity": quantities}),
    "fill_down": (
        '[values]\nfill_down = ["order_timestamp", "customer_id", "status", "price"]\nlines = "number"',
        {"order_id": few(["1", "2", "3", " 3"]),
         "order_timestamp": few(["", " ", "2024-01-05", "2024-01-06"]),
         "customer_id": few(["", "ada", "bob"]), "status": few(["", "shipped", "x"]),
         "price": few(["", "5", "7"])},
    ),
    "status": (
        '[status]\npaid = "delivered"\n"On hold" = "pending"\n"Überfällig" = "pending"\n'
        'canceled = "cancelled"',
        {"status": few(["paid", " PAID", "Paid\t", "on hold", "ON HOLD", "onhold", "überfällig", "ÜBERFÄLLIG",
                        "canceled", "Cancelled", "shipped", "refunded", ""]), "price": few(["5", ""])},
    ),
    "currency": (
        '[columns]\ncurrency = "currency"',
        {"currency": few(["EUR", "eur", " EUR ", "USD", "", "€"])},
    ),
    "columns": (
        '[columns]\ncustomer_id = ["phone", "note", { value = "guest" }]\n'
        'order_timestamp = ["order_timestamp", "line", { join = " " }]\n'
        'status = { value = "shipped" }\ncategory = ["category", "note"]',
        {"phone": few(["", "5", " "]), "note": few(["", "a", " b "]), "category": few(["", "Books"]),
         "order_timestamp": few(["2024-01-05", "", "2024-01-05 10:00"]),
         "line": few(["", "10:00", " 23:00 "])},
    ),
}  # fmt: skip
USUAL = {
    "order_timestamp": "2024-01-05", "customer_id": "ada", "product_id": "p1", "category": "",
    "price": "10.00", "quantity": "1", "status": "delivered",
}  # fmt: skip


def exports(key: str) -> st.SearchStrategy[Export]:
    """Exports under the declaration of a key: some forty orders."""
    toml, drawn = KEYS[key]

    def made(rows: list[dict[str, str]]) -> Export:
        numbered = [{"order_id": str(number), **USUAL, **row} for number, row in enumerate(rows)]
        header = tuple(numbered[0])
        return Export(toml, header, tuple(tuple(row.values()) for row in numbered))

    return st.lists(st.fixed_dictionaries(drawn), min_size=1, max_size=40).map(made)


def staged_alike(conn: Connection, directory: Path, export: Export) -> int:
    """What is staged of an export, and why rows are not, is what plain Python reads; returns the lines."""
    path = export.write(directory / "export.csv")
    with conn.begin_nested() as savepoint:
        batch_id = minidw.run(path, conn, feed=export.feed, settings=SETTINGS).loaded.batch_id
        expected = model.stage({batch_id: export.batch}, RULES)
        held = conn.execute(select(*(getattr(OrderLine, name) for name in STAGED)))
        assert {tuple(row) for row in held} == {
            (*order_line, line.time, line.customer, line.product, line.category, line.price, line.quantity,
             line.status, line.discount, line.amount, source_row)
            for order_line, (line, _, source_row) in expected.lines.items()
        }  # fmt: skip
        rejects = select(OrderRejected.batch_id, OrderRejected.source_row, OrderRejected.reasons)
        rejected = {(batch, row): set(reasons) for batch, row, reasons in conn.execute(rejects)}
        assert rejected == expected.rejected
        savepoint.rollback()
    return len(expected.lines)


@pytest.mark.parametrize("examples", [2, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_reads_as_plain_python_does(conn: Connection, tmp_path: Path, key: str, examples: int) -> None:
    staged = 0

    @hypothesis.given(exports(key))
    @hypothesis.settings(
        max_examples=examples, suppress_health_check=list(hypothesis.HealthCheck), database=None
    )
    def some(export: Export) -> None:
        nonlocal staged
        staged += staged_alike(conn, tmp_path, export)

    some()
    assert staged or examples == 2  # of forty rows all may be bad


@pytest.mark.parametrize(
    ("file", "toml", "staged"),
    [
        ("numbers.csv", "", 7),
        ("numbers.csv", '[values]\ndecimal = "."\nreturns = "subtract"\nfree = true', 13),
        ("numbers.csv", '[values]\ndecimal = ","', 2),
        ("timestamps.csv", "", 11),
        ("timestamps.csv", '[values]\ndates = "mdy"\ntime_zone = "America/New_York"', 2),
        ("timestamps.csv", '[values]\ndates = "ymd"', 14),
        ("statuses.csv", "", 3),
        ("statuses.csv", '[status]\nCompleted = "delivered"\n"on hold" = "pending"\nvoided = "cancelled"', 7),
    ],
)
def test_values_as_shops_write_them(
    conn: Connection, tmp_path: Path, file: str, toml: str, staged: int
) -> None:
    with (EXPORTS / file).open(encoding="utf-8", newline="") as text:
        header, *records = csv.reader(text)
    export = Export(toml, tuple(header), tuple(map(tuple, records)))
    assert staged_alike(conn, tmp_path, export) == staged
