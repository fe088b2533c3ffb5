"""minidw without a command: all of it."""

import argparse
from datetime import UTC, datetime
from importlib.util import find_spec

from minidw.cli.output import console


def everything(_: argparse.Namespace) -> int:
    """Migrate, generate the next day of orders, run, and print a summary."""
    import minidw
    from minidw.database import bound
    from minidw.generate import FEED_DIRECTORY, next_day
    from minidw.reports import terminal
    from minidw.settings import Settings

    settings = Settings.from_env()
    shown = console()
    with bound(None, settings) as engine:
        if settings.url is not None:
            minidw.upgrade(engine, settings=settings)
        path = minidw.generate_orders(day=next_day(FEED_DIRECTORY, datetime.now(UTC).date()))
        shown.print(f"generated {path}")
        result = minidw.run(path, engine, settings=settings)
        terminal.print_result(shown, result)
        for title, rows in minidw.report(engine, settings=settings).items():
            terminal.print_rows(shown, rows[:5], title)
        if find_spec("vl_convert"):
            shown.print(f"all of it with charts: {minidw.write_report(bind=engine, settings=settings)}")
    return 0
