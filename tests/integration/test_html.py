"""The page: its numbers are those of the marts, and whatever the data says, it is text."""

import html
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select

import minidw
from minidw import CustomerLtv, DailyRevenue, ProductRevenue
from tests.support.feeds import write_feed


def tables(page: str) -> dict[str, list[list[str]]]:
    """The tables of a page by their labels, header first."""
    found = {}
    for label, table in re.findall(r'aria-label="Table: ([^"]+)"><table>(.*?)</table>', page, re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table)
        found[label] = [
            [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
        ]
    return found


def column(table: list[list[str]], name: str) -> list[Decimal]:
    """The numbers of a column."""
    at = table[0].index(name)
    return [Decimal(row[at].replace(",", "")) for row in table[1:]]


@pytest.fixture(scope="module")
def conn(engine: Engine) -> Iterator[Connection]:
    """A small warehouse, rolled back at the end."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@pytest.fixture(scope="module")
def empty(conn: Connection, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report before there is anything."""
    path = tmp_path_factory.mktemp("empty") / "report.html"
    return minidw.write_report(path, conn).read_text()


@pytest.fixture(scope="module")
def page(empty: str, conn: Connection, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the warehouse."""
    assert empty
    directory = tmp_path_factory.mktemp("report")
    rows = """
    order_id | line_number | order_timestamp | customer_id | product_id | category | price | status
    1 | 1 | 2024-01-05 10:00:00 | ada | p1 | books | 10.25 | delivered
    1 | 2 | 2024-01-05 10:00:00 | ada | p2 | toys | 1234.50 | delivered
    2 | 1 | 2024-02-01 23:00:00 | ada | p1 | books | 0.1250 | shipped
    3 | 1 | 2024-02-02 00:00:00 | </script> | <b> | "&quot; | 7 | pending
    4 | 1 | 2024-02-03 00:00:00 | bob | p1 | books | 99 | cancelled
    5 | 1 | 2024-02-03 00:00:00 | bob | p1 | books | free | delivered
    """
    settings = minidw.Settings(max_reject_ratio=Decimal(1))
    minidw.run(write_feed(directory / "shop.csv", rows), conn, settings=settings)
    return minidw.write_report(directory / "report.html", conn, settings=settings).read_text()


def test_every_number_is_that_of_the_mart(page: str, conn: Connection) -> None:
    shown = tables(page)
    for mart, amount, title, name in (
        (DailyRevenue, DailyRevenue.revenue, "Revenue per day", "revenue"),
        (CustomerLtv, CustomerLtv.lifetime_value, "Top customers", "lifetime value"),
        (ProductRevenue, ProductRevenue.total_revenue, "Top products", "total revenue"),
        (ProductRevenue, ProductRevenue.total_revenue, "Revenue by category", "revenue"),
        (CustomerLtv, CustomerLtv.lifetime_value, "Cohorts", "revenue"),
        (DailyRevenue, DailyRevenue.revenue, "Weekday and hour", "revenue"),
        (DailyRevenue, DailyRevenue.revenue, "Average order", "revenue"),
    ):
        due: Any = conn.scalar(select(func.sum(amount)).select_from(mart))
        assert sum(column(shown[title], name)) == due, title


def test_an_order_of_two_lines_is_one_order(page: str) -> None:
    months = tables(page)["Average order"]
    assert column(months, "orders") == [1, 2]
    assert column(months, "average order") == [Decimal("1244.75"), Decimal("3.56")]


def test_a_late_hour_and_a_rejected_row_are_there(page: str) -> None:
    shown = tables(page)
    assert ["Thu", "23", "0.1250", "1"] in shown["Weekday and hour"]
    assert [row[1:] for row in shown["Rejected rows"][1:]] == [["BAD_NUMBER", "1"]]
    assert shown["Batches"][1][4:] == ["5", "0", "0", "0", "1"]


def test_data_is_text_and_never_markup(page: str) -> None:
    assert page.count("</script>") == 3
    assert "<b>" not in page.split("<script")[0]
    specs = json.loads(re.findall(r'type="application/json">(.*?)</script>', page)[0])
    assert any("</script>" in str(spec) for spec in specs.values())


def test_the_page_is_one_small_file_without_a_network(page: str) -> None:
    assert len(page.encode()) < 1.5 * 2**20
    head = page.split("<script")[0]
    assert "default-src 'none'" in head
    assert re.findall(r"(?:src|href)=", head) == []


def test_an_empty_warehouse_has_a_page_too(empty: str) -> None:
    assert "The warehouse is empty" in empty


def test_a_page_that_cannot_be_written_is_one_line(conn: Connection, tmp_path: Path) -> None:
    with pytest.raises(minidw.SettingsError, match=r"cannot write .*: No such file or directory"):
        minidw.write_report(tmp_path / "nowhere" / "report.html", conn)
