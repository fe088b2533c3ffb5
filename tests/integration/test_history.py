"""What became of each delivery of an order, and what held when."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection

import minidw
from minidw import Settings

WriteFeed = Callable[..., Path]


def test_every_delivery_of_an_order(conn: Connection, feed: WriteFeed) -> None:
    # Given an order that was delivered in four batches, and a fifth that took the place of the third
    lenient = Settings(max_reject_ratio=Decimal(1))
    for prices in ("1 | 9\n1 | 10\n2 | 1", "1 | x", "1 | 12", "1 | 13"):
        minidw.run(feed(f"order_id | price\n{prices}"), conn, settings=lenient)
    minidw.run(feed("order_id | price\n1 | 10"), conn, replace=3)

    rows = minidw.history(" 1\t", conn)

    assert [(row["batch_id"], row["source_row"], row["price"], row["fate"]) for row in rows] == [
        (1, 1, 9, "superseded"),
        (1, 2, 10, "inserted"),
        (2, 1, None, "rejected"),
        (5, 1, 10, "unchanged"),
        (4, 1, 13, "updated"),
    ]
    assert [row["reasons"] for row in rows if row["reasons"]] == [["BAD_NUMBER"]]
    held = [(row["held_from"], row["held_until"]) for row in rows if row["held_from"]]
    assert held[0][1] == held[1][0]
    assert held[1][1] is None


def test_an_order_that_nobody_delivered(conn: Connection, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), conn)
    assert minidw.history("7", conn) == []
    assert minidw.history("\0", conn) == []
