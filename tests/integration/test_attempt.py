"""One attempt: its result, and its line in the ledger, which says no failure once the work is committed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select

import minidw
from minidw import Run, SettingsError
from minidw.pipeline.result import Result

WriteFeed = Callable[..., Path]


def outcomes(engine: Engine) -> list[tuple[str, str | None]]:
    """The ledger's lines: what was asked for, and how it failed."""
    with engine.connect() as conn:
        rows = conn.execute(select(Run.command, Run.failure).order_by(Run.started_at))
        return [(command, failure) for command, failure in rows]


def test_a_result_has_what_its_command_does(warehouse: Engine, feed: WriteFeed) -> None:
    ran = minidw.run(feed("order_id\n1"), warehouse)
    assert (ran.file, ran.loaded.batch_id, ran.staged[0].inserted) == ("feed_001.csv", 1, 1)

    built = minidw.build_marts(warehouse)
    with pytest.raises(AttributeError, match="build loads no file: its result has no 'loaded'"):
        _ = built.loaded
    with pytest.raises(AttributeError, match="run prunes nothing: its result has no 'pruned'"):
        _ = ran.pruned


def test_a_result_is_ready_for_json_with_null_for_what_was_not_done() -> None:
    assert json.loads(json.dumps(Result("build").as_dict())) == {
        "command": "build",
        "file": None,
        "loaded": None,
        "replayed": None,
        "staged": [],
        "built": [],
        "checked": [],
        "pruned": None,
        "erased": [],
        "rules": [],
        "unloaded": [],
        "moved": None,
        "seconds": {},
    }


def test_what_goes_wrong_after_the_commit_is_no_failure_of_the_run(
    warehouse: Engine, feed: WriteFeed
) -> None:
    # Given an engine whose connections cannot be given back, once
    def refuse(*_: object) -> None:
        event.remove(warehouse, "checkin", refuse)
        raise OSError("the pool is closed")

    event.listen(warehouse, "checkin", refuse)
    # When a run commits on such a connection
    result = minidw.run(feed("order_id\n1"), warehouse)
    # Then it was done, and nobody says otherwise
    assert result.loaded.batch_id == 1
    assert outcomes(warehouse) == [("run", None)]


def test_what_goes_wrong_before_the_commit_is_noted_once(warehouse: Engine, feed: WriteFeed) -> None:
    def give_up(_: int) -> None:
        raise SettingsError("enough")

    with pytest.raises(SettingsError, match="enough"):
        minidw.run(feed("order_id\n1"), warehouse, progress=give_up)
    assert outcomes(warehouse) == [("run", "enough")]


def test_a_failure_in_the_caller_s_transaction_is_the_caller_s(warehouse: Engine, feed: WriteFeed) -> None:
    def give_up(_: int) -> None:
        raise SettingsError("enough")

    with warehouse.begin() as conn, pytest.raises(SettingsError):
        minidw.run(feed("order_id\n1"), conn, progress=give_up)
    assert outcomes(warehouse) == []
