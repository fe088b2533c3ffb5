"""minidw without a command: all of it."""

import argparse
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from minidw.cli.output import Output
from minidw.errors import MinidwError

if TYPE_CHECKING:
    from minidw.database.engine import Target
    from minidw.settings import Settings


def everything(_: argparse.Namespace, output: Output) -> int:
    """Migrate, generate the next day of orders, run, and print a summary."""
    import minidw
    from minidw.database.transaction import bound
    from minidw.generate import FEED_DIRECTORY, next_day
    from minidw.reports import answers, terminal
    from minidw.settings import Settings

    settings = Settings.from_env()
    with bound(None, settings, create=True) as engine:
        if settings.url is not None:
            minidw.upgrade(engine, settings=settings)
        path = minidw.generate_orders(day=next_day(FEED_DIRECTORY, datetime.now(UTC).date()))
        output.say(f"generated {path}")
        output.add(minidw.run(path, engine, settings=settings), terminal.print_result)
        tables = minidw.report(engine, settings=settings)
        output.show(tables, lambda console: answers.print_report(console, tables, longest=5))
        if find_spec("vl_convert"):
            _write_page(output, engine, settings)
    return 0


def _write_page(output: Output, engine: "Target", settings: "Settings") -> None:
    """The day is in the warehouse by now: that a page cannot be written is a note, no failure."""
    import minidw

    try:
        page = minidw.write_report(bind=engine, settings=settings)
    except MinidwError as error:
        output.note(f"the page with charts could not be written: {error}")
    else:
        output.show({"html": str(page)}, lambda _: output.say(f"all of it with charts: {page}"))
