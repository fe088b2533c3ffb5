"""The command line: what is printed, what exit code, and no traceback for what a user can cause."""

import gzip
import io
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, make_url, text

import minidw
from minidw.cli import main, parser
from tests.support.terminal import Cli

WriteFeed = Callable[..., Path]


def value(warehouse: Engine, query: str) -> object:
    """The one value of a query."""
    with warehouse.connect() as conn:
        return conn.scalar(text(query))


def test_run_prints_a_summary(cli: Cli, feed: WriteFeed) -> None:
    rows = "\n".join(f"{number} | 10" for number in range(1, 10))
    path = feed(f"order_id | price\n{rows}\n10 | x\n9 | 11", name="shop.csv")

    outcome = cli("run", str(path))

    assert (outcome.code, outcome.err) == (0, "")
    assert "shop.csv: batch 1, 11 rows" in outcome.out
    assert "11 rows = 9 inserted, 0 updated, 0 unchanged, 1 superseded, 1 rejected" in outcome.out
    assert "rejected for: BAD_NUMBER 1" in outcome.out
    assert "--number-lines" in outcome.out
    assert "mart.daily_revenue" in outcome.out
    assert "all 9 checks passed" in outcome.out
    assert "time: load " in outcome.out


def test_run_again_says_that_it_skipped(cli: Cli, feed: WriteFeed) -> None:
    path = str(feed("order_id\n1"))
    cli("run", path)
    outcome = cli("run", path)
    assert outcome.code == 0
    assert "the same bytes were loaded before, as batch 1; skipped" in outcome.out


def test_run_as_json(cli: Cli, feed: WriteFeed) -> None:
    outcome = cli("run", "--json", str(feed("order_id\n1")))
    document = json.loads(outcome.out)
    (result,) = document["results"]
    assert document["error"] is None
    assert result["loaded"]["rows_read"] == 1
    assert result["staged"][0]["inserted"] == 1
    assert result["built"][0]["mart"] == "daily_revenue"


def test_several_files_are_several_batches_oldest_name_first(
    cli: Cli, feed: WriteFeed, warehouse: Engine
) -> None:
    feed("order_id | price\n1 | 2", name="orders_2.csv")
    first = feed("order_id | price\n1 | 1", name="orders_1.csv")
    third = first.with_name("orders_3.csv.gz")
    third.write_bytes(gzip.compress(feed("order_id | price\n1 | 3", name="x.txt").read_bytes()))

    assert cli("run", str(first.parent)).code == 0

    assert value(warehouse, "SELECT string_agg(file_name, ' ' ORDER BY batch_id) FROM raw.batches") == (
        "orders_1.csv orders_2.csv orders_3.csv.gz"
    )
    assert value(warehouse, "SELECT price FROM staging.orders_stg") == 3


def test_a_glob_that_the_shell_left_alone(cli: Cli, feed: WriteFeed, warehouse: Engine) -> None:
    feed("order_id\n1", name="a1.csv")
    feed("order_id\n2", name="a2.csv")
    assert cli("load", "a*.csv").code == 0
    assert value(warehouse, "SELECT count(*) FROM raw.batches") == 2


def test_standard_input(
    cli: Cli, feed: WriteFeed, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = feed("order_id\n1\n2").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli("run", "-").code == 0
    assert value(warehouse, "SELECT count(*) FROM staging.orders_stg") == 2


def test_a_feed_of_another_shape(cli: Cli, tmp_path: Path, warehouse: Engine) -> None:
    path = tmp_path / "feed.csv"
    header = "InvoiceNo;order_timestamp;customer_id;product_id;category;price;quantity;status"
    path.write_text(f"{header}\nC1;2024-05-01;Zoë;p;x;2;3;shipped\n", encoding="latin-1")

    outcome = cli(
        "run", str(path), "--delimiter", ";", "--encoding", "latin-1", "--column", "order_id=InvoiceNo"
    )

    assert outcome.code == 0
    assert value(warehouse, "SELECT order_id || customer_id FROM staging.orders_stg") == "C1Zoë"


def test_load_stage_build_and_check_one_by_one(cli: Cli, feed: WriteFeed) -> None:
    assert cli("load", str(feed("order_id\n1"))).code == 0
    assert "1 inserted" in cli("stage").out
    assert "nothing to stage" in cli("stage").out
    assert "never built" in cli("build").out
    assert "asked for" in cli("build", "--full").out
    assert "all 10 checks passed" in cli("check").out


def test_a_failed_check_is_exit_code_1(cli: Cli, feed: WriteFeed, warehouse: Engine) -> None:
    cli("run", str(feed("order_id\n1")))
    with warehouse.begin() as conn:
        conn.execute(text("DELETE FROM mart.customer_segments"))
    outcome = cli("check")
    assert outcome.code == 1
    assert "error: marts_populated: 1 offending row: mart customer_segments" in outcome.out


@pytest.mark.parametrize(("command", "empty"), [("report", "the marts are"), ("status", "the warehouse is")])
def test_who_looks_at_an_empty_warehouse_is_told_how_to_begin(cli: Cli, command: str, empty: str) -> None:
    said = " ".join(cli(command).out.split())
    assert said.startswith(f"{empty} empty: minidw run FILE brings orders in; minidw generate writes some")


def test_report_and_status(cli: Cli, feed: WriteFeed) -> None:
    cli("run", str(feed("order_id | customer_id | price\n1 | ada | 1234.5", name="shop.csv")))

    report = cli("report").out
    assert all(title in report for title in ("daily revenue", "top customers", "top products", "segments"))
    assert "1,234.50 " in report
    assert "shop.csv" in cli("status").out

    assert json.loads(cli("report", "--json").out)["segments"] == [
        {"segment": "Medium", "customers": 1, "lifetime_value": "1234.5000"}
    ]
    assert json.loads(cli("status", "--json").out)["batches"][0]["inserted"] == 1


def test_generate_writes_a_feed(cli: Cli) -> None:
    outcome = cli("generate", "--rows", "10", "--date", "2025-12-08", "--seed", "1", "--dirty", "0.2")
    assert outcome.out == "data/raw/orders_20251208.csv\n"
    assert len(Path("data/raw/orders_20251208.csv").read_text().splitlines()) == 11


def test_url_hides_the_password_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://ada:canary@db.example/shop")
    main(["url"])
    assert capsys.readouterr().out == "postgresql://ada:***@db.example/shop\n"
    main(["url", "--password"])
    assert capsys.readouterr().out == "postgresql://ada:canary@db.example/shop\n"


def test_psql_opens_the_database_in_use(cli: Cli, database: URL) -> None:
    outcome = cli("psql", "-Atc", "SELECT current_database()")
    assert (outcome.code, outcome.out) == (0, f"{database.database}\n")


def test_without_a_command_it_does_all_of_it(cli: Cli, warehouse: Engine) -> None:
    first, second = cli(), cli()

    assert (first.code, second.code) == (0, 0)
    assert "generated data/raw/orders_" in first.out
    assert value(warehouse, "SELECT count(*) FROM raw.batches") == 2
    assert value(warehouse, "SELECT count(*) FROM staging.orders_stg") == 20_000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "the following arguments are required: FILE"),
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
        (["run", "missing.csv"], 1, "minidw: missing.csv: NOT_FOUND:"),
        (["run", "bad.csv"], 1, "minidw: bad.csv:3: STRAY_QUOTE:"),
        (["run", "cut.csv"], 1, "minidw: cut.csv:2: TRUNCATED:"),
        (["run", "wide.csv"], 1, "minidw: wide.csv:3: COLUMN_COUNT:"),
        (["run", "blank.csv"], 1, "minidw: blank.csv:3: BLANK_LINE:"),
        (["run", "rejects.csv"], 1, "minidw: rejects.csv: TOO_MANY_REJECTS: 1 of 1 rows rejected"),
        (["run", "good.csv", "--column", "order_id"], 2, "write it as order_id=InvoiceNo"),
        (["run", "good.csv", "--encoding", "klingon"], 2, "klingon"),
        (["run", "good.csv", "--delimiter", "||"], 2, "elimiter"),
        (["generate", "--dirty", "2"], 2, "dirty"),
        (["generate", "--date", "08.12.2025"], 2, "'08.12.2025' is not a day"),
        (["migrate", "nonsense"], 2, "cannot migrate"),
    ],
)
def test_a_mistake_is_one_clear_line(
    cli: Cli, feed: WriteFeed, arguments: list[str], code: int, message: str
) -> None:
    good = feed("order_id\n1", name="good.csv").read_text()
    header, row = good.splitlines()
    Path("bad.csv").write_text(f'{good}2,2024-05-01,c"1,p1,books,1,1,shipped\n')
    Path("cut.csv").write_text(f"{header}\n{row[:20]}")
    Path("wide.csv").write_text(f"{good}{row},extra\n{row}\n")
    Path("blank.csv").write_text(f"{good}\n{row}\n")
    Path("rejects.csv").write_text(good.replace("10.00", "ten"))

    outcome = cli(*arguments)

    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    if not outcome.err.startswith("usage"):
        assert outcome.err.count("\n") == 1


def test_no_server_is_one_clear_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], feed: WriteFeed
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:canary@127.0.0.1:1/shop")
    assert main(["run", str(feed("order_id\n1"))]) == 2
    error = capfd.readouterr().err
    assert error.startswith("minidw: ")
    assert "127.0.0.1" in error
    assert error.count("\n") == 1
    assert "canary" not in error


def test_python_m_minidw_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minidw", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: minidw")
    assert shutil.which("minidw", path=str(Path(sys.executable).parent)) is not None


def test_every_public_name_is_there() -> None:
    assert [name for name in minidw.__all__ if not hasattr(minidw, name)] == []
    assert not hasattr(minidw, "nonsense")


def test_the_url_in_use_is_what_url_prints(cli: Cli, database: URL) -> None:
    assert make_url(cli("url", "--password").out.strip()).database == database.database


def test_generate_writes_over_nothing_unasked(cli: Cli) -> None:
    generate = ("generate", "--rows", "1", "--date", "2025-12-08")
    first, again, forced = cli(*generate), cli(*generate), cli(*generate, "--force")
    assert (first.code, again.code, forced.code) == (0, 2, 0)
    assert "orders_20251208.csv is there already" in again.err


def test_a_file_takes_the_place_of_another_and_is_taken_back(
    cli: Cli, feed: WriteFeed, warehouse: Engine
) -> None:
    wrong, right = feed("order_id | price\n1 | 10\n2 | 20"), str(feed("order_id | price\n1 | 11"))
    cli("run", str(wrong))
    seen = cli("preview", right, "--replace", "1")
    assert "took back batch 1 (feed_001.csv): 2 rows removed from raw; 2 order lines ceased, 1 of" in seen.out
    assert "30.00 → 11.00" in seen.out
    assert cli("run", right, "--replace", "1", "--yes").code == 0
    assert value(warehouse, "SELECT sum(total_amount) FROM staging.orders_stg") == 11
    assert "11.00 → -" in cli("preview", "--unload", "2").out
    assert "this takes 1 batch with 1 row out of raw; nothing was done: add --yes" in cli("unload", "2").err
    (result,) = json.loads(cli("unload", "2", "--yes", "--json").out)["results"]
    assert result["unloaded"] == [
        {"batch_id": 2, "file": "feed_002.csv", "rows": 1, "ceased": 1, "came_back": 0}
    ]
    assert value(warehouse, "SELECT count(*) FROM mart.daily_revenue") == 0


def test_a_customer_is_erased(cli: Cli, feed: WriteFeed, warehouse: Engine) -> None:
    cli("run", str(feed("order_id | customer_id\n1 | ada\n2 | bob")))
    asked = cli("erase", "ada")
    assert "this replaces 1 customer with 1 order line by pseudonyms for good; nothing was done" in asked.err
    done = cli("erase", "ada", "--yes")
    assert (done.code, "ada" in done.out) == (0, False)
    assert "1 order line, 1 delivered row, 0 mentions elsewhere" in done.out
    assert "the CSV files, backups, the write-ahead log" in done.out
    assert value(warehouse, "SELECT count(*) FROM mart.customer_ltv WHERE customer_id LIKE 'erased-%'") == 1
    again = cli("erase", "ada", "--yes")
    assert (again.code, "it was erased at" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "a.csv", "b.csv", "--replace", "1"], "give one file; these are 2"),
        (["preview"], "give one file; these are 0"),
        (["preview", "a.csv", "--unload", "1"], "batches and no file"),
        (["unload", "x", "--yes"], "'x' is not a whole number"),
        (["unload", "1", "--yes"], "there is no batch 1"),
    ],
)
def test_what_is_taken_back_is_said_in_full(cli: Cli, arguments: list[str], line: str) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, line in outcome.err) == (2, True), outcome.err


def test_what_takes_away_needs_a_yes(cli: Cli, feed: WriteFeed, warehouse: Engine) -> None:
    """Without a terminal there is nobody to ask."""
    cli("run", str(feed("order_id\n1\n2")))
    down, prune = cli("migrate", "--down"), cli("prune", "--before", "2999-01-01")
    assert (down.code, prune.code) == (2, 2)
    assert "1 batch with 2 rows, 2 order lines and the marts; nothing was done: add --yes" in down.err
    assert "1 batch with 2 rows from raw for good; nothing was done: add --yes" in prune.err
    assert value(warehouse, "SELECT count(*) FROM raw.orders_all") == 2
    assert "pruned 1 batch: 2 rows removed from raw" in cli("prune", "--before", "2999-01-01", "--yes").out
    assert cli("migrate", "--down", "--yes").out.startswith("the tables are gone; they were at revision ")
    assert cli("migrate", "--down", "--yes").out == "nothing to do: no tables\n"


def test_one_document_also_where_the_second_file_fails(cli: Cli, feed: WriteFeed) -> None:
    feed("order_id | price\n1 | 1", name="a.csv")
    feed("order_id | price\n2 | x", name="b.csv")
    outcome = cli("run", "a.csv", "b.csv", "--json")
    document = json.loads(outcome.out)
    assert outcome.code == 1
    assert [result["file"] for result in document["results"]] == ["a.csv"]
    error = document["error"]
    assert (error["file"], error["code"], error["exit_code"]) == ("b.csv", "TOO_MANY_REJECTS", 1)
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["run"], ["report", "--nonsense"], ["why", "nonsense", "1"], ["run", "missing.csv"]]
)
def test_one_document_also_where_nothing_was_done(cli: Cli, arguments: list[str]) -> None:
    outcome = cli(*arguments, "--json")
    assert json.loads(outcome.out)["error"]["exit_code"] == outcome.code != 0


def test_an_empty_warehouse_says_what_to_do_next(cli: Cli) -> None:
    assert all("minidw run FILE" in cli(command).out for command in ("report", "status"))
    assert "nothing to stage" in cli("stage").out
    assert "nothing to build from" in cli("build").out
    assert "nothing to do: the tables are at revision " in cli("migrate").out


def test_many_files_are_a_line_each_and_a_sum(cli: Cli, feed: WriteFeed) -> None:
    for number in range(10):
        feed(f"order_id | price\nn{number} | 1\nn{number}x | 2.5\n", name=f"f{number}.csv")
    lines = cli("run", ".").out.splitlines()
    assert lines[:10] == [f"f{n}.csv: batch {n + 1}, 2 rows = 2 inserted" for n in range(10)]
    assert lines[10] == "10 files: 10 loaded, 0 skipped"
    assert len(lines) < 40


def test_what_is_shown_cannot_control_the_terminal(cli: Cli, feed: WriteFeed) -> None:
    customer = "\x1b[31mred\x1b[0m\x9b1m[bold]:100:"
    row = f"1 | {customer} | SKU:100:7 | \N{RIGHT-TO-LEFT OVERRIDE}toys"
    feed(f"order_id | customer_id | product_id | category\n{row}", name="\x1b]0;t\x07 :100:.csv")
    printed = [cli("run", "."), cli("report"), cli("status"), cli("preview", "--force", ".")]
    printed += [cli("run", "no\x1bsuch\nfile.csv"), cli("run", ".", "--encoding", "utf\n8\x1b[1m")]
    printed += [cli("why", "customer_ltv", "\x1b[1m"), cli("why", "\x1b[1m", "1"), cli("\x1b[1m")]
    shown = "".join(outcome.out + outcome.err for outcome in printed)
    assert "\\x1b[31mred\\x1b[0m" in shown
    assert "SKU:100:7" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_a_byte_that_is_no_utf_8(cli: Cli, feed: WriteFeed) -> None:
    cli("run", str(feed("order_id\n1")))
    assert cli("why", "customer_ltv", "c\udcff1").code == 1
    assert cli("run", "c\udcff1.csv").code == 1
    assert cli("migrate", "c\udcff1").code == 2
    assert cli("run", "feed_001.csv", "--column", "order_id=c\udcff1").code == 1
    shutil.copy("feed_001.csv", "c\udcff1.csv")
    assert "c\\udcff1.csv: the same bytes were loaded before" in cli("run", "c\udcff1.csv").out


def test_what_nobody_foresaw_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("postgresql://ada:secret@host/db")

    monkeypatch.setattr(minidw, "report", broken)
    with pytest.raises(ZeroDivisionError):
        cli("report")
    monkeypatch.delenv("MINIDW_DEBUG")
    assert main(["report", "--json"]) == 2


@pytest.mark.parametrize("files", [60, pytest.param(700, marks=pytest.mark.slow)])
def test_of_many_broken_files_one_is_open_at_a_time(cli: Cli, feed: WriteFeed, files: int) -> None:
    """The broken rest of a file lies in temporary files: those of all files at once would be too many."""
    for number in range(files):
        path = feed(f"order_id\n{number}\n{number}a\n{number}b\n{number}c", name=f"f{number:03}.csv")
        path.write_text(path.read_text() + "broken,line\n")
    cli("status")  # what is imported once is open by now
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 30, limits[1]))
    try:
        outcome = cli("load", ".", "--skip-malformed")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{files} files: {files} loaded" in outcome.out


def test_help_shows_examples(cli: Cli) -> None:
    assert "examples:\n  minidw  " in cli("--help").out
    assert "examples:\n  minidw why customer_ltv 42\n" in cli("why", "--help").out
    subcommands = next(action.choices for action in parser()._actions if isinstance(action.choices, dict))
    assert [name for name, one in subcommands.items() if "examples:\n  " not in one.format_help()] == []
