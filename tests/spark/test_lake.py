"""A lake holds what a warehouse holds, row by row, whatever comes in whatever pieces."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func
from sqlalchemy.orm import Mapped

import minidw
from minidw import BadFileError, Mart, Settings, SettingsError, WarehouseBusyError, count, key, ratio, total
from minidw.cli import main
from minidw.engines import spark as lakes
from minidw.feed import named_feed
from tests.support import servers
from tests.support.lakes import of_lake, of_warehouse
from tests.support.own_marts import create_tables, for_a_while

EXPORTS = Path(__file__).parents[1] / "data" / "exports"
pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark"), pytest.mark.timeout(900)]


@pytest.fixture
def settings(warehouse: Engine, database: Any) -> Settings:
    return Settings(url=database, max_reject_ratio=Decimal("0.5"))


@pytest.fixture
def other(server: Any, engine: Engine) -> Iterator[Engine]:
    """A second warehouse, on which PostgreSQL does what Spark does."""
    engine.dispose()
    with servers.temporary_database(server, "minidw_beside", template="minidw_session") as url:
        beside = minidw.create_engine(Settings(url=url))
        yield beside
        beside.dispose()


def test_two_runs_hold_what_a_warehouse_holds(
    tmp_path: Path, settings: Settings, other: Engine, feed: Callable[..., Path]
) -> None:
    lake = tmp_path / "lake"
    first = feed(
        """
        order_id | order_timestamp     | customer_id | product_id | price   | quantity | status
        1        | 2024-01-05 10:00:00 | ada         | p1         | 10.0000 | 3        | shipped
        2        | 2024-01-31 23:30:00 | bob         | p2         | 3000.5  | 1        | pending
        3        | 2024-02-01          | ada         | p1         | 7       | 1        | cancelled
        4        | 2024-03-10 12:00:00 | eve         | p1         | x       | 0        | shipped
        4        | 2024-03-10 12:00:00 | eve         | p1         | 5       | 1        | shipped
        4        | 2024-03-10 12:00:00 | eve         | p1         | 6       | 1        | shipped
        5        | 2024-06-30T20:00:00-05:00 | é     | p3         | 0.3333  | 3        | delivered
        """
    )
    second = feed(
        """
        order_id | order_timestamp     | customer_id | product_id | price   | quantity | status
        1        | 2024-02-05 10:00:00 | ada         | p1         | 10      | 3        | shipped
        2        | 2024-01-31 23:30:00 | bob         | p2         | 3000.50 | 1        | pending
        6        | 2024-01-01          | bob         | p1         | 1       | 1        | delivered
        """
    )
    third = feed(
        "order_id | order_timestamp | price\n6 | 2024-01-01 | 2\n3 | 2024-02-01 | none\n3 | 2024-02-01 | 8"
    )

    done = lakes.run([first], lake=lake, settings=settings)
    again = lakes.run([first, second, third], lake=lake, settings=settings)
    for path in (first, second, third):
        minidw.run(path, other, settings=settings)

    assert of_lake(lake, settings) == of_warehouse(other)
    assert done.months == 4
    assert [loaded.skipped for loaded in again.loaded] == [True, False, False]
    # Order 1 moved from January to February; what is in March and July was not touched.
    assert again.months == 2
    assert [built.method for built in again.built] == ["incremental", "full", "full", "full"]
    assert lakes.run([first], lake=lake, settings=settings).run == 0
    tables = lakes.status(lake=lake, settings=settings)
    assert {row["runs"] for row in tables["tables"]} == {"1, 2"}
    assert lakes.verify(lake=lake, settings=settings).differences == []

    # A damage is found.
    import pyarrow as pa
    import pyarrow.parquet as pq

    from minidw.engines.spark.catalog import read_lake

    cut, _ = read_lake(str(lake), settings)
    held = Path(cut.files("staging.orders_stg")[0])
    rows = pq.read_table(held, partitioning=None)
    pq.write_table(rows.set_column(3, "customer_id", pa.array(["zoe"] * len(rows))), held)
    held.with_name(f".{held.name}.crc").unlink()
    assert lakes.verify(lake=lake, settings=settings).tables["staging.orders_stg"] > 0


def test_a_file_that_is_refused_leaves_nothing(
    tmp_path: Path, settings: Settings, feed: Callable[..., Path]
) -> None:
    from minidw.engines.spark.catalog import lake_transaction

    lake = tmp_path / "lake"
    sound, bad = feed("order_id\n1"), feed("order_id | price\n1 | x\n2 | 3")
    cut_off = tmp_path / "cut.csv"
    cut_off.write_bytes(sound.read_bytes()[:-20])

    with pytest.raises(BadFileError, match=r"^cut\.csv:2: TRUNCATED: "):
        lakes.run([sound, cut_off], lake=lake, settings=settings)
    with pytest.raises(
        BadFileError, match=r"TOO_MANY_REJECTS: 1 of 2 rows rejected \(BAD_NUMBER 1\).*price 'x'"
    ):
        lakes.run([sound, bad], lake=lake, settings=Settings(url=settings.url))
    with pytest.raises(SettingsError, match="there is no lake"):
        lakes.status(lake=lake, settings=settings)
    busy = pytest.raises(WarehouseBusyError, match=r"the lake .* is in use by process")
    with lake_transaction(str(lake), settings, wait=True), busy:
        lakes.run([sound], lake=lake, wait=False, settings=settings)
    with pytest.raises(SettingsError, match="standard input"):
        lakes.run(["-"], lake=lake, settings=settings)


def test_marts_are_published_and_stay(
    tmp_path: Path, settings: Settings, warehouse: Engine, feed: Callable[..., Path]
) -> None:
    lake = tmp_path / "lake"
    lakes.run([feed('order_id | customer_id\n1 | a,"b\n2 | c')], lake=lake, settings=settings)
    published = lakes.publish(lake=lake, settings=settings)

    held, there = of_warehouse(warehouse), of_lake(lake, settings)
    marts = [name for name in held if name.startswith("mart.")]
    assert published.run == 1
    assert {name: held[name] for name in marts} == {name: there[name] for name in marts}
    # What the warehouse does by itself leaves them alone, and says why.
    built = minidw.build_marts(warehouse, settings=settings).built
    assert {mart.method for mart in built} == {"none"}
    assert of_warehouse(warehouse) == held
    assert minidw.verify(warehouse, settings=settings).differences == []
    with pytest.raises(SettingsError, match="the marts here are published, from run 1 of the lake"):
        minidw.run(feed("order_id\n9"), warehouse, settings=settings)
    minidw.build_marts(warehouse, full=True, settings=settings)
    minidw.run(feed("order_id\n9"), warehouse, settings=settings)
    with pytest.raises(SettingsError, match="has batches of its own"):
        lakes.publish(lake=lake, settings=settings)


@pytest.fixture
def _own() -> Iterator[None]:
    with for_a_while():
        yield


@pytest.mark.usefixtures("_own")
def test_feeds_marts_of_ones_own_and_other_rules(
    tmp_path: Path, settings: Settings, warehouse: Engine, other: Engine, feed: Callable[..., Path]
) -> None:
    class PerMonth(Mart):
        """Net revenue per month of the order and status. One row per month and status."""

        __tablename__ = "per_month"
        condition = None
        month: Mapped[date] = key(lambda line: func.date_trunc("month", line.order_timestamp))
        status: Mapped[str] = key(lambda line: line.status)
        net: Mapped[Decimal] = total(lambda line: line.total_amount / Decimal("1.19"))
        thirds: Mapped[int] = total(lambda line: line.price / 3)
        order_lines: Mapped[int] = count()
        per_line: Mapped[Decimal] = ratio("net", "order_lines")

    lake, rules = tmp_path / "lake", Settings(url=settings.url, max_reject_ratio=Decimal(1), currency="USD")
    shopify, export = named_feed("shopify"), EXPORTS / "shopify.csv"
    plain = feed("order_id | line_number | price | customer_id\n9 | 1 | 100 | ada\n9 | 2 | 0.01 | ada")
    for bind in (warehouse, other):
        with bind.begin() as conn:
            create_tables(conn)

    lakes.run([export], lake=lake, feed=shopify, settings=rules)
    lakes.run([plain], lake=lake, settings=rules)
    minidw.run(export, other, feed=shopify, settings=rules)
    minidw.run(plain, other, settings=rules)
    assert of_lake(lake, rules) == of_warehouse(other)
    refused = "NO_LINE_NUMBERS: 1 order is staged with several lines, such as 9"
    with pytest.raises(BadFileError, match=refused):
        lakes.run([feed("order_id | price\n9 | 5")], lake=lake, settings=rules)

    changes = {"ORDER_DATE_MIN": "2024-02-01", "SEGMENT_VIP": "100", "SEGMENT_HIGH": "50"}
    changes["SEGMENT_MEDIUM"] = "1"
    for bind in (warehouse, other):
        minidw.set_rules(changes, bind, settings=rules)
    again = lakes.run([plain], lake=lake, settings=rules)
    assert (again.replayed, again.months, again.loaded[0].skipped) == (2, None, True)
    assert of_lake(lake, rules) == of_warehouse(other)


def test_from_the_command_line(
    tmp_path: Path,
    settings: Settings,
    database: Any,
    feed: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    paths = [str(feed("order_id\n1\n2")), str(feed("order_id | price\n1 | 5"))]

    def command(*words: str) -> Any:
        capsys.readouterr()
        assert main(["spark", *words, "--lake", "lake", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    for number, path in enumerate(paths, 1):
        (done,) = command("run", path)["results"]
        assert done["run"] == number
    assert [row["order_lines"] for row in command("report")["daily revenue"]] == [2]
    (row,) = command("sql", "SELECT sum(revenue) AS revenue FROM daily_revenue")["rows"]
    assert row == {"revenue": "15.0000"}
    assert command("status")["batches"][1]["updated"] == 1
    (gone,) = command("prune", "--keep", "1", "--yes")["results"]
    assert gone["runs"] == [1]
    assert gone["files"] > 0
    assert {row["runs"] for row in command("status")["tables"]} == {"2"}
    assert command("verify")["differences"] == []
    assert main(["spark", "sql", "SELECT nonsense", "--lake", "lake"]) == 2
    assert main(["spark", "report", "--lake", "elsewhere"]) == 2
    assert "there is no lake in" in capsys.readouterr().err
