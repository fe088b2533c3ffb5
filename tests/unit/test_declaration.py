"""Declarations: what can be said of a feed, each fault one line, and the feeds that are known."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from minidw.errors import BadFileError, SettingsError
from minidw.feed import Feed, survey
from minidw.feed.column import Column
from minidw.feed.declaration import from_dict, from_text, from_toml, to_dict
from minidw.feed.known import known_feed, known_names, known_text, named_feed, recognised

EVERYTHING = """
description = "Mine: all of it"
recognise = ["Order", "Amount"]

[file]
delimiter = ";"
encoding = "cp1252"
skip_lines = 2

[columns]
order_id = "Order"
order_timestamp = ["Date", "Time", { join = " " }]
customer_id = ["Email", "Phone", { value = "guest" }]
category = { value = "" }
discount = ["Discount", { value = 0 }]

[values]
dates = "dmy"
time_zone = "Europe/Berlin"
decimal = ","
fill_down = ["status", "customer_id"]
lines = "number"
price_is = "line"
returns = "subtract"
free = true

[status]
paid = "delivered"
"On hold" = "pending"
"""


def test_every_key_is_read() -> None:
    assert from_text(EVERYTHING, name="mine", shown="mine.toml") == Feed(
        name="mine",
        description="Mine: all of it",
        recognise=("Order", "Amount"),
        delimiter=";",
        encoding="cp1252",
        skip_lines=2,
        columns={
            "order_id": Column(("Order",)),
            "order_timestamp": Column(("Date", "Time"), join=" "),
            "customer_id": Column(("Email", "Phone"), constant="guest"),
            "category": Column(constant=""),
            "discount": Column(("Discount",), constant="0"),
        },
        dates="dmy",
        time_zone="Europe/Berlin",
        decimal=",",
        fill_down=("status", "customer_id"),
        lines="number",
        price_is="line",
        returns="subtract",
        free=True,
        status={"paid": "delivered", "On hold": "pending"},
    )


def test_the_ledger_gives_back_what_it_keeps() -> None:
    mine = from_text(EVERYTHING, name="mine", shown="mine.toml")
    for feed in (mine, *map(known_feed, known_names()), Feed()):
        assert from_dict(json.loads(json.dumps(to_dict(feed)))) == feed
    assert to_dict(Feed()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[values", "this is no TOML: "),
        ("[vaules]", "vaules: there is no such key; did you mean 'values'?"),
        ("dates = 'dmy'", "dates: there is no such key; "),
        ("[values]\ndate = 'dmy'", "[values] date: there is no such key; did you mean 'dates'?"),
        ("[values]\ndates = 'dmyy'", "dates: 'dmyy' is none of iso, dmy, mdy, ymd, epoch, excel"),
        ("[values]\ndates = 1", "[values] dates: must be a text, but is 1"),
        ("[values]\ntime_zone = 'Mars/Base'", "time_zone: 'Mars/Base' is no time zone; "),
        ("[values]\ntime_zone = '../UTC'", "time_zone: '../UTC' is no time zone; "),
        ("[values]\ndecimal = ';'", "decimal: ';' is none of ., ,"),
        ("[values]\nfill_down = ['order_id']", "fill_down: 'order_id' is none of order_timestamp, "),
        ("[values]\nfill_down = 'status'", "[values] fill_down: must be a list of columns, but is 'status'"),
        ("[values]\nfree = 1", "[values] free: must be true or false, but is 1"),
        ("[file]\nskip_lines = true", "[file] skip_lines: must be a number, but is True"),
        ("[file]\nskip_lines = -1", "skip_lines: must not be negative, but is -1"),
        ("[file]\ndelimiter = ',,'", "delimiter: must be one ASCII character"),
        ("[file]\nencoding = 'x'", "encoding: there is no text encoding 'x'"),
        ("[columns]\nordre_id = 'x'", "columns: 'ordre_id' is none of order_id, "),
        ("[columns]\nprice = 1", "columns: price: write a column as "),
        ("[columns]\nprice = ''", "columns: price: write a column as "),
        ("[columns]\nprice = []", "columns: price: it names no column"),
        ("[columns]\nprice = {}", "columns: price: it names no column"),
        ("[columns]\nprice = { valeu = '1' }", "columns: price: 'valeu' is neither value nor join"),
        ("[columns]\nprice = { value = 1.5 }", "columns: price: value and join are texts"),
        ("[columns]\nprice = ['a', { join = ' ' }]", "columns: price: join is for two columns or more"),
        ("[columns]\nprice = [{ value = 'x' }, 'a']", "columns: price: write a column as "),
        ("[status]\npaid = 'sold'", "status: 'paid' is 'sold', which is none of pending, "),
        ("[status]\nback = 'returned'", "status: 'back' is 'returned', which is none of pending, "),
        ("[status]\npaid = 1", "[status] paid: must be a text, but is 1"),
        ("[status]\npaid = 'shipped'\nPAID = 'pending'", "status: 'PAID' is declared twice: "),
        ("recognise = [1]", "recognise: must be a text, but is 1"),
    ],
)
def test_each_fault_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(SettingsError) as fault:
        named_feed(str(tmp_path / "my.toml"))
    assert str(fault.value).startswith(f"feed {tmp_path / 'my.toml'}: {message}")
    assert "\n" not in str(fault.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"description = 'caf\xe9'")
    with pytest.raises(SettingsError, match=r"latin\.toml: cannot be read: it is not in UTF-8$"):
        from_toml(tmp_path / "latin.toml")
    with pytest.raises(SettingsError, match=r"gone\.toml: cannot be read: No such file"):
        from_toml(tmp_path / "gone.toml")
    with pytest.raises(SettingsError, match="there is no feed 'shopfy'; known are amazon, "):
        named_feed("shopfy")


def test_the_known_feeds() -> None:
    assert known_names() == (
        "amazon", "etsy", "magento", "online-retail", "shopify", "square", "superstore", "woocommerce",
    )  # fmt: skip
    for name in known_names():
        feed = known_feed(name)
        assert feed.name == name
        assert "evenue" in feed.description
        assert "recognise" in known_text(name)
        assert recognised(feed.recognise) == feed


@pytest.mark.parametrize("name", known_names())
def test_a_known_header_names_its_feed(tmp_path: Path, name: str) -> None:
    feed = known_feed(name)
    header = list(dict.fromkeys([*feed.recognise, *(n for c in feed.columns.values() for n in c.names)]))
    path = tmp_path / "export.csv"
    path.write_text(feed.delimiter.join(header).upper() + "\n")
    assert survey(path, feed).rows == 0
    for other in (Feed(), Feed(columns={"price": "x"})):
        with pytest.raises(BadFileError, match=f"this looks like an? .* export: --feed {name}$"):
            survey(path, other)


@pytest.mark.parametrize(
    ("declared", "header", "missing"),
    [
        ({"customer_id": ["Email", "Phone"]}, "Phone", None),
        ({"customer_id": ["Email", "Phone"]}, "Fax", "customer_id=Email or Phone"),
        ({"customer_id": ["Date", "Time", {"join": " "}]}, "Date", "customer_id=Date Time"),
        ({"customer_id": {"value": "guest"}}, "note", None),
        ({"category": ["Kind", {"value": ""}], "customer_id": "Who"}, "Who", None),
        ({"discount": "Rebate", "customer_id": "Who"}, "Who", "discount=Rebate"),
        ({"category": "customer_id"}, "customer_id", "customer_id"),
    ],
)
def test_a_header_must_have_what_is_declared(
    tmp_path: Path, declared: dict[str, object], header: str, missing: str | None
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(f"order_id,order_timestamp,product_id,category,price,quantity,status,{header}\n")
    if missing is None:
        assert survey(path, Feed(columns=declared)).rows == 0
        return
    with pytest.raises(BadFileError, match=f"no column {missing}; the header has .*--set "):
        survey(path, Feed(columns=declared))


def test_what_a_value_is_made_of_keeps_the_name_that_the_feed_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("NR,e-mail ,order_timestamp,product_id,category,price,quantity,status\n")
    feed = survey(path, Feed(columns={"order_id": "nr", "customer_id": ["E-Mail", {"value": "guest"}]}))
    assert feed.header[:2] == ("NR", "E-Mail")
    assert feed.columns[:3] == ("order_id", None, "order_timestamp")


def test_what_decides_how_rows_are_judged() -> None:
    plain = Feed(columns={"order_id": "Nr", "category": {"value": ""}}, delimiter=";", lines="number")
    assert plain.translation == Feed().translation
    for change in (
        {"dates": "dmy"},
        {"columns": {"order_id": ["Nr", "Id"]}},
        {"columns": {"order_id": "Nr", "customer_id": "nr"}},
        {"columns": {"discount": "Rebate"}},
        {"status": {"paid": "delivered"}},
    ):
        assert replace(plain, **change).translation != plain.translation
