"""minidw without a command: all of it."""

import argparse
from datetime import UTC, datetime
from importlib.util import find_spec

from minidw.cli.output import Output


def everything(_: argparse.Namespace, output: Output) -> int:
    """Migrate, generate the next day of orders, run, and print a summary."""
    import minidw
    from minidw.database import bound
    from minidw.generate import FEED_DIRECTORY, next_day
    from minidw.reports import terminal
    from minidw.settings import Settings

    settings = Settings.from_env()
    with bound(None, settings) as engine:
        if settings.url is not None:
            minidw.upgrade(engine, settings=settings)
        path = minidw.generate_orders(day=next_day(FEED_DIRECTORY, datetime.now(UTC).date()))
        output.say(f"generated {path}")
        output.add(minidw.run(path, engine, settings=settings), terminal.print_result)
        tables = minidw.report(engine, settings=settings)
        output.show(tables, lambda console: terminal.print_tables(console, tables, longest=5))
        if find_spec("vl_convert"):
            page = minidw.write_report(bind=engine, settings=settings)
            output.show({"html": str(page)}, lambda _: output.say(f"all of it with charts: {page}"))
    return 0
