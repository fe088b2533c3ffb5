"""verify finds what differs, why explains a row, preview shows what a file would change."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw.errors import BadFileError, SettingsError
from minidw.settings import Settings
from tests.support.feeds import write_feed
from tests.support.servers import Copies, engine_like, filled

WriteFeed = Callable[..., Path]


@pytest.fixture(scope="module")
def shops(server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """Three order lines of two customers, and a reject; the price of order 2 was corrected."""
    directory = tmp_path_factory.mktemp("shop")
    may = write_feed(
        directory / "may.csv",
        "order_id | customer_id | price\n1 | ada | 10\n2 | ada | 20\n3 | bob | 5\n4 | bob | x",
    )
    june = write_feed(directory / "june.csv", "order_id | customer_id | price\n2 | ada | 25")

    def fill(settings: Settings) -> None:
        minidw.run(may, settings=replace(settings, max_reject_ratio=Decimal(1)))
        minidw.run(june, settings=settings)

    with filled(server, engine, "minidw_shop", fill) as copies:
        yield copies


@pytest.fixture
def shop(shops: Copies, engine: Engine) -> Iterator[Engine]:
    """The shop, in a database of the test's own."""
    with shops.one() as url, engine_like(engine, url) as own:
        yield own


def execute(engine: Engine, statement: str) -> None:
    """Something that nobody should do."""
    with engine.begin() as conn:
        conn.execute(text(statement))


def test_a_sound_warehouse_has_no_differences(shop: Engine) -> None:
    verified = minidw.verify(shop)
    assert (verified.differences, verified.changes_waiting) == ([], 0)
    assert verified.tables == {
        "raw.orders_all": 0,
        "raw.lines_malformed": 0,
        "raw.batches": 0,
        "staging.orders_totals": 0,
        "staging.orders_rejected": 0,
        "staging.orders_stg": 0,
        "staging.orders_changes": 0,
        "mart.daily_revenue": 0,
        "mart.customer_ltv": 0,
        "mart.product_revenue": 0,
        "mart.customer_segments": 0,
    }


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "UPDATE mart.daily_revenue SET revenue = 1",
            {("mart.daily_revenue", "held"), ("mart.daily_revenue", "due")},
        ),
        ("DELETE FROM mart.customer_segments WHERE customer_id = 'bob'", {("mart.customer_segments", "due")}),
        (
            "INSERT INTO mart.product_revenue VALUES ('p9', 'x', 1, 1, 1)",
            {("mart.product_revenue", "held")},
        ),
        ("DELETE FROM staging.orders_rejected", {("staging.orders_rejected", "due")}),
        (
            "UPDATE staging.orders_stg SET source_row = 7 WHERE order_id = '3'",
            {("staging.orders_stg", "held"), ("staging.orders_stg", "due")},
        ),
    ],
)
def test_verify_shows_both_sides_of_a_difference(
    shop: Engine, damage: str, found: set[tuple[str, str]]
) -> None:
    execute(shop, damage)
    assert {(difference.table, difference.side) for difference in minidw.verify(shop).differences} == found


def test_verify_gives_the_differing_rows(shop: Engine) -> None:
    execute(shop, "UPDATE mart.customer_segments SET segment = 'VIP' WHERE customer_id = 'bob'")
    held, due = minidw.verify(shop).differences[::-1]
    assert held.row == {"customer_id": "bob", "lifetime_value": Decimal(5), "segment": "VIP"}
    assert due.row["segment"] == "Low"


def test_verify_of_a_sample_is_right_about_its_part(shop: Engine) -> None:
    assert minidw.verify(shop, sample=0.5).differences == []
    execute(shop, "DELETE FROM mart.daily_revenue")
    assert len(minidw.verify(shop, sample=1).differences) == 1
    with pytest.raises(SettingsError, match="above 0 and up to 1"):
        minidw.verify(shop, sample=2)


def test_verify_says_that_changes_wait(shop: Engine, feed: WriteFeed) -> None:
    minidw.load_raw(feed("order_id\n9"), shop)
    minidw.build_staging(shop)
    assert minidw.verify(shop).changes_waiting == 1


def test_verify_in_a_caller_s_transaction_leaves_nothing(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), conn)
    assert minidw.verify(conn).differences == []
    assert minidw.verify(conn).differences == []


def test_why_a_row_is_what_it_is(shop: Engine) -> None:
    lines = minidw.why("customer_ltv", "ada", shop)
    assert [
        (line["order_id"], line["total_amount"], line["file_name"], line["raw_price"]) for line in lines
    ] == [
        ("1", Decimal(10), "may.csv", "10"),
        ("2", Decimal(25), "june.csv", "25"),
    ]


def test_why_follows_a_derived_mart_to_its_source(shop: Engine) -> None:
    assert minidw.why(minidw.CustomerSegments, "bob", shop)[0]["source_row"] == 3


def test_why_takes_every_column_of_a_key(shop: Engine) -> None:
    assert len(minidw.why("mart.product_revenue", ("p1", "books"), shop)) == 3
    assert len(minidw.why("daily_revenue", date(2024, 5, 1), shop)) == 3
    assert minidw.why("daily_revenue", "2024-05-02", shop) == []


@pytest.mark.parametrize(
    ("mart", "message"),
    [
        ("profit", "there is no mart 'profit'; there are daily_revenue, customer_ltv"),
        ("product_revenue", "product_revenue has the key product_id, category: give 2 values"),
    ],
)
def test_why_says_what_it_needs(shop: Engine, mart: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        minidw.why(mart, "p1", shop)


def test_a_preview_shows_old_and_new_values_largest_first(shop: Engine, feed: WriteFeed) -> None:
    path = feed(
        """
        order_id | customer_id | price | status
        3        | bob         | 5     | cancelled
        2        | ada         | 600   | shipped
        5        | eve         | 1     | shipped
        """
    )

    seen = minidw.preview(path, shop)

    assert (seen.result.staged[0].updated, seen.result.staged[0].inserted) == (2, 1)
    customers = next(mart for mart in seen.marts if mart.mart == "customer_segments")
    assert (customers.gained, customers.lost, customers.changed) == (1, 1, 1)
    assert [(row.key["customer_id"], row.before, row.after) for row in customers.rows] == [
        (
            "ada",
            {"lifetime_value": Decimal(35), "segment": "Low"},
            {"lifetime_value": Decimal(610), "segment": "Medium"},
        ),
        ("bob", {"lifetime_value": Decimal(5), "segment": "Low"}, None),
        ("eve", None, {"lifetime_value": Decimal(1), "segment": "Low"}),
    ]


def contents(engine: Engine) -> dict[str, Any]:
    """Every row of every table, and every sequence that a reader can see."""
    found: dict[str, Any] = {}
    with engine.connect() as conn:
        for name in minidw.Mart.metadata.tables:
            found[name] = sorted(map(str, conn.execute(text(f"SELECT * FROM {name}"))))
        found["sequences"] = conn.execute(text("SELECT * FROM pg_sequences ORDER BY 2")).all()
        found["numbering"] = conn.execute(text("SELECT * FROM raw.orders_raw_source_row_seq")).all()
    return found


def test_a_preview_leaves_the_database_as_it_was(shop: Engine, feed: WriteFeed, tmp_path: Path) -> None:
    good, broken = feed("order_id\n7\n8"), tmp_path / "broken.csv"
    broken.write_text(good.read_text().replace("10.00", "x"))
    before = contents(shop)

    minidw.preview(good, shop)
    with pytest.raises(BadFileError, match="TOO_MANY_REJECTS"):
        minidw.preview(broken, shop)

    assert contents(shop) == before


def test_a_preview_in_a_caller_s_transaction_takes_only_itself_back(
    conn: Connection, feed: WriteFeed
) -> None:
    minidw.run(feed("order_id\n1"), conn)
    assert minidw.preview(feed("order_id\n2"), conn, rows=0).marts[0].changed == 1
    assert conn.scalar(text("SELECT count(*) FROM staging.orders_stg")) == 1


def test_a_changed_rule_is_noticed_and_its_rows_are_judged_again(warehouse: Engine, feed: WriteFeed) -> None:
    rows = """
        order_id | order_timestamp
        1        | 2024-05-01
        2        | 1999-05-01
        3        | 2024-06-01
        4        | 2024-06-01
        5        | 2024-06-01
        """
    minidw.run(feed(rows), warehouse)
    wider = Settings(order_date_min=date(1999, 1, 1))

    result = minidw.run(feed("order_id\n9"), warehouse, settings=wider, accept_rules=True)

    assert result.replayed is not None
    assert (result.replayed.reason, result.replayed.batches) == ("the rules of staging changed", 1)
    assert (result.replayed.appeared, result.replayed.ceased, result.replayed.rejected) == (1, 0, 0)
    assert minidw.verify(warehouse, settings=wider).differences == []

    narrower = minidw.set_rules({"ORDER_DATE_MIN": date(2024, 6, 1)}, warehouse)
    assert narrower.replayed is not None
    assert (narrower.replayed.ceased, narrower.replayed.rejected) == (3, 3)


def test_a_replay_on_demand_changes_nothing_where_nothing_changed(shop: Engine) -> None:
    lenient = Settings(max_reject_ratio=Decimal(1))
    replayed = minidw.build_staging(shop, replay=True, settings=lenient).replayed
    assert replayed is not None
    assert (replayed.batches, replayed.appeared, replayed.ceased, replayed.rejected) == (2, 0, 0, 1)
