"""Real exports, each from its file to the right revenue in one command, and what a feed says to judging."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

import minidw
from minidw import (
    BadFileError,
    Batch,
    DailyRevenue,
    Feed,
    OrderLine,
    OrderRejected,
    Settings,
    SettingsError,
)
from minidw.feed import named_feed
from minidw.feed.declaration import from_text
from tests.support.terminal import Cli

EXPORTS = Path(__file__).parents[1] / "data" / "exports"
Lines = list[tuple[str, str, str]]
UTC_JAN_5 = datetime(2024, 1, 5, 15)

# file, feed, rules, order lines (order, amount, status), rejects
RIGHT: dict[str, tuple[str, Feed, dict[str, str], Lines, list[str]]] = {
    "shopify": (
        "shopify.csv",
        named_feed("shopify"),
        {"currency": "USD"},
        [("#1001", "40.00", "delivered"), ("#1001", "30.00", "delivered")],
        ["OTHER_CURRENCY"],
    ),
    "shopify, blank statuses": (
        "shopify_blankstatus.csv",
        named_feed("shopify"),
        {"currency": "USD"},
        [("#1", "40", "delivered"), ("#1", "30", "delivered")]
        + [(f"#{order}", "10", "delivered") for order in range(2, 12)],
        [],
    ),
    "woocommerce": (
        "woo.csv",
        named_feed("woocommerce"),
        {},
        [
            ("801", "40", "delivered"),
            ("801", "30", "delivered"),
            ("802", "20", "pending"),
            ("803", "20", "pending"),
        ],
        [],
    ),
    "etsy": ("etsy.csv", named_feed("etsy"), {"currency": "USD"}, [("2328983501", "18.99", "delivered")], []),
    "amazon": (
        "amazon.txt",
        named_feed("amazon"),
        {"currency": "USD"},
        [("113-1111111-1111111", "40", "shipped"), ("113-1111111-1111113", "20", "pending")],
        ["NO_AMOUNT"],
    ),
    "superstore": (
        "superstore.csv",
        named_feed("superstore"),
        {},
        [("CA-2020-152156", "261.96", "delivered")],
        [],
    ),
    "returns": (
        "refunds.csv",
        Feed(returns="subtract"),
        {},
        [("5101", "300", "delivered"), ("5101", "-100", "returned")]
        + [(order, "100", "delivered") for order in ("5102", "5103", "5104")],
        ["UNKNOWN_STATUS"],
    ),
    "currency": (
        "currency.csv",
        Feed(columns={"currency": "currency"}),
        {"currency": "USD"},
        [("5001", "100", "delivered")],
        ["OTHER_CURRENCY"],
    ),
    "thousands": ("thousands.csv", Feed(decimal="."), {}, [("4001", "1234.50", "delivered")], []),
    "sep=": ("sep.csv", Feed(), {}, [("4001", "20", "delivered")], []),
    "preamble": ("preamble.csv", Feed(skip_lines=3), {}, [("4001", "20", "delivered")], []),
    "index of pandas": (
        "pandasindex.csv",
        Feed(),
        {},
        [("4001", "20", "delivered"), ("4002", "20", "delivered")],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_an_export_comes_to_the_right_amounts(conn: Connection, name: str) -> None:
    file, feed, rules, lines, rejects = RIGHT[name]
    settings = Settings(**rules)  # type: ignore[arg-type]

    minidw.run(EXPORTS / file, conn, feed=feed, settings=settings)

    found = conn.execute(
        select(OrderLine.order_id, OrderLine.total_amount, OrderLine.status).order_by(OrderLine.source_row)
    )
    assert [tuple(row) for row in found] == [
        (order, Decimal(str(amount)), status) for order, amount, status in lines
    ]
    assert [
        reason for (reasons,) in conn.execute(select(OrderRejected.reasons)) for reason in reasons
    ] == rejects
    # And judging it again gives the same, which verify sees as well
    replayed = minidw.build_staging(conn, replay=True, settings=settings).replayed
    assert replayed is not None
    assert (replayed.appeared, replayed.ceased) == (0, 0)
    assert minidw.verify(conn, settings=settings).differences == []


def test_values_of_the_exports(conn: Connection) -> None:
    settings = Settings(currency="USD")
    for file, name in (
        ("shopify.csv", "shopify"),
        ("amazon.txt", "amazon"),
        ("superstore.csv", "superstore"),
    ):
        minidw.run(EXPORTS / file, conn, feed=named_feed(name), settings=settings)
    line = OrderLine
    found = {
        (row.order_id, row.line_number): (row.order_timestamp, row.price, row.quantity, row.customer_id)
        for row in conn.execute(
            select(
                line.order_id,
                line.line_number,
                line.order_timestamp,
                line.price,
                line.quantity,
                line.customer_id,
            )
        )
    }
    assert found["#1001", 2] == (UTC_JAN_5, Decimal(30), 1, "ada@example.com")
    assert found["113-1111111-1111111", 1] == (datetime(2024, 3, 10, 7, 30), 20, 2, "m1@marketplace.example")
    assert found["113-1111111-1111113", 1][3] == "guest"
    assert found["CA-2020-152156", 1] == (datetime(2020, 11, 8), Decimal("130.98"), 2, "CG-12520")


@pytest.mark.parametrize("feeds", [3, pytest.param(len(RIGHT), marks=pytest.mark.slow)])
def test_batches_of_several_feeds_are_judged_again_each_by_its_own(conn: Connection, feeds: int) -> None:
    settings = Settings(currency="USD")
    for file, feed, _, _, _ in list(RIGHT.values())[:feeds]:
        minidw.run(EXPORTS / file, conn, feed=feed, settings=settings, force=True)
    before = {tuple(row) for row in conn.execute(select(*OrderLine.__table__.c))}
    replayed = minidw.build_staging(conn, replay=True, settings=settings).replayed
    assert replayed is not None
    assert replayed.batches == feeds
    assert {tuple(row) for row in conn.execute(select(*OrderLine.__table__.c))} == before
    for sample in (None, 0.5):
        assert minidw.verify(conn, sample=sample, settings=settings).differences == []
    # And one of them can be taken back
    minidw.unload(1, conn, settings=settings)
    assert minidw.verify(conn, settings=settings).differences == []
    assert conn.scalar(select(OrderLine.order_id).where(OrderLine.order_id == "#1001")) is None


def test_the_warehouse_decides_the_day(conn: Connection) -> None:
    minidw.run(EXPORTS / "tz.csv", conn, settings=Settings(time_zone="America/New_York"))
    days = conn.execute(select(DailyRevenue.order_date, DailyRevenue.order_lines))
    # A1 is at 23:30 in New York; the others name no offset and are UTC
    assert {tuple(row) for row in days} == {(date(2024, 1, 5), 2), (date(2024, 3, 9), 1)}


def test_a_status_that_cancels_an_order_of_before(conn: Connection) -> None:
    minidw.run(EXPORTS / "ref1.csv", conn)
    minidw.run(EXPORTS / "ref2.csv", conn, feed=Feed(status={"Refunded": "cancelled"}))
    assert conn.scalar(select(DailyRevenue.revenue)) == 40


def test_a_return_in_a_later_file_does_not_replace_what_was_sold(
    conn: Connection, feed: Callable[..., Path]
) -> None:
    returns = Feed(returns="subtract")
    minidw.run(feed("order_id | price | quantity\n1 | 100 | 3"), conn, feed=returns)
    minidw.run(feed("order_id | price | quantity\n1 | 100 | -1"), conn, feed=returns)
    assert conn.scalar(select(DailyRevenue.revenue)) == 200


def test_a_currency_needs_that_of_the_warehouse(conn: Connection) -> None:
    with pytest.raises(SettingsError, match="CURRENCY=USD"):
        minidw.run(EXPORTS / "currency.csv", conn, feed=Feed(columns={"currency": "currency"}))


def test_a_file_of_rejects_alone_is_refused(conn: Connection) -> None:
    with pytest.raises(BadFileError, match=r"TOO_MANY_REJECTS: .*OTHER_CURRENCY"):
        minidw.run(EXPORTS / "etsy.csv", conn, feed=named_feed("etsy"), settings=Settings(currency="EUR"))


def test_the_ledger_keeps_the_feed_and_says_what_differs(conn: Connection) -> None:
    minidw.run(EXPORTS / "thousands.csv", conn, feed=Feed(decimal="."))
    assert conn.scalar(select(Batch.feed)) == {"values": {"decimal": "."}}
    again = minidw.run(EXPORTS / "thousands.csv", conn, feed=Feed(decimal=","))
    assert again.loaded.skipped
    assert again.loaded.otherwise == ("values.decimal was ., now ,",)


def test_every_key_can_be_said_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Exported today\n"
        "Nr;Date;Time;Mail;Phone;SKU;Net;Qty;State;Off\n"
        "1;31.1.2024;9:05 PM;;555;p1;1.234,50 €;2;Paid;0\n"
        "1;;;;;p2;(20,00);1;;0\n"
        "2;01.02.2024;;a@x.org;;p3;0,00;1;on hold;0\n"
    )
    code, out, err = cli(
        "run", str(path), "--json", "--skip-lines", "1", "--delimiter", ";",
        "--column", "order_id=Nr", "--column", "order_timestamp=Date", "--column", "customer_id=Mail",
        "--column", "customer_id=Phone", "--set", "customer_id=guest", "--column", "product_id=SKU",
        "--set", "category=misc", "--column", "price=Net", "--column", "quantity=Qty",
        "--column", "status=State",
        "--column", "discount=Off", "--dates", "dmy", "--time-zone", "Europe/Berlin", "--decimal", ",",
        "--price-is", "line", "--returns", "subtract", "--free", "--fill-down", "order_timestamp,status",
        "--fill-down", "customer_id", "--status", "paid=delivered", "--status", "On hold=pending",
        "--number-lines",
    )  # fmt: skip
    assert (code, err) == (0, "")
    (staged,) = json.loads(out)["results"][0]["staged"]
    assert (staged["inserted"], staged["rejected"]) == (3, 0)


def test_the_known_feeds_are_listed_and_shown(cli: Cli) -> None:
    code, out, _ = cli("feeds")
    assert code == 0
    assert "shopify" in out
    code, out, _ = cli("feeds", "show", "shopify")
    assert (code, 'order_id = "Name"' in out) == (0, True)


def test_inspect_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    path, feed = EXPORTS / "ref2.csv", tmp_path / "my.toml"
    code, out, err = cli("inspect", str(path), "--write", str(feed))
    assert (code, err) == (0, "")
    assert "ref2.csv: utf-8, 8 columns by ',', lines end in LF, 5 rows" in out
    assert f"Answer 1 question in {feed}, then: minidw run {path} --feed {feed}" in out
    assert 'refunded = "?"' in feed.read_text()
    # And nothing is written over
    code, _, err = cli("inspect", str(path), "--write", str(feed))
    assert (code, err) == (2, f"minidw: {feed} is there already; --force writes over it\n")
    code, out, _ = cli("inspect", str(path), "--status", "refunded=cancelled", "--json", "--write", str(feed),
                       "--force")  # fmt: skip
    document = json.loads(out)
    assert (code, document["questions"], document["written"]) == (0, [], str(feed))
    assert from_text(feed.read_text(), name="my", shown="my").status == {"refunded": "cancelled"}
    code, _, err = cli("inspect", str(path), "--write", str(tmp_path / "no" / "my.toml"))
    assert (code, err) == (2, f"minidw: cannot write {tmp_path}/no/my.toml: No such file or directory\n")


def test_a_feed_that_inspect_wrote_reads_the_file_once_its_questions_are_answered(
    conn: Connection, tmp_path: Path
) -> None:
    path, feed = tmp_path / "export.csv", tmp_path / "my.toml"
    path.write_text(
        "Order No;Date;E-Mail;SKU;Amount;Qty;State;Unit Price\n"
        "A1;1.2.2024 10:00;a@x.org;p1;2.468,00;2;Paid;1.234,00\n"
        "A1;;;p2;-5,50;-1;;5,50\n"
        "A2;2.1.2024 9:30 PM;b@x.org;p1;1.234,00;1;On hold;1.234,00\n"
    )
    found = minidw.inspect(path)
    feed.write_text(found.toml)
    with pytest.raises(SettingsError, match="is a question still"):
        minidw.run(path, conn, feed=named_feed(feed))
    answers = {
        "dates": "dmy", "time_zone": "Europe/Berlin", "returns": "subtract", "Paid": "delivered",
        '"On hold"': "pending",
    }  # fmt: skip
    assert len(found.questions) == len(answers)
    toml = found.toml
    for key, answer in answers.items():
        toml = toml.replace(f'{key} = "?"', f'{key} = "{answer}"')
    feed.write_text(toml)

    minidw.run(path, conn, feed=named_feed(feed))

    line = OrderLine
    held = select(line.order_id, line.order_timestamp, line.total_amount, line.status)
    assert [tuple(row) for row in conn.execute(held.order_by(line.source_row))] == [
        ("A1", datetime(2024, 2, 1, 9), Decimal(2468), "delivered"),
        ("A1", datetime(2024, 2, 1, 9), Decimal("-5.5"), "returned"),
        ("A2", datetime(2024, 1, 2, 20, 30), Decimal(1234), "pending"),
    ]


def test_a_feed_without_questions_reads_the_file_at_once(cli: Cli, tmp_path: Path) -> None:
    feed = str(tmp_path / "my.toml")
    for file in ("thousands.csv", "superstore.csv", "preamble.csv"):
        assert cli("inspect", str(EXPORTS / file), "--write", feed, "--force").code == 0
        code, out, err = cli("run", str(EXPORTS / file), "--feed", feed, "--json")
        (staged,) = json.loads(out)["results"][0]["staged"]
        assert (code, err, staged["rows_read"], staged["rejected"]) == (0, "", 1, 0)


@pytest.mark.parametrize(
    ("currency", "set_aside"),
    [(None, []), ("USD", [2, 3, 5]), ("EUR", [4, 5, 6]), ("GBP", [2, 3, 4, 6]), ("AUD", [2, 3, 4, 5])],
)
def test_a_price_that_names_another_currency_is_set_aside(
    conn: Connection, feed: Callable[..., Path], currency: str | None, set_aside: list[int]
) -> None:
    prices = ["20.00", "€20.00", "EUR 20.00", "20.00 USD", "(£20.00)", "$20.00"]
    path = feed("order_id | price\n" + "\n".join(f"{n} | {price}" for n, price in enumerate(prices, 1)))
    settings = Settings(currency=currency, max_reject_ratio=Decimal(1))
    minidw.run(path, conn, feed=Feed(decimal=".", returns="subtract"), settings=settings)
    rejected = select(OrderRejected.source_row, OrderRejected.reasons).order_by(OrderRejected.source_row)
    assert [(row, reasons) for row, reasons in conn.execute(rejected)] == [
        (row, ["OTHER_CURRENCY"]) for row in set_aside
    ]
    assert [reject.faults[0].column for reject in minidw.rejects(1, conn)] == ["price"] * len(set_aside)
