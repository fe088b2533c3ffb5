"""Marts that were made elsewhere and put here whole: the warehouse leaves them as they are."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update

import minidw
from minidw import DailyRevenue, MartBuild, SettingsError
from minidw.schema.vocabulary import PUBLISHED


@pytest.fixture
def published(conn: Connection) -> Connection:
    minidw.build_marts(conn)
    conn.execute(insert(DailyRevenue).values(order_date=date(2024, 5, 1), revenue=5, order_lines=1))
    conn.execute(update(MartBuild).values(method=PUBLISHED, reason="run 7 of the lake /data/lake"))
    return conn


def test_nothing_is_built_over_them(published: Connection) -> None:
    built = minidw.build_marts(published).built
    assert {(mart.method, mart.reason) for mart in built} == {("none", "run 7 of the lake /data/lake")}
    assert published.scalar(select(func.count()).select_from(DailyRevenue)) == 1


def test_they_agree_with_nothing_that_is_here(published: Connection) -> None:
    assert not any(outcome.failed for outcome in minidw.run_checks(published).checked)
    assert minidw.verify(published).differences == []


def test_a_file_is_refused_until_they_are_the_warehouse_s_own(
    published: Connection, feed: Callable[..., Path]
) -> None:
    path = feed("order_id\n1")
    with pytest.raises(
        SettingsError, match=r"^the marts here are published, from run 7 of the lake /data/lake"
    ):
        minidw.run(path, published)
    assert published.scalar(select(func.count()).select_from(minidw.Batch)) == 0

    minidw.build_marts(published, full=True)
    assert minidw.run(path, published).built[0].rows == 1
