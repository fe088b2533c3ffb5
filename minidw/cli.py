"""The command line: one library call per command."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from minidw.errors import MinidwError, SettingsError

if TYPE_CHECKING:
    from minidw.feed import Feed, Format
    from minidw.pipeline import Result


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 the data is at fault, 2 the call or the environment."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.call(arguments)
        sys.stdout.flush()
    except MinidwError as error:
        print(f"minidw: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "minidw: interrupted; what was under way is stored whole or not at all: minidw status",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="minidw",
        description="A small, exact data warehouse: order CSVs in, PostgreSQL marts out."
        " Without a command: migrate, generate today's orders, run, and print a summary.",
    )
    top.set_defaults(call=everything, json=False)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    def command(
        name: str, call: Callable[[argparse.Namespace], int], text: str, **options: Any
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", **options)
        sub.set_defaults(call=call)
        return sub

    reporting = []
    for name, call, text in (
        ("run", run, "load, stage, build and check files, one commit each"),
        ("load", load, "CSV files into raw"),
    ):
        sub = command(name, call, text)
        _add_feed_options(sub)
        reporting.append(sub)
    stage_command = command("stage", stage, "clean the loaded rows into staging")
    stage_command.add_argument("--replay", action="store_true", help="judge the batches staged before again")
    reporting.append(stage_command)
    build_command = command("build", build, "bring the marts up to date with staging")
    build_command.add_argument("--full", action="store_true", help="build them from scratch")
    reporting.append(build_command)
    reporting.append(command("check", check, "execute the checks; exit code 1 where one fails"))
    preview_command = command("preview", preview, "what a file would change; nothing is stored")
    _add_feed_options(preview_command)
    preview_command.add_argument("--rows", type=int, default=10, help="rows to show per mart (10)")
    reporting.append(preview_command)
    prune_command = command("prune", prune, "remove old batches from raw; staging, marts and ledger stay")
    prune_command.add_argument(
        "--before", type=_day, required=True, metavar="DATE", help="those loaded before this day, YYYY-MM-DD"
    )
    reporting.append(prune_command)
    for sub in reporting:
        sub.add_argument(
            "--no-wait", action="store_true", help="give up where another runner holds the warehouse"
        )
    verify_command = command("verify", verify, "compare every table with what it follows from")
    verify_command.add_argument(
        "--sample", type=float, metavar="PART", help="a random part of the keys, such as 0.01"
    )
    reporting.append(verify_command)
    why_command = command("why", why, "the order lines, raw rows and files behind a row of a mart")
    why_command.add_argument("mart", help="such as customer_ltv")
    why_command.add_argument("key", nargs="+", help="the row's key, one value per key column")
    reporting.append(why_command)
    for name, call, text in (
        ("report", report, "the marts at a glance"),
        ("status", status, "batches, builds, and what waits"),
    ):
        reporting.append(command(name, call, text))
    for sub in reporting:
        sub.add_argument("--json", action="store_true", help="print JSON")

    generate_command = command("generate", generate, "write a CSV file of fake orders into data/raw")
    generate_command.add_argument("--rows", type=int, default=10_000, help="number of rows (10000)")
    generate_command.add_argument("--date", type=_day, help="day of the file's name, YYYY-MM-DD (today)")
    generate_command.add_argument("--seed", type=int, help="the same seed gives the same bytes")
    generate_command.add_argument(
        "--dirty", type=float, default=0.0, metavar="P", help="share of bad or repeated rows"
    )
    migrate_command = command("migrate", migrate, "create or upgrade the tables, as alembic upgrade does")
    migrate_command.add_argument(
        "revision", nargs="?", help="the revision to go to (head; with --down, base)"
    )
    how = migrate_command.add_mutually_exclusive_group()
    how.add_argument(
        "--down", action="store_true", help="go back, as alembic downgrade does: this drops tables"
    )
    how.add_argument(
        "--check", action="store_true", help="compare the database with the models, as alembic check does"
    )
    # No character starts an option here: all of them are psql's own.
    psql_command = command(
        "psql", psql, "open a prompt on the database in use", prefix_chars="\0", add_help=False
    )
    psql_command.add_argument("arguments", nargs="*", help="passed to psql")
    url_command = command("url", url, "print the URL of the database in use")
    url_command.add_argument("--password", action="store_true", help="show the password")
    return top


def _add_feed_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "files", nargs="+", metavar="FILE", help="a .csv or .csv.gz file, a glob, a directory, or - "
    )
    sub.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="a column that the feed calls otherwise, such as order_id=InvoiceNo; may be repeated",
    )
    sub.add_argument("--delimiter", default=",", help="one character, or tab (,)")
    sub.add_argument("--encoding", default="utf-8", help="encoding of the file (utf-8)")
    sub.add_argument(
        "--number-lines", action="store_true", help="the rows of an order are its lines: number them"
    )
    sub.add_argument(
        "--skip-malformed", action="store_true", help="set structurally broken lines aside, load the rest"
    )
    sub.add_argument("--force", action="store_true", help="load again what was loaded before")


def everything(_: argparse.Namespace) -> int:
    import minidw
    from minidw import report as reports
    from minidw.database import bound, reading
    from minidw.generate import FEED_DIRECTORY, next_day
    from minidw.settings import Settings

    settings = Settings.from_env()
    console = _console()
    with bound(None, settings) as engine:
        if settings.url is not None:
            minidw.upgrade(engine, settings=settings)
        path = minidw.generate_orders(day=next_day(FEED_DIRECTORY, datetime.now(UTC).date()))
        console.print(f"generated {path}")
        result = minidw.run(path, engine, settings=settings)
        reports.print_result(console, result)
        with reading(engine, settings) as conn:
            for title, rows in reports.report(conn).items():
                reports.print_rows(console, rows[:5], title)
    return 0


def run(arguments: argparse.Namespace) -> int:
    import minidw

    return _each_file(arguments, minidw.run)


def load(arguments: argparse.Namespace) -> int:
    import minidw

    return _each_file(arguments, minidw.load_raw)


def stage(arguments: argparse.Namespace) -> int:
    import minidw

    return _print(arguments, [minidw.build_staging(replay=arguments.replay, wait=not arguments.no_wait)])


def build(arguments: argparse.Namespace) -> int:
    import minidw

    return _print(arguments, [minidw.build_marts(full=arguments.full, wait=not arguments.no_wait)])


def check(arguments: argparse.Namespace) -> int:
    import minidw

    result = minidw.check(wait=not arguments.no_wait)
    _print(arguments, [result])
    return 1 if any(outcome.failed for outcome in result.checked) else 0


def prune(arguments: argparse.Namespace) -> int:
    import minidw

    return _print(arguments, [minidw.prune(arguments.before, wait=not arguments.no_wait)])


def preview(arguments: argparse.Namespace) -> int:
    import minidw
    from minidw import report as reports
    from minidw.feed import find_files

    found = []
    for source in find_files(arguments.files):
        seen = minidw.preview(
            source,
            rows=arguments.rows,
            format=_format(arguments),
            force=arguments.force,
            number_lines=arguments.number_lines,
            wait=not arguments.no_wait,
        )
        if not arguments.json:
            reports.print_preview(_console(), seen)
        found.append(seen.as_dict())
    if arguments.json:
        print(json.dumps(found, default=str, indent=2))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    import minidw
    from minidw import report as reports

    verified = minidw.verify(sample=arguments.sample)
    if arguments.json:
        print(json.dumps(verified.as_dict(), default=str, indent=2))
    else:
        reports.print_verified(_console(), verified)
    return 1 if verified.differences else 0


def why(arguments: argparse.Namespace) -> int:
    import minidw
    from minidw import report as reports

    lines = minidw.why(arguments.mart, *arguments.key)
    if arguments.json:
        print(json.dumps(lines, default=str, indent=2))
    else:
        reports.print_lines(_console(), lines)
    return 0 if lines else 1


def report(arguments: argparse.Namespace) -> int:
    from minidw import report as reports

    return _print_tables(arguments, reports.report)


def status(arguments: argparse.Namespace) -> int:
    from minidw import report as reports

    return _print_tables(arguments, reports.status)


def generate(arguments: argparse.Namespace) -> int:
    import minidw

    path = minidw.generate_orders(
        rows=arguments.rows, day=arguments.date, seed=arguments.seed, dirty=arguments.dirty
    )
    print(path)
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    from minidw import database

    if arguments.check:
        database.check_schema()
    elif arguments.down:
        database.downgrade(revision=arguments.revision or "base")
    else:
        database.upgrade(revision=arguments.revision or "head")
    return 0


def psql(arguments: argparse.Namespace) -> int:
    from minidw import engine

    return engine.psql(arguments.arguments)


def url(arguments: argparse.Namespace) -> int:
    from minidw.engine import create_engine

    engine = create_engine()
    shown = engine.url.set(drivername="postgresql")
    print(shown.render_as_string(hide_password=not arguments.password))
    return 0


def _each_file(arguments: argparse.Namespace, call: Callable[..., "Result"]) -> int:
    """Every file its own batch and commit, oldest name first; all are surveyed before the first is loaded."""
    from minidw.database import bound
    from minidw.feed import find_files, survey
    from minidw.settings import Settings

    settings = Settings.from_env()
    format = _format(arguments)
    sources = find_files(arguments.files)
    feeds = [survey(source, format) for source in sources]
    results = []
    with bound(None, settings) as engine:
        for feed in feeds:
            with _progress(feed) as progress:
                result = call(
                    feed,
                    engine,
                    force=arguments.force,
                    number_lines=arguments.number_lines,
                    wait=not arguments.no_wait,
                    progress=progress,
                    settings=settings,
                )
            if not arguments.json:
                _print(arguments, [result])
            results.append(result)
    if arguments.json:
        _print(arguments, results)
    return 0


def _format(arguments: argparse.Namespace) -> "Format":
    from minidw.feed import Format

    columns = {}
    for pair in arguments.column:
        ours, equals, theirs = pair.partition("=")
        if not equals or not ours or not theirs:
            raise SettingsError(f"--column {pair}: write it as order_id=InvoiceNo")
        columns[ours] = theirs
    return Format(
        delimiter=arguments.delimiter,
        encoding=arguments.encoding,
        columns=columns,
        skip_malformed=arguments.skip_malformed,
    )


@contextmanager
def _progress(feed: "Feed") -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error for a file that takes more than a moment, where a person is watching."""
    if not sys.stderr.isatty() or feed.size < 16 * 2**20:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"loading {feed.name}", total=feed.size)
        yield lambda read: bar.advance(task, read)


def _print(arguments: argparse.Namespace, results: Sequence["Result"]) -> int:
    if arguments.json:
        print(json.dumps([result.as_dict() for result in results], default=str, indent=2))
        return 0
    from minidw import report as reports

    for result in results:
        reports.print_result(_console(), result)
    return 0


def _print_tables(
    arguments: argparse.Namespace, tables: Callable[..., dict[str, list[dict[str, Any]]]]
) -> int:
    from minidw.database import reading
    from minidw.settings import Settings

    with reading(None, Settings.from_env()) as conn:
        data = tables(conn)
    if arguments.json:
        print(json.dumps(data, default=str, indent=2))
        return 0
    from minidw import report as reports

    for title, rows in data.items():
        reports.print_rows(_console(), rows, title)
    return 0


def _console() -> Any:
    from rich.console import Console

    # A file or a pipe has no width of its own: nothing is folded there.
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, YYYY-MM-DD") from None
