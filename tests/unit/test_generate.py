"""Generated feeds: reproducible, plausible, and as dirty as asked, but never structurally broken."""

import csv
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from minidw.errors import SettingsError
from minidw.generate.orders import (
    ACCEPTED,
    COLUMNS,
    HEADER,
    PRICE_RANGES,
    REJECTED,
    STATUS_WEIGHTS,
    Row,
    generate_orders,
    next_day,
)
from minidw.schema.vocabulary import REQUIRED_COLUMNS

MONDAY, TUESDAY = date(2025, 12, 8), date(2025, 12, 9)


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """30,000 clean orders: more than one block."""
    path = tmp_path_factory.mktemp("clean") / "orders.csv"
    return read(generate_orders(path, rows=30_000, day=MONDAY, seed=1))


class TestReproducible:
    def test_the_same_seed_gives_the_same_bytes_in_another_process(self, tmp_path: Path) -> None:
        here = generate_orders(tmp_path / "here.csv", rows=500, day=MONDAY, seed=7, dirty=0.3)
        script = (
            "import datetime; from pathlib import Path; from minidw.generate import generate_orders;"
            f"generate_orders(Path('there.csv'), rows=500, day={MONDAY!r}, seed=7, dirty=0.3)"
        )
        environment = os.environ | {
            "PYTHONHASHSEED": "12345",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
        assert here.read_bytes() == (tmp_path / "there.csv").read_bytes()

    @pytest.mark.parametrize("seeds", [(7, 8), (None, None)])
    def test_another_seed_or_none_gives_other_rows(
        self, tmp_path: Path, seeds: tuple[int | None, int | None]
    ) -> None:
        one, other = (
            generate_orders(tmp_path / f"{n}.csv", rows=50, day=MONDAY, seed=seed)
            for n, seed in enumerate(seeds)
        )
        assert one.read_bytes() != other.read_bytes()

    def test_the_next_day_brings_new_orders_of_the_same_customers(self, tmp_path: Path) -> None:
        monday = read(generate_orders(tmp_path / "monday.csv", rows=5_000, day=MONDAY, seed=7))
        tuesday = read(generate_orders(tmp_path / "tuesday.csv", rows=5_000, day=TUESDAY, seed=8))

        def values(rows: list[Row], column: str) -> set[str]:
            return {row[column] for row in rows}

        assert values(monday, "order_id").isdisjoint(values(tuesday, "order_id"))
        assert len(values(monday, "customer_id") & values(tuesday, "customer_id")) > 1_000
        assert values(monday, "product_id") == values(tuesday, "product_id")

    def test_dirt_leaves_the_other_rows_as_they_were(self, tmp_path: Path) -> None:
        clean = read(generate_orders(tmp_path / "clean.csv", rows=1_000, day=MONDAY, seed=7))
        dirty = read(generate_orders(tmp_path / "dirty.csv", rows=1_000, day=MONDAY, seed=7, dirty=0.1))
        assert sum(a != b for a, b in zip(clean, dirty, strict=True)) == 100


class TestPlausible:
    def test_every_order_has_its_own_id(self, orders: list[Row]) -> None:
        assert len({row["order_id"] for row in orders}) == len(orders) == 30_000

    def test_the_timestamps_lie_in_2023_to_2025(self, orders: list[Row]) -> None:
        times = [datetime.strptime(row["order_timestamp"], "%Y-%m-%d %H:%M:%S") for row in orders]
        assert datetime(2023, 1, 1) <= min(times) < datetime(2023, 1, 3)
        assert datetime(2025, 12, 30) < max(times) < datetime(2026, 1, 1)

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            (date(2024, 2, 29), date(2024, 2, 29)),
            (date(2026, 1, 1), date(2026, 1, 2)),
            (date.min, date.max),
        ],
    )
    def test_the_range_of_the_days_is_an_argument(self, tmp_path: Path, first: date, last: date) -> None:
        path = generate_orders(
            tmp_path / "o.csv", rows=500, seed=1, first_day=first, last_day=last, dirty=0.1
        )
        days = {row["order_timestamp"][:10] for row in read(path) if row["order_timestamp"][:1].isdigit()}
        days -= {"2024-02-30", "01/02/2024", "1999-12-31"}  # faults
        assert {str(first), str(last)} >= days or (first, last) == (date.min, date.max)
        assert all(first <= date.fromisoformat(day) <= last for day in days)

    def test_a_range_that_ends_before_it_begins_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="first day of the orders, 2026-01-01, is after the last"):
            generate_orders(tmp_path / "orders.csv", first_day=date(2026, 1, 1))

    def test_a_product_has_one_category(self, orders: list[Row]) -> None:
        categories = defaultdict(set)
        for row in orders:
            categories[row["product_id"]].add(row["category"])
        assert {len(found) for found in categories.values()} == {1}
        assert set.union(*categories.values()) == set(PRICE_RANGES)

    def test_prices_have_two_decimals_and_lie_in_the_range_of_the_category(self, orders: list[Row]) -> None:
        for row in orders:
            low, high = PRICE_RANGES[row["category"]]
            assert low <= Decimal(row["price"]) <= high
            assert row["price"][-3] == "."

    def test_quantities_are_mostly_small(self, orders: list[Row]) -> None:
        counts = Counter(int(row["quantity"]) for row in orders)
        assert set(counts) == set(range(1, 9))
        assert counts[1] > counts[2] > counts[4] > counts[8]

    def test_statuses_follow_their_weights(self, orders: list[Row]) -> None:
        counts = Counter(row["status"] for row in orders)
        shares = {status: 100 * count / len(orders) for status, count in counts.items()}
        assert shares == pytest.approx(STATUS_WEIGHTS, abs=1)


class TestDirty:
    @pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
    def test_the_share_is_exact_and_every_row_has_all_its_fields(self, tmp_path: Path, share: float) -> None:
        clean = read(generate_orders(tmp_path / "clean.csv", rows=2_000, day=MONDAY, seed=3))
        dirty = read(generate_orders(tmp_path / "dirty.csv", rows=2_000, day=MONDAY, seed=3, dirty=share))
        assert sum(a != b for a, b in zip(clean, dirty, strict=True)) == 2_000 * share

    def test_every_other_dirty_row_is_to_be_rejected(self, tmp_path: Path) -> None:
        # Given a file of nothing but dirty rows, one for each kind of rejected fault
        count = 2 * len(REJECTED)
        rows = read(generate_orders(tmp_path / "dirty.csv", rows=count, day=MONDAY, seed=3, dirty=1))
        # Then the accepted ones have valid numbers, and the rejected ones each their fault
        assert all(Decimal(row["price"]) > 0 and int(row["quantity"]) > 0 for row in rows[::2])
        assert {row["price"] for row in rows[1::2]} >= {"NaN", "1,234.50", "1e3", "0.00", "-Infinity"}
        assert dict(zip(COLUMNS, COLUMNS, strict=True)) in rows[1::2]

    def test_it_repeats_and_corrects_earlier_rows(self, tmp_path: Path) -> None:
        # Given as many dirty rows as bring every accepted fault once
        count = 2 * len(ACCEPTED)
        path = generate_orders(tmp_path / "dirty.csv", rows=count, day=MONDAY, seed=3, dirty=1)
        # When the accepted ones are grouped by order
        orders = defaultdict(list)
        for row in read(path)[::2]:
            orders[row["order_id"]].append(row)
        (first, duplicate), (wrong, right) = (rows for rows in orders.values() if len(rows) > 1)
        # Then one order is there twice, and another one with a new quantity
        assert first == duplicate
        assert wrong | {"quantity": right["quantity"]} == right != wrong

    def test_a_quoted_fault_is_one_field(self, tmp_path: Path) -> None:
        path = generate_orders(tmp_path / "dirty.csv", rows=100, day=MONDAY, seed=3, dirty=1)
        assert ',"1,234.50",' in path.read_text(encoding="utf-8")


class TestFile:
    def test_it_has_the_columns_of_the_input_contract(self) -> None:
        assert sorted(COLUMNS) == sorted(REQUIRED_COLUMNS)

    def test_it_is_named_after_the_day(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert generate_orders(rows=3, day=MONDAY) == Path("data/raw/orders_20251208.csv")
        assert len(read(tmp_path / "data/raw/orders_20251208.csv")) == 3

    def test_no_rows_give_a_header(self, tmp_path: Path) -> None:
        path = generate_orders(tmp_path / "orders.csv", rows=0, dirty=1)
        assert path.read_text(encoding="utf-8") == HEADER + "\n"

    def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "orders.csv"
        path.write_text("old")

        def full_disk(*_: object) -> Iterator[list[str]]:
            yield ["half a feed\n"]
            assert path.read_text() == "old"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("minidw.generate.orders._blocks", full_disk)
        with pytest.raises(SettingsError, match=r"^cannot write .*orders\.csv: No space left on device$"):
            generate_orders(path)
        assert [(left.name, left.read_text()) for left in tmp_path.iterdir()] == [("orders.csv", "old")]

    @pytest.mark.parametrize("target", ["file/orders.csv", "directory", "/", "/dev/null"])
    def test_an_unwritable_place_is_one_clear_line(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "directory").mkdir()
        with pytest.raises(SettingsError, match=f"^cannot write .*{target}: .+$"):
            generate_orders(tmp_path / target, rows=1)

    def test_without_faker_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "faker", None)
        with pytest.raises(SettingsError, match=r"pip install 'minidw\[all\]'"):
            generate_orders(tmp_path / "orders.csv")

    def test_a_negative_count_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="rows must not be negative, but is -1"):
            generate_orders(tmp_path / "orders.csv", rows=-1)

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_a_share_is_between_0_and_1(self, tmp_path: Path, share: float) -> None:
        with pytest.raises(SettingsError, match="dirty must lie between 0 and 1"):
            generate_orders(tmp_path / "orders.csv", dirty=share)


class TestNextDay:
    @pytest.mark.parametrize(
        ("feeds", "expected"),
        [
            ([], MONDAY),
            (["orders_20251201.csv", "orders_20251207.csv"], MONDAY),
            (["orders_20251208.csv"], TUESDAY),
            (["orders_20251208.csv", "orders_20251231.csv"], date(2026, 1, 1)),
            (["orders_20251399.csv", "orders_99991231.csv", "orders_latest.csv"], MONDAY),
            (["orders_20251208.csv.bak", "returns_20251208.csv"], MONDAY),
        ],
    )
    def test_it_is_today_or_the_day_after_the_newest_feed(
        self, tmp_path: Path, feeds: list[str], expected: date
    ) -> None:
        for feed in feeds:
            (tmp_path / feed).touch()
        assert next_day(tmp_path, today=MONDAY) == expected

    def test_it_is_today_where_there_is_no_directory(self, tmp_path: Path) -> None:
        assert next_day(tmp_path / "none", today=MONDAY) == MONDAY
