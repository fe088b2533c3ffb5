"""Exports of several feeds: their declarations, and random rows in the words of each."""

import csv
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from minidw import Feed
from minidw.feed.declaration import from_text
from tests.support import deliveries, model, plain

_COLUMNS = """
[columns]
order_id = "Nr"
order_timestamp = {time}
customer_id = ["Email", "Phone", {{ value = "guest" }}]
product_id = "SKU"
category = "Kind"
price = "Price"
quantity = "Qty"
status = "State"
discount = "Off"
currency = ["Currency", {{ value = "EUR" }}]
line_number = "Line"
"""
_ONE = _COLUMNS.format(time='"When"')
FEEDS = {
    "contract": "",
    "european": _ONE
    + """
[values]
dates = "dmy"
time_zone = "Europe/Berlin"
decimal = ","
lines = "given"
[status]
bezahlt = "delivered"
"Storniert" = "cancelled"
""",
    "american": _COLUMNS.format(time='["Day", "When", { join = " " }]')
    + """
[values]
dates = "mdy"
time_zone = "America/New_York"
decimal = "."
price_is = "line"
returns = "subtract"
free = true
fill_down = ["order_timestamp", "customer_id", "status"]
lines = "number"
[status]
paid = "delivered"
void = "cancelled"
""",
    "machine": _ONE
    + """
[values]
dates = "epoch"
returns = "subtract"
lines = "given"
""",
    "workbook": _ONE
    + """
[values]
dates = "excel"
price_is = "line"
lines = "given"
[status]
paid = "shipped"
""",
    "asian": _ONE
    + """
[values]
dates = "ymd"
time_zone = "Asia/Tokyo"
free = true
lines = "given"
""",
}
"""By name; the first declares nothing."""

_TIMES = {
    "european": ["1.5.2024 10:00", "01/05/2024", "31.3.2024 02:30", "27-10-24 02:30:15", "5.13.2024",
                 "1.5.24, 9:05 PM", "2024-05-01", "1.5.2024 10:00 +0100"],
    "american": ["5/1/2024 10:00", "05-01-24 12:00 AM", "3/10/2024 2:30", "11/3/2024 1:30", "13/1/2024",
                 "12/31/23 11:59:59 pm", "5/1/2024 13:00 PM", ""],
    "machine": ["1714557600", "1714557600123", "171455760", "2024-05-01", "99999999999"],
    "workbook": ["45413", "45413.4375", "45413.99999", "4541", "1.5.2024", "45413."],
    "asian": ["2024/5/1", "24.05.01 0:30", "2024-05-01T23:30", "1/5/2024 ", "2024/5/1 24:00"],
}  # fmt: skip
_PRICES = {
    "european": ["10", "10,00", "1.234,50", "1.234", "€ 3 000,5", "0,0001", "12.50", "1.23,4", "-1",
                 "9999,99999"],
    "american": ["10", "$10.00", "1,234.50", "(5.00)", "-7.10", "20.00-", "0", "EUR", "1.234,5", "100.001"],
    "machine": ["10", "10.00", "-10", "700", "1e3", "0", "+5", ".5"],
    "workbook": ["261.96", "10", "0.0003", "-1", "22.36800", "x", "NaN"],
    "asian": ["10", "0", "0.00", "700", "-0.5"],
}  # fmt: skip
_QUANTITIES = {
    "european": ["1", "2", "1,0", "1.000", "0", "1,5"],
    "american": ["1", "3", "-1", "-2", "(1)", "1.0", "7"],
    "machine": ["1", "2", "-2", "-1.0", "0"],
    "workbook": ["1", "2", "3", "7", "-1"],
    "asian": ["1", "2", "3.0", ""],
}
_STATUSES = {
    "european": ["bezahlt", "BEZAHLT ", "storniert", "pending", "Canceled", "paid"],
    "american": ["paid", "Paid", "void", "", "delivered", "refunded"],
    "workbook": ["paid", "shipped", "PAID", "x"],
}


@dataclass(frozen=True)
class Export:
    """An export: the TOML of its feed, and its records."""

    toml: str
    header: tuple[str, ...]
    records: tuple[tuple[str, ...], ...]

    @cached_property
    def declared(self) -> dict[str, Any]:
        return tomllib.loads(self.toml)

    @property
    def feed(self) -> Feed:
        return from_text(self.toml, name="", shown="feed")

    @property
    def batch(self) -> model.Batch:
        """What a plain-Python reading makes of it."""
        return model.Batch(plain.rows(self.header, self.records, self.declared), self.declared)

    def write(self, path: Path) -> Path:
        """As CSV."""
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self.header, *self.records])
        return path


def exports(feed: str, max_size: int = 8) -> st.SearchStrategy[Export]:
    """Random exports of a feed; those of different feeds bring the same orders."""
    if feed == "contract":
        names = deliveries.COLUMNS
        return deliveries.batches.map(
            lambda rows: Export("", names, tuple(tuple(row[name] for name in names) for row in rows))
        )
    values = {
        "Nr": ["1", "2", "3", " 3", "4", ""],
        "When": _TIMES[feed],
        "Email": ["ada", "bob", ""],
        "Phone": ["eve ", ""],
        "SKU": ["p1", "p2"],
        "Kind": ["books", " Toys", ""],
        "Price": _PRICES[feed],
        "Qty": _QUANTITIES[feed],
        "State": _STATUSES.get(feed, ["delivered", "Shipped", "cancelled", "paid"]),
        "Off": ["", "", "0", "1", "-1", "5,00", "700"],
        "Currency": ["", "EUR", "eur", "USD"],
        "Line": ["1", "1", "2", "0", ""],
    }
    if feed == "american":
        values = {"Day": values.pop("When"), "When": [""], **values}
    row = st.tuples(*map(st.sampled_from, values.values()))
    return st.lists(row, min_size=1, max_size=max_size).map(
        lambda found: Export(FEEDS[feed], tuple(values), tuple(found))
    )
