"""The warehouse keeps its rules from its first batch on: who says otherwise is refused, or asks for it."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, delete, func, select, text, update

import minidw
from minidw import Batch, OrderLine, RuleVersion, Run, Settings, SettingsError
from minidw.rulebook import RULES
from tests.support.feeds import write_feed
from tests.support.servers import Copies, engine_like, filled
from tests.support.terminal import Cli

WriteFeed = Callable[..., Path]
FUTURE = "order_id | order_timestamp\n1 | 2027-12-31\n2 | 2027-06-01"
UNTIL_2027 = Settings(order_date_max=date(2027, 12, 31))
WRITERS: dict[str, Callable[[Engine, Path, Settings], Any]] = {
    "run": lambda engine, path, settings: minidw.run(path, engine, settings=settings),
    "load": lambda engine, path, settings: minidw.load_raw(path, engine, settings=settings),
    "stage": lambda engine, _, settings: minidw.build_staging(engine, settings=settings),
    "build": lambda engine, _, settings: minidw.build_marts(engine, settings=settings),
    "check": lambda engine, _, settings: minidw.run_checks(engine, settings=settings),
    "preview": lambda engine, path, settings: minidw.preview(path, engine, settings=settings),
    "prune": lambda engine, _, settings: minidw.prune(date(2026, 1, 1), engine, settings=settings),
}
READERS: dict[str, Callable[[Engine, Settings], Any]] = {
    "verify": lambda engine, settings: minidw.verify(engine, settings=settings),
    "report --html": lambda engine, settings: minidw.write_report("r.html", engine, settings=settings),
    "why": lambda engine, settings: minidw.why("daily_revenue", "2027-12-31", engine, settings=settings),
}


def values(bind: Any, settings: Settings | None = None) -> dict[str, str | None]:
    """The value of each rule."""
    return {rule.name: rule.value for rule in minidw.rules(bind, settings=settings or Settings())}


def state(engine: Engine) -> list[Any]:
    """How many batches, order lines and versions of rules there are."""
    with engine.connect() as conn:
        return [
            conn.scalar(select(func.count()).select_from(table)) for table in (Batch, OrderLine, RuleVersion)
        ]


@pytest.fixture(scope="module")
def future(server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """A warehouse whose first batch came from an environment with ORDER_DATE_MAX=2027-12-31."""
    path = write_feed(tmp_path_factory.mktemp("future") / "future.csv", FUTURE)

    def fill(settings: Settings) -> None:
        minidw.run(path, settings=replace(settings, order_date_max=date(2027, 12, 31)))

    with filled(server, engine, "minidw_future", fill) as copies:
        yield copies


@pytest.fixture
def future_database(future: Copies) -> Iterator[URL]:
    """The same, in a database of the test's own."""
    with future.one() as url:
        yield url


@pytest.fixture
def until_2027(future_database: URL, engine: Engine) -> Iterator[Engine]:
    """Given that warehouse."""
    with engine_like(engine, future_database) as own:
        yield own


def test_the_first_batch_brings_the_rules_of_its_environment(warehouse: Engine, feed: WriteFeed) -> None:
    assert state(warehouse) == [0, 0, 0]

    minidw.load_raw(feed(FUTURE), warehouse, settings=UNTIL_2027)

    rules = {rule.name: rule for rule in minidw.rules(warehouse)}
    assert list(rules) == [name.upper() for name in RULES]
    latest, first = rules["ORDER_DATE_MAX"], rules["ORDER_DATE_MIN"]
    assert (latest.value, latest.origin, latest.set_by) == (
        "2027-12-31",
        "environment",
        warehouse.url.username,
    )
    assert (first.value, first.origin, first.said) == ("2000-01-01", "default", None)
    assert latest.since is not None


def test_a_first_file_that_is_refused_leaves_no_rules(warehouse: Engine, feed: WriteFeed) -> None:
    with pytest.raises(minidw.BadFileError):
        minidw.run(feed("order_id | price\n1 | x"), warehouse, settings=UNTIL_2027)
    assert state(warehouse) == [0, 0, 0]
    assert values(warehouse)["ORDER_DATE_MAX"] is None


def test_an_environment_that_says_nothing_means_the_rules_of_the_warehouse(
    until_2027: Engine, feed: WriteFeed
) -> None:
    """A colleague without the variable runs another file: the orders stay."""
    result = minidw.run(feed("order_id\n3"), until_2027, settings=Settings())

    assert (result.replayed, result.rules) == (None, [])
    assert state(until_2027)[:2] == [2, 3]
    assert minidw.verify(until_2027).differences == []


def test_an_environment_that_says_the_same_is_fine(until_2027: Engine, feed: WriteFeed) -> None:
    same = Settings.from_env({"ORDER_DATE_MAX": "20271231", "SEGMENT_VIP": "1e4"})
    assert minidw.run(feed("order_id\n3"), until_2027, settings=same).rules == []


def test_who_writes_and_says_otherwise_is_refused(until_2027: Engine, feed: WriteFeed) -> None:
    before = state(until_2027)
    for command in WRITERS.values():
        with pytest.raises(SettingsError) as refused:
            command(until_2027, feed("order_id\n3"), Settings(order_date_max=date(2026, 12, 31)))
        assert str(refused.value) == (
            "ORDER_DATE_MAX is 2026-12-31 in the settings, but 2027-12-31 in the warehouse: leave it out of"
            " the settings, or change the rule: minidw rules --set ORDER_DATE_MAX=2026-12-31,"
            " or minidw run FILE --accept-rules"
        )
        assert refused.value.exit_code == 2
        assert state(until_2027) == before


def test_who_answers_by_the_rules_and_says_otherwise_is_refused(until_2027: Engine) -> None:
    for command in READERS.values():
        with pytest.raises(SettingsError, match="REVENUE_STATUSES is delivered in the settings, but p"):
            command(until_2027, Settings(revenue_statuses=("delivered",)))
        assert command(until_2027, Settings())


def test_what_only_shows_is_not_refused(until_2027: Engine) -> None:
    other = Settings(order_date_max=date(2026, 12, 31))
    assert minidw.report(until_2027, settings=other)["daily revenue"]
    assert minidw.status(until_2027, settings=other)["batches"]
    assert [(rule.value, rule.said) for rule in minidw.rules(until_2027, settings=other) if rule.said] == [
        ("2027-12-31", "2026-12-31")
    ]


def test_rules_are_set_with_all_that_follows(until_2027: Engine) -> None:
    result = minidw.set_rules({"ORDER_DATE_MAX": date(2027, 6, 30), "segment_medium": "5"}, until_2027)

    assert [(change.name, change.before, change.after) for change in result.rules] == [
        ("ORDER_DATE_MAX", "2027-12-31", "2027-06-30"),
        ("SEGMENT_MEDIUM", "500", "5"),
    ]
    assert result.replayed is not None
    assert (result.replayed.ceased, result.replayed.rejected) == (1, 1)
    assert "totals_agree" in {outcome.name for outcome in result.checked}  # those of all batches
    assert not any(outcome.failed for outcome in result.checked)
    assert minidw.verify(until_2027).differences == []
    with until_2027.connect() as conn:
        assert conn.execute(text("SELECT lifetime_value, segment FROM mart.customer_segments")).all() == [
            (10, "Medium")
        ]
        versions = select(RuleVersion.version, RuleVersion.value, RuleVersion.origin)
        assert conn.execute(
            versions.where(RuleVersion.name == "SEGMENT_MEDIUM").order_by("version")
        ).all() == [
            (1, "500", "default"),
            (2, "5", "set"),
        ]
        assert conn.scalar(select(Run.command).order_by(Run.finished_at.desc()).limit(1)) == "rules"


def test_a_rule_goes_back_to_its_default(until_2027: Engine) -> None:
    result = minidw.set_rules({"ORDER_DATE_MAX": None}, until_2027)
    assert (result.rules[0].after, state(until_2027)[1]) == (None, 0)
    assert values(until_2027)["ORDER_DATE_MAX"] is None


def test_setting_what_is_so_already_changes_nothing(until_2027: Engine) -> None:
    before = state(until_2027)
    result = minidw.set_rules({"ORDER_DATE_MAX": "2027-12-31", "SEGMENT_VIP": None}, until_2027)
    assert (result.rules, state(until_2027)) == ([], before)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"ORDER_DATE": "2026-01-01"}, "there is no rule ORDER_DATE; there are ORDER_DATE_MIN, "),
    ({"MAX_REJECT_RATIO": "1"}, "there is no rule MAX_REJECT_RATIO"),
    ({"ORDER_DATE_MAX": "soon"}, "ORDER_DATE_MAX: cannot understand 'soon'"),
    ({"ORDER_DATE_MAX": ""}, "ORDER_DATE_MAX: cannot understand ''"),
    ({"ORDER_DATE_MIN": "2028-01-01"}, "ORDER_DATE_MIN is after ORDER_DATE_MAX"),
    ({"SEGMENT_VIP": 1}, "must not increase"),
]


def test_rules_that_cannot_be_are_refused(until_2027: Engine) -> None:
    before = state(until_2027)
    for changes, message in IMPOSSIBLE:
        for call in (minidw.set_rules, minidw.preview_rules):
            with pytest.raises(SettingsError, match=message):
                call(changes, until_2027)
    assert state(until_2027) == before


def test_rules_can_be_set_before_the_first_batch(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.set_rules({"SEGMENT_VIP": 20000, "ORDER_DATE_MIN": None}, warehouse, settings=Settings())

    with pytest.raises(SettingsError, match="SEGMENT_VIP is 15000 in the settings, but 20000"):
        minidw.run(feed("order_id\n1"), warehouse, settings=Settings(segment_vip=Decimal(15000)))
    with pytest.raises(SettingsError, match="ORDER_DATE_MIN is 2024-01-01 in the settings, but 2000-01-01"):
        minidw.run(feed("order_id\n1"), warehouse, settings=Settings(order_date_min=date(2024, 1, 1)))
    minidw.run(feed("order_id\n1"), warehouse, settings=Settings(segment_high=Decimal(4000)))

    assert (values(warehouse)["SEGMENT_VIP"], values(warehouse)["SEGMENT_HIGH"]) == ("20000", "4000")


def test_a_run_accepts_the_rules_of_its_environment(until_2027: Engine, feed: WriteFeed) -> None:
    narrow = Settings(order_date_max=date(2027, 6, 30), revenue_statuses=("delivered", "cancelled"))
    file = feed("order_id | status\n3 | cancelled")
    seen = minidw.preview(file, until_2027, accept_rules=True, settings=narrow)
    assert (seen.marts[0].gained, seen.marts[0].lost) == (1, 1)

    result = minidw.run(file, until_2027, accept_rules=True, settings=narrow)

    assert [change.after for change in result.rules] == ["2027-06-30", "delivered,cancelled"]
    assert [rule.origin for rule in minidw.rules(until_2027)][:3] == ["default", "environment", "environment"]
    assert minidw.verify(until_2027, settings=narrow).differences == []
    with until_2027.connect() as conn:
        assert conn.scalar(text("SELECT sum(order_lines) FROM mart.daily_revenue")) == 2


def test_a_preview_says_what_other_rules_would_move_and_moves_nothing(until_2027: Engine) -> None:
    before = state(until_2027)
    seen = minidw.preview_rules({"ORDER_DATE_MAX": "2027-06-30"}, until_2027)
    assert seen.result.moved == minidw.Moved(2, 1, Decimal(20), Decimal(10))
    assert {mart.mart: mart.lost for mart in seen.marts}["daily_revenue"] == 1
    assert state(until_2027) == before
    assert values(until_2027)["ORDER_DATE_MAX"] == "2027-12-31"


def test_a_caller_s_transaction_takes_the_rules_with_it(conn: Connection, feed: WriteFeed) -> None:
    with conn.begin_nested() as savepoint:
        minidw.run(feed(FUTURE), conn, settings=UNTIL_2027)
        minidw.set_rules({"SEGMENT_VIP": 9000}, conn, settings=Settings())
        assert (values(conn)["ORDER_DATE_MAX"], values(conn)["SEGMENT_VIP"]) == ("2027-12-31", "9000")
        savepoint.rollback()
    assert (values(conn)["ORDER_DATE_MAX"], values(conn)["SEGMENT_VIP"]) == (None, "10000")


def test_of_first_loads_at_once_one_decides(warehouse: Engine, feed: WriteFeed) -> None:
    def load(number: int) -> str:
        path = paths[number]
        try:
            minidw.run(path, warehouse, settings=Settings(segment_vip=Decimal(20000 + number)))
        except SettingsError:
            return "refused"
        return "done"

    paths = [feed(f"order_id\n{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(load, range(4)))

    assert outcomes == ["done", "refused", "refused", "refused"]
    assert state(warehouse) == [1, 1, len(RULES)]


def test_a_replay_judges_by_the_day_of_the_load(warehouse: Engine, feed: WriteFeed) -> None:
    """An order of a day after its load was refused then, and it is when everything is judged again."""
    minidw.load_raw(feed("order_id | order_timestamp\n1 | 2024-05-02 23:59:59\n2 | 2024-05-03"), warehouse)
    with warehouse.begin() as conn:
        conn.execute(update(Batch).values(load_date=date(2024, 5, 1)))
    lenient = Settings(max_reject_ratio=Decimal(1))

    (staged,) = minidw.build_staging(warehouse, settings=lenient).staged
    minidw.build_marts(warehouse)

    assert (staged.inserted, staged.reasons) == (1, {"OUT_OF_RANGE_DATE": 1})
    assert staged.hints[0].startswith(
        "an order may lie from ORDER_DATE_MIN 2000-01-01 to 2024-05-02, the day after"
    )
    replayed = minidw.build_staging(warehouse, replay=True).replayed
    assert replayed is not None
    assert (replayed.appeared, replayed.ceased, replayed.rejected) == (0, 0, 1)
    assert minidw.verify(warehouse).differences == []
    assert not any(outcome.failed for outcome in minidw.run_checks(warehouse).checked)


def test_a_warehouse_older_than_its_rules_loses_no_line(until_2027: Engine, feed: WriteFeed) -> None:
    # Given one that kept no rules, was judged by other code, and holds more than the default of then
    minidw.run(feed("order_id | order_timestamp\n3 | 2022-05-01\n4 | 2024-05-01"), until_2027)
    with until_2027.begin() as conn:
        conn.execute(delete(RuleVersion))
        conn.execute(update(Batch).values(rules="of an older release"))

    # When it is written to, by an environment that says something else of another rule
    result = minidw.run(feed("order_id\n5"), until_2027, settings=Settings(segment_vip=Decimal(20000)))

    # Then its range is that of then, as wide as what it holds
    assert result.replayed is not None
    assert (result.replayed.appeared, result.replayed.ceased) == (0, 0)
    rules = {rule.name: (rule.value, rule.origin) for rule in minidw.rules(until_2027)}
    assert rules["ORDER_DATE_MIN"] == ("2022-05-01", "before")
    assert rules["ORDER_DATE_MAX"] == ("2027-12-31", "before")
    assert rules["SEGMENT_VIP"] == ("20000", "environment")


def test_an_old_warehouse_of_the_seed_keeps_the_range_of_the_seed(warehouse: Engine, feed: WriteFeed) -> None:
    lenient = Settings(max_reject_ratio=Decimal(1))
    minidw.run(feed("order_id | order_timestamp\n1 | 2024-05-01\n2 | 2026-06-01"), warehouse)
    with warehouse.begin() as conn:
        conn.execute(delete(RuleVersion))
        conn.execute(text("DELETE FROM staging.orders_stg WHERE order_id = '2'"))
    assert values(warehouse)["ORDER_DATE_MAX"] == "2025-12-31"
    minidw.build_marts(warehouse, settings=lenient)
    assert values(warehouse)["ORDER_DATE_MIN"] == "2023-01-01"


def test_a_rule_that_a_later_release_adds_is_its_default_where_there_are_batches(
    until_2027: Engine, feed: WriteFeed
) -> None:
    with until_2027.begin() as conn:
        conn.execute(delete(RuleVersion).where(RuleVersion.name == "SEGMENT_VIP"))
    with pytest.raises(SettingsError, match="SEGMENT_VIP is 20000 in the settings, but 10000"):
        minidw.build_marts(until_2027, settings=Settings(segment_vip=Decimal(20000)))
    minidw.build_marts(until_2027)
    assert state(until_2027)[2] == len(RULES)


# The command line


@pytest.fixture
def until_june(cli: Cli, future_database: URL, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Given the same warehouse, as that of the command line."""
    monkeypatch.setenv("DATABASE_URL", future_database.render_as_string(hide_password=False))
    return cli


def test_rules_are_shown_with_where_they_come_from(until_june: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENT_VIP", "20000")
    shown = until_june("rules").out
    assert re.search(r"ORDER_DATE_MAX .* 2027-12-31 .* environment .* 20", shown)
    assert re.search(r"SEGMENT_VIP .* 10000 .* default .* 20", shown)
    assert "note: SEGMENT_VIP is 20000 in the settings" in shown

    listed = {rule["name"]: rule for rule in json.loads(until_june("rules", "--json").out)["rules"]}
    assert (
        listed["ORDER_DATE_MAX"].items()
        >= {"value": "2027-12-31", "origin": "environment", "said": None}.items()
    )
    assert listed["SEGMENT_VIP"].items() >= {"value": "10000", "said": "20000", "disputed": True}.items()


def test_rules_are_shown_with_what_was_set_when_and_by_whom(until_june: Cli) -> None:
    assert "what was changed" not in until_june("rules").out
    assert until_june("rules", "--set", "SEGMENT_VIP=20000", "--yes").code == 0
    shown = until_june("rules").out.partition("what was changed")[2]
    assert re.search(r"20\d\d-.* SEGMENT_VIP .* 10000 .* default .* \w+ ", shown)
    assert re.search(r"20\d\d-.* SEGMENT_VIP .* 20000 .* set .* \w+ ", shown)
    history = json.loads(until_june("rules", "--json").out)["history"]
    assert [(row["name"], row["version"], row["value"]) for row in history] == [
        ("SEGMENT_VIP", 1, "10000"),
        ("SEGMENT_VIP", 2, "20000"),
    ]
    assert all(row["set_by"] and row["set_at"] for row in history)


def test_a_refusal_is_one_line_and_exit_code_2(until_june: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_DATE_MAX", "2026-12-31")
    for command in ("stage", "build", "check", "verify"):
        outcome = until_june(command)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(
            "minidw: ORDER_DATE_MAX is 2026-12-31 in the settings, but 2027-12-31 in"
        )
        assert outcome.err.count("\n") == 1
    assert until_june("report").code == 0


def test_a_change_is_previewed_and_needs_a_yes(until_june: Cli) -> None:
    """Nobody is there to be asked."""
    outcome = until_june("rules", "--set", "ORDER_DATE_MAX=2027-06-30")
    assert outcome.code == 2
    assert "rule ORDER_DATE_MAX: 2027-12-31 → 2027-06-30" in outcome.out
    assert "revenue: 20.00 → 10.00, of 2 → 1 order line" in outcome.out
    assert outcome.err == (
        "minidw: this changes 1 rule and all that follows; nothing was done: add --yes to do it\n"
    )
    assert until_june("verify").code == 0
    assert json.loads(until_june("rules", "--json").out)["rules"][1]["value"] == "2027-12-31"


def test_a_change_with_a_yes(until_june: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_DATE_MAX", "2026-12-31")
    outcome = until_june("rules", "--set", "order_date_max=2027-06-30", "--yes")
    assert (outcome.code, outcome.err) == (0, "")
    assert "1 ceased" in outcome.out
    assert "note: the settings say 2026-12-31 still" in outcome.out
    monkeypatch.delenv("ORDER_DATE_MAX")

    document = json.loads(until_june("rules", "--reset", "ORDER_DATE_MAX", "--yes", "--json").out)
    (result,) = document["results"]
    assert result["rules"] == [
        {"name": "ORDER_DATE_MAX", "before": "2027-06-30", "after": None, "said": None}
    ]
    assert (result["moved"]["order_lines_before"], result["moved"]["order_lines"]) == (1, 0)
    assert "the rules are so already" in until_june("rules", "--reset", "ORDER_DATE_MAX").out


def test_a_run_that_accepts(until_june: Cli, feed: WriteFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_DATE_MAX", "2027-06-30")
    path = str(feed("order_id\n3"))
    assert until_june("run", path).code == 2
    assert until_june("preview", path, "--accept-rules").code == 0
    assert "rule ORDER_DATE_MAX: 2027-12-31 → 2027-06-30" in until_june("run", path, "--accept-rules").out
    assert until_june("run", path).code == 0


def test_a_change_that_cannot_be_is_one_line(cli: Cli) -> None:
    for words, message in {
        "--set SEGMENT_VIP": "--set SEGMENT_VIP: write it as SEGMENT_VIP=20000",
        "--set SEGMENT_VIP=": "--set SEGMENT_VIP=: write it as SEGMENT_VIP=20000",
        "--set VIP=1": "there is no rule VIP; there are ORDER_DATE_MIN",
        "--set SEGMENT_VIP=many": "SEGMENT_VIP: cannot understand 'many'",
        "--set SEGMENT_VIP=1": "SEGMENT_VIP, SEGMENT_HIGH and SEGMENT_MEDIUM must not increase",
        "--set SEGMENT_VIP=9000 --reset segment_vip": "a rule is given twice: SEGMENT_VIP",
    }.items():
        outcome = cli("rules", *words.split(), "--yes")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"minidw: {message}")
        assert outcome.err.count("\n") == 1
