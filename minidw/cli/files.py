"""Commands that take files: run, load, preview."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from minidw.cli.feeds import declared, declaring
from minidw.cli.options import Commands, add, destroying, whole_number, writing
from minidw.cli.output import Output, confirm
from minidw.cli.steps import taking_back
from minidw.errors import SettingsError

if TYPE_CHECKING:
    from minidw.feed import SurveyedFile
    from minidw.pipeline.result import Result


REPLACE = "a batch to take back; the file takes its place in the order of deliveries"


def add_run(commands: Commands) -> None:
    """minidw run FILE..."""
    text = "load, stage, build and check files, one commit each"
    examples = """
        minidw run orders.csv
        minidw run 'exports/2025-*.csv.gz' --delimiter ';' --column order_id=InvoiceNo
        cat orders.csv | minidw run - --json
        minidw run 's3://bucket/exports/2025-*.csv.gz'
    """
    command = add(commands, "run", run, text, feeds(), writing(), destroying(), examples=examples)
    command.add_argument("--replace", type=whole_number, metavar="BATCH", help=REPLACE)
    accepting(command)


def add_load(commands: Commands) -> None:
    """minidw load FILE..."""
    examples = "minidw load orders/*.csv && minidw stage && minidw build && minidw check"
    add(commands, "load", load, "CSV files into raw", feeds(), writing(), examples=examples)


def add_preview(commands: Commands) -> None:
    """minidw preview FILE..."""
    text = "what a file, or taking back a batch, would change; nothing is stored"
    examples = """
        minidw preview corrections.csv
        minidw preview january.csv --replace 3
        minidw preview --unload 17
    """
    command = add(
        commands, "preview", preview, text, feeds("*"), writing(), only_reports=True, examples=examples
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument("--replace", type=whole_number, metavar="BATCH", help=REPLACE)
    how.add_argument(
        "--unload", type=whole_number, nargs="+", metavar="BATCH", help="batches to take back; no file then"
    )
    command.add_argument("--rows", type=int, default=10, help="rows to show per mart (10)")
    accepting(command)


def accepting(command: argparse.ArgumentParser) -> None:
    """An option of those that go through all steps: other rules lead to all of them."""
    command.add_argument(
        "--accept-rules",
        action="store_true",
        help="where the settings say otherwise than the rules of the warehouse, change these (minidw rules)",
    )


def feeds(number: str = "+") -> argparse.ArgumentParser:
    """Options of every command that reads files."""
    parent = argparse.ArgumentParser(add_help=False, parents=[declaring()])
    parent.add_argument(
        "files",
        nargs=number,
        metavar="FILE",
        help="a CSV file, packed or not, a glob, a directory, a URL, or -",
    )
    parent.add_argument("--force", action="store_true", help="load again what was loaded before")
    return parent


def run(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    call = partial(minidw.run, accept_rules=arguments.accept_rules)
    if arguments.replace is None:
        return _each_file(arguments, output, call)
    _one_file(arguments)
    if not arguments.yes:
        confirm(output, taking_back([arguments.replace]))
    return _each_file(arguments, output, partial(call, replace=arguments.replace))


def load(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    return _each_file(arguments, output, minidw.load_raw)


def preview(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.feed import find_files
    from minidw.reports import terminal

    output.document["results"] = []
    if arguments.unload:
        if arguments.files:
            raise SettingsError("--unload takes batches and no file")
        seen = minidw.preview_unload(arguments.unload, rows=arguments.rows, wait=not arguments.no_wait)
        output.add(seen, terminal.print_preview)
        return 0
    if arguments.replace is not None or not arguments.files:
        _one_file(arguments)
    feed = declared(arguments)
    sources = find_files(arguments.files)
    draw = terminal.print_preview if len(sources) < terminal.MANY_FILES else terminal.print_preview_line
    for source in sources:
        seen = minidw.preview(
            source,
            rows=arguments.rows,
            feed=feed,
            force=arguments.force,
            replace=arguments.replace,
            accept_rules=arguments.accept_rules,
            wait=not arguments.no_wait,
        )
        output.add(seen, draw)
    return 0


def _one_file(arguments: argparse.Namespace) -> None:
    if len(arguments.files) != 1:
        raise SettingsError(f"give one file; these are {len(arguments.files)}")


def _each_file(arguments: argparse.Namespace, output: Output, call: Callable[..., "Result"]) -> int:
    """Every file its own batch and commit, oldest name first; all are surveyed before the first is loaded."""
    from minidw.database.transaction import bound
    from minidw.feed import find_files, survey
    from minidw.reports import terminal
    from minidw.settings import Settings

    output.document["results"] = []
    settings = Settings.from_env()
    feed = declared(arguments)
    sources = find_files(arguments.files)
    many = len(sources) >= terminal.MANY_FILES
    files = [_without_descriptors(survey(source, feed), many=many) for source in sources]
    results: list[Result] = []
    try:
        with bound(None, settings, create=True, wait=not arguments.no_wait) as engine:
            for source, surveyed in zip(sources, files, strict=True):
                file = surveyed or survey(source, feed)
                result = call(
                    file,
                    engine,
                    force=arguments.force,
                    wait=not arguments.no_wait,
                    progress=output.reading(file),
                    settings=settings,
                )
                results.append(result)
                output.add(result, terminal.print_line if many else terminal.print_result)
    finally:
        if many:
            output.show({}, lambda console: terminal.print_sum(console, results, len(sources)))
    return 0


def _without_descriptors(file: "SurveyedFile", *, many: bool) -> "SurveyedFile | None":
    """The file, unless it holds files open: of many such files, one is held at a time."""
    holds = file.malformed_spool is not None or (many and file.source.spool is not None)
    return None if holds and file.name != "stdin" else file
