"""A commit that builds marts is told to who listens: after it, once, and nothing else is."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.orm import Session

import minidw
from minidw import Notice, Run
from tests.support.terminal import Cli

MARTS = ("daily_revenue", "customer_ltv", "product_revenue", "customer_segments")


LAST = Notice(UUID(int=0), "last", ())
Told = Callable[[], list[Notice]]


def send(engine: Engine, payload: str) -> None:
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_notify('minidw', :payload)"), {"payload": payload})


@pytest.fixture
def told(warehouse: Engine) -> Iterator[Told]:
    """What was told since the test began, up to now."""
    notices = minidw.listen(warehouse)

    def all_of_them() -> list[Notice]:
        send(warehouse, LAST.as_text())
        return list(iter(lambda: next(notices), LAST))

    yield all_of_them
    notices.close()


def test_what_builds_marts_is_told_in_the_order_of_the_commits(
    warehouse: Engine, told: Told, feed: Callable[..., Path]
) -> None:
    first, second = feed("order_id | price\n1 | 10"), feed("order_id | price\n1 | 20")
    # When marts are built, and when they are not
    minidw.run(first, warehouse)
    minidw.run(first, warehouse)  # skipped
    minidw.run_checks(warehouse)
    minidw.preview(second, warehouse)
    minidw.load_raw(second, warehouse)
    minidw.build_staging(warehouse)
    minidw.build_marts(warehouse)
    minidw.unload(2, warehouse)
    minidw.run(feed("order_id\n2"), warehouse, replace=1)
    minidw.set_rules({"SEGMENT_VIP": 50000}, warehouse)
    # Then the former are told,
    notices = told()
    assert [notice.command for notice in notices] == ["run", "build", "unload", "run", "rules"]
    assert [notice.marts for notice in notices] == [MARTS] * 4 + [("customer_segments",)]
    # by the runs that the ledger has.
    with warehouse.connect() as conn:
        runs = dict(conn.execute(select(Run.run_id, Run.command)).all())
    assert [runs[notice.run_id] for notice in notices] == [notice.command for notice in notices]


def test_a_failure_and_a_rollback_are_not_told(
    warehouse: Engine, told: Told, feed: Callable[..., Path]
) -> None:
    with warehouse.connect() as conn:
        minidw.run(feed("order_id\n1"), conn)
        conn.rollback()
    with pytest.raises(minidw.BadFileError):
        minidw.run(feed("order_id | price\n1 | x"), warehouse)
    assert told() == []


def test_the_callers_commit_is_what_tells(warehouse: Engine, told: Told, feed: Callable[..., Path]) -> None:
    with Session(warehouse) as session:
        minidw.run(feed("order_id\n1"), session)
        session.commit()
    assert [notice.marts for notice in told()] == [MARTS]


def test_who_listens_waits(warehouse: Engine, feed: Callable[..., Path]) -> None:
    notices = minidw.listen(warehouse, timeout=30)
    path = feed("order_id\n1")
    later = threading.Timer(0.1, minidw.run, (path, warehouse))
    later.start()
    assert next(notices).marts == MARTS
    later.join()
    notices.close()


def test_what_others_say_on_the_channel_is_not_ours(warehouse: Engine, told: Told) -> None:
    for said in ("", "hello", "[]", '{"run_id": "1", "command": "run", "marts": []}', '{"marts": null}'):
        send(warehouse, said)
    assert told() == []


@pytest.mark.parametrize("names", [1, 600])
def test_a_notice_is_read_as_it_was_sent_and_fits(names: int) -> None:
    sent = Notice(UUID(int=5), "run", tuple(f"mart_{number:03}_of_many" for number in range(names)))
    read = Notice.from_text(sent.as_text())
    assert len(sent.as_text()) < 8000
    assert read == (sent if names == 1 else Notice(sent.run_id, "run", None))


def test_a_connection_hears_nothing_and_is_refused(conn: Connection) -> None:
    with pytest.raises(minidw.SettingsError, match="to listen, an Engine is needed"):
        minidw.listen(conn)


def test_a_connection_that_breaks_is_told(warehouse: Engine) -> None:
    notices = minidw.listen(warehouse, timeout=30)
    with warehouse.connect() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        )
    with pytest.raises(minidw.ConnectionLostError):
        next(notices)


def test_who_stops_listening_leaves_no_connection_that_does(warehouse: Engine) -> None:
    notices = minidw.listen(warehouse)
    notices.close()
    with warehouse.connect() as conn:
        assert conn.scalars(text("SELECT pg_listening_channels()")).all() == []


@pytest.mark.parametrize("as_json", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_command_prints_a_line_for_each(cli: Cli, warehouse: Engine, as_json: bool) -> None:
    sent = Notice(UUID(int=5), "run", MARTS)
    later = threading.Thread(target=send_when_somebody_listens, args=(warehouse, sent))
    later.start()
    told = cli("listen", "--timeout", "1", *["--json"][:as_json])
    later.join()
    assert (told.code, told.err) == (0, "")
    if as_json:
        (line,) = told.out.splitlines()
        assert json.loads(line) == {"run_id": str(sent.run_id), "command": "run", "marts": list(MARTS)}
    else:
        assert told.out == f"{sent.run_id} run: {', '.join(MARTS)}\n"


def send_when_somebody_listens(engine: Engine, notice: Notice) -> None:
    listening = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%')"
    )
    with engine.connect() as conn:
        while not conn.scalar(listening):
            conn.rollback()
    send(engine, notice.as_text())


def test_the_command_says_in_one_line_of_json_that_it_cannot_listen(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    told = cli("listen", "--json")
    assert (told.code, told.out.count("\n")) == (2, 1)
    assert json.loads(told.out)["error"]["exit_code"] == 2
