"""What a command prints: JSON for programs, tables for people, a bar while a large file is read."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidw.feed import Feed
    from minidw.pipeline import Result


def console() -> Any:
    """Where tables are printed."""
    from rich.console import Console

    # A file or a pipe has no width of its own: nothing is folded there.
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def print_json(data: Any) -> None:
    """Dates and decimals as text."""
    print(json.dumps(data, default=str, indent=2))


def print_results(arguments: argparse.Namespace, results: Sequence["Result"]) -> None:
    """What commands did, as JSON or one summary each."""
    if arguments.json:
        print_json([result.as_dict() for result in results])
        return
    from minidw.reports import terminal

    for result in results:
        terminal.print_result(console(), result)


@contextmanager
def progress(feed: "Feed") -> Iterator[Callable[[int], None] | None]:
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
