"""Commands that take files: run, load, preview."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from minidw.cli import output
from minidw.cli.options import Commands, add, writing
from minidw.errors import SettingsError

if TYPE_CHECKING:
    from minidw.feed import Format
    from minidw.pipeline import Result


def add_run(commands: Commands) -> None:
    """minidw run FILE..."""
    add(commands, "run", run, "load, stage, build and check files, one commit each", feeds(), writing())


def add_load(commands: Commands) -> None:
    """minidw load FILE..."""
    add(commands, "load", load, "CSV files into raw", feeds(), writing())


def add_preview(commands: Commands) -> None:
    """minidw preview FILE..."""
    text = "what a file would change; nothing is stored"
    command = add(commands, "preview", preview, text, feeds(), writing())
    command.add_argument("--rows", type=int, default=10, help="rows to show per mart (10)")


def feeds() -> argparse.ArgumentParser:
    """Options of every command that reads files."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "files", nargs="+", metavar="FILE", help="a .csv or .csv.gz file, a glob, a directory, or - "
    )
    parent.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="a column that the feed calls otherwise, such as order_id=InvoiceNo; may be repeated",
    )
    parent.add_argument("--delimiter", default=",", help="one character, or tab (,)")
    parent.add_argument("--encoding", default="utf-8", help="encoding of the file (utf-8)")
    parent.add_argument(
        "--number-lines", action="store_true", help="the rows of an order are its lines: number them"
    )
    parent.add_argument(
        "--skip-malformed", action="store_true", help="set structurally broken lines aside, load the rest"
    )
    parent.add_argument("--force", action="store_true", help="load again what was loaded before")
    return parent


def run(arguments: argparse.Namespace) -> int:
    import minidw

    return _each_file(arguments, minidw.run)


def load(arguments: argparse.Namespace) -> int:
    import minidw

    return _each_file(arguments, minidw.load_raw)


def preview(arguments: argparse.Namespace) -> int:
    import minidw
    from minidw.feed import find_files
    from minidw.reports import terminal

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
            terminal.print_preview(output.console(), seen)
        found.append(seen.as_dict())
    if arguments.json:
        output.print_json(found)
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
            with output.progress(feed) as progress:
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
                output.print_results(arguments, [result])
            results.append(result)
    if arguments.json:
        output.print_results(arguments, results)
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
