"""No wrong number in silence: exports whose cells are swapped and whose formats are mixed.

A sound export of a known shop is damaged at random: cells change places, values are written as other shops
write them, a whole column is. It is read by the feed of the shop, or by one that declares something else.
Then every row that is staged is what a plain-Python reading of the same text says, value by value, and every
other row is rejected for the reasons that this reading gives, each shown with what was delivered.

The numbers by default are small; ``pytest -m slow --proof 10000`` tries as many exports. A seed makes the
same file every time, and a failure prints it.
"""

import csv
import random
import re
import tomllib
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

import minidw
from minidw import OrderLine, OrderRejected, Settings
from minidw.feed.declaration import from_dict
from minidw.feed.known import known_names, known_text
from tests.support import model, plain

ANYTHING = Settings(max_reject_ratio=Decimal(1), currency="USD")
RULES = model.Rules(currency="USD")
STAGED = ("order_id", "line_number", "order_timestamp", "customer_id", "product_id", "category", "price",
          "quantity", "status", "discount", "total_amount", "source_row")  # fmt: skip
TEXTS = [
    "", " ", "0", "-1", "1.5", "1,5", "1.234", "1,234", "1.234,50", "1,234.50", "(5.00)", "$7", "7 €",
    "EUR 3", "12-", "+4", "1e3", "NaN", "?", "01/02/2024", "13/02/2024", "2024-02-30", "2024-05-01", "45296",
    "45296.5", "1704448800", "5.1.24 9:05 PM", "2024-05-01 10:00:00 -0500", "24:00", "paid", "Cancelled",
    "refunded", "USD", "eur", "x", "3.0", "99999999999", "0.00001", "1 000", "1'000.00",
]  # fmt: skip
SAID: list[dict[str, Any]] = [
    {}, {}, {}, {"dates": "dmy"}, {"dates": "mdy"}, {"dates": "iso"}, {"dates": "ymd"}, {"dates": "excel"},
    {"decimal": ","}, {"decimal": "."}, {"price_is": "unit"}, {"price_is": "line"}, {"returns": "subtract"},
    {"returns": "reject"}, {"free": False}, {"time_zone": "Asia/Tokyo"}, {"fill_down": ["customer_id"]},
]  # fmt: skip


def _other_marks(text: str) -> str:
    """1,234.50 as 1.234,50."""
    return text.translate(str.maketrans(".,", ",."))


def _other_order(text: str) -> str:
    """2024-01-05 as 05/01/2024, 05/01/2024 as 01/05/2024."""
    text = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3/\2/\1", text)
    return re.sub(r"^(\d+)/(\d+)/", r"\2/\1/", text)


def damaged(rng: random.Random, records: list[list[str]]) -> None:
    """Swap cells, write values otherwise, one or a whole column."""
    for _ in range(rng.choice([1, 2, 3, 6, 12])):
        one, other = rng.choice(records), rng.choice(records)
        at, to = rng.randrange(len(one)), rng.randrange(len(one))
        match rng.randrange(6):
            case 0:
                one[at], one[to] = one[to], one[at]
            case 1:
                one[at], other[at] = other[at], one[at]
            case 2 | 3:
                one[at] = rng.choice(TEXTS)
            case 4:
                one[at] = rng.choice([_other_marks, _other_order])(one[at])
            case _:
                otherwise = rng.choice([_other_marks, _other_order])
                for record in records:
                    record[at] = otherwise(record[at])


def mutant(seed: int, directory: Path) -> tuple[Path, dict[str, Any], list[dict[str, str]]]:
    """A damaged export, the feed that it is read by, and its rows as plain Python reads them."""
    rng = random.Random(seed)
    name = rng.choice(known_names())
    export = minidw.generate_export(name, directory / "export.csv", orders=4, seed=seed)
    feed = tomllib.loads(known_text(name))
    delimiter = "\t" if feed.get("file", {}).get("delimiter") == "tab" else ","
    with export.path.open(encoding="utf-8", newline="") as file:
        header, *records = csv.reader(file, delimiter=delimiter)
    damaged(rng, records)
    with export.path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *records])
    feed["values"] = feed.get("values", {}) | rng.choice(SAID)
    return export.path, feed, plain.rows(header, records, feed)


def prove(conn: Connection, directory: Path, seeds: range) -> Counter[str]:
    """Run an export per seed; returns how many rows were staged, and rejected by reason."""
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        path, tables, rows = mutant(seed, directory)
        feed = from_dict(tables, name="mutant")
        print(f"{seed=}")
        with conn.begin_nested() as savepoint:
            batch_id = minidw.run(path, conn, feed=feed, settings=ANYTHING).loaded.batch_id
            expected = model.stage({batch_id: model.Batch(rows, tables)}, RULES)
            held = conn.execute(select(*(getattr(OrderLine, name) for name in STAGED)))
            assert {tuple(row) for row in held} == {
                (*key, line.time, line.customer, line.product, line.category, line.price, line.quantity,
                 line.status, line.discount, line.amount, source_row)
                for key, (line, _, source_row) in expected.lines.items()
            }  # fmt: skip
            reasons = select(OrderRejected.source_row, OrderRejected.reasons)
            rejected = {row: set(codes) for row, codes in conn.execute(reasons)}
            assert rejected == {row: codes for (_, row), codes in expected.rejected.items()}
            check_shown(minidw.rejects(batch_id, conn), rows, rejected)
            savepoint.rollback()
        outcomes.update(["staged"] * len(expected.lines))
        outcomes.update(code for codes in rejected.values() for code in codes)
    return outcomes


def check_shown(
    shown: list[minidw.Reject], rows: list[dict[str, str]], rejected: dict[int, set[str]]
) -> None:
    """Each rejected row is listed with all its reasons, each with a column and what was delivered there."""
    listed: dict[int, set[str]] = {}
    for reject in shown:
        assert reject.row is not None
        listed[reject.row] = {fault.reason for fault in reject.faults}
        for fault in reject.faults:
            assert fault.column is not None
            text = (fault.value or "").strip()
            assert text in (rows[reject.row - 1][fault.column], "")
    assert listed == rejected


def test_a_mixed_export_loads_no_wrong_number(conn: Connection, tmp_path: Path) -> None:
    outcomes = prove(conn, tmp_path, range(8))
    assert outcomes["staged"] > 20
    assert len(outcomes) > 3


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_mixed_exports_load_no_wrong_number(
    conn: Connection, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    number = request.config.getoption("--proof") // 5
    outcomes = prove(conn, tmp_path, range(100_000, 100_000 + number))
    print(outcomes)
    assert {"BAD_NUMBER", "BAD_TIMESTAMP", "UNKNOWN_STATUS", "NOT_POSITIVE"} <= outcomes.keys()
