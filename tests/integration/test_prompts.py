"""What destroys asks on a real terminal, says what would be lost, and does it on a yes alone."""

from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from tests.support.feeds import write_feed
from tests.support.terminal import INTERRUPT, converse

# The command, and what it says will be lost.
DESTROYING = {
    "rules --set SEGMENT_VIP=20000": "this changes 1 rule and all that follows. Go on? Type yes: ",
    "run new.csv --replace 1": "this takes 1 batch with 2 rows out of raw. Go on? Type yes: ",
    "unload 2": "this takes 1 batch with 1 row out of raw. Go on? Type yes: ",
    "prune --before 2100-01-01": "from raw for good. Go on? Type yes: ",
    "erase c1": "by pseudonyms for good. Go on? Type yes: ",
    "migrate --down": "this goes back to base, which drops tables: ",
}
END = "\x04"


@pytest.fixture
def shop(warehouse: Engine, database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """Given a warehouse of two batches, and a third file."""
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "200")
    minidw.run(write_feed(tmp_path / "first.csv", "order_id\n1\n2"), warehouse)
    minidw.run(write_feed(tmp_path / "second.csv", "order_id\n3"), warehouse)
    write_feed(tmp_path / "new.csv", "order_id\n1\n4")
    # A forked process must not meet the connections of this one.
    warehouse.dispose()
    return warehouse


def held(engine: Engine) -> list[str]:
    """What the commands could destroy."""
    query = "SELECT to_jsonb(t)::text FROM {} AS t ORDER BY 1"
    with engine.connect() as conn:
        found = [
            row
            for table in (
                "raw.batches",
                "raw.orders_all",
                "raw.rules",
                "staging.orders_stg",
                "mart.customer_ltv",
            )
            for row in conn.scalars(text(query.format(table)))
        ]
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("reply", "code", "last"),
    [
        ("no\n", 2, "nothing was done"),
        ("\n", 2, "nothing was done"),
        pytest.param(END, 2, "nothing was done", marks=pytest.mark.slow),
        pytest.param("yes!\n", 2, "nothing was done", marks=pytest.mark.slow),
        pytest.param(INTERRUPT, 130, "interrupted", marks=pytest.mark.slow),
    ],
    ids=["no", "enter", "end", "almost", "interrupt"],
)
def test_without_a_yes_nothing_is_done(shop: Engine, reply: str, code: int, last: str) -> None:
    before = held(shop)
    for command, question in DESTROYING.items():
        outcome = converse(command.split(), reply)
        assert outcome.code == code, outcome.out
        assert question in outcome.out, outcome.out
        assert outcome.out.splitlines()[-1].startswith(f"minidw: {last}"), outcome.out
    assert held(shop) == before


def test_on_a_yes_it_is_done(shop: Engine) -> None:
    """One after the other, so that the last drops it all."""
    for command, question in DESTROYING.items():
        outcome = converse(command.split(), "yes\n")
        assert question in outcome.out, outcome.out
        assert outcome.code == 0, outcome.out
    with shop.connect() as conn:
        assert conn.scalar(text("SELECT to_regclass('raw.batches')")) is None


def test_with_yes_nobody_is_asked(shop: Engine) -> None:
    outcome = converse(["prune", "--before", "2100-01-01", "--yes"], "")
    assert (outcome.code, "Type yes" in outcome.out) == (0, False)
