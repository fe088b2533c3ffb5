"""Each known feed: an export of its shop, from the file to the revenue that its generator knows."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

import minidw
from minidw import BadFileError, CustomerLtv, DailyRevenue, ProductRevenue, Settings, SettingsError
from minidw.feed.known import known_names
from tests.support.terminal import Cli

LEFT_OPEN = {"woocommerce": ["values.time_zone"], "square": ["values.time_zone"]}
"""What inspect asks of an export, beside what its feed says: of the others nothing."""
SET_ASIDE = {"amazon": {"NO_AMOUNT"}, "shopify": {"OTHER_CURRENCY"}}
"""Why rows of an export are not staged."""


@pytest.mark.parametrize("orders", [150, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", known_names())
def test_an_export_of_a_shop_comes_to_its_revenue(conn: Connection, name: str, orders: int) -> None:
    export = minidw.generate_export(name, orders=orders, seed=orders)
    settings = Settings(currency=export.currency)

    (staged,) = minidw.run(export.path, conn, feed=minidw.named_feed(name), settings=settings).staged

    assert staged.reasons.keys() == SET_ASIDE.get(name, set())
    assert export.lines > orders
    daily = select(func.sum(DailyRevenue.revenue), func.sum(DailyRevenue.order_lines))
    assert tuple(conn.execute(daily).one()) == (export.revenue, export.lines)
    assert conn.scalar(select(func.sum(CustomerLtv.lifetime_value))) == export.revenue
    assert conn.scalar(select(func.sum(ProductRevenue.total_revenue))) == export.revenue
    if orders == 1_000:  # it takes longer than all else
        assert minidw.verify(conn, settings=settings).differences == []


@pytest.mark.parametrize("name", known_names())
def test_an_export_of_a_shop_is_recognised(name: str) -> None:
    export = minidw.generate_export(name, orders=50, seed=1)
    with pytest.raises(BadFileError, match=f"this looks like an? .* export: --feed {name}$"):
        minidw.run(export.path)
    found = minidw.inspect(export.path)
    assert (found.known, found.fault) == (name, None)
    assert [finding.key for finding in found.questions] == LEFT_OPEN.get(name, [])


def test_a_generated_export_is_the_same_for_the_same_seed(cli: Cli, tmp_path: Path) -> None:
    one, other, same = (
        minidw.generate_export("square", tmp_path / f"{n}.csv", orders=9, seed=n % 2) for n in (1, 2, 3)
    )
    assert one.path.read_bytes() == same.path.read_bytes() != other.path.read_bytes()
    assert one.revenue == same.revenue != other.revenue
    for options in (["--as", "shop"], ["--as", "etsy", "--from", "2025-01-02", "--to", "2025-01-01"]):
        assert cli("generate", *options).code == 2
    with pytest.raises(SettingsError, match="orders must not be negative"):
        minidw.generate_export("etsy", orders=-1)


def test_generate_and_load_an_export_on_the_command_line(cli: Cli) -> None:
    code, out, err = cli("generate", "--as", "etsy", "--orders", "40", "--seed", "1", "--json")
    export = json.loads(out)
    assert (code, err, export["path"], export["orders"]) == (0, "", "data/exports/etsy.csv", 40)
    code, out, err = cli("generate", "--as", "etsy", "--orders", "40", "--seed", "1")
    assert (code, err) == (
        2,
        "minidw: data/exports/etsy.csv is there already; it is written over only where that is asked for\n",
    )
    code, out, err = cli("generate", "--as", "etsy", "--orders", "40", "--seed", "1", "--force")
    assert (
        f"come to {Decimal(export['revenue']):,}; CURRENCY=USD minidw run data/exports/etsy.csv --feed etsy"
        in out
    )
