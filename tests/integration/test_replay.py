"""All batches judged again: the example in the docstring of the fates is what the database finds."""

import re
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, select

import minidw
from minidw import Settings
from minidw.steps.replay import judge_again
from minidw.transforms.replay import create_fates, fates


def the_example() -> list[dict[str, str]]:
    """The rows of the table in the docstring, by the columns of its ruler."""
    _, ruler, header, _, *rows = re.findall(r"^ +(.*)", create_fates.__doc__ or "", re.MULTILINE)[:8]
    starts = [match.span() for match in re.finditer("=+", ruler)]
    names = [header[start:end].strip() for start, end in starts]
    return [
        {name: row[start:end].strip() for name, (start, end) in zip(names, starts, strict=True)}
        for row in rows
    ]


def test_the_fates_are_those_of_the_example(conn: Connection, feed: Callable[..., Path]) -> None:
    # Given an order line that was delivered as in the example
    example = the_example()
    assert len(example) == 4
    for batch_id in dict.fromkeys(row["batch_id"] for row in example):
        rows = [f"A1 | {row['price']}" for row in example if row["batch_id"] == batch_id]
        minidw.run(feed("\n".join(["order_id | price", *rows])), conn)
    # When all of it is judged again
    judge_again(conn, Settings().rules)
    conn.execute(create_fates())
    # Then every row has the fate that the example says
    found = conn.execute(select(*fates.c).order_by(fates.c.batch_id, fates.c.source_row)).mappings()
    shown = [{name: "" if value is None else str(value) for name, value in row.items()} for row in found]
    assert shown == [{column.name: row[column.name] for column in fates.c} for row in example]
