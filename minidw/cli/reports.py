"""Commands that show: report, status."""

import argparse
from collections.abc import Callable
from typing import Any

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import console, print_json


def add_report(commands: Commands) -> None:
    """minidw report"""
    command = add(commands, "report", report, "the marts at a glance", reporting())
    command.add_argument("--html", metavar="FILE", help="write them as one HTML page with charts")


def add_status(commands: Commands) -> None:
    """minidw status"""
    add(commands, "status", status, "batches, builds, and what waits", reporting())


def report(arguments: argparse.Namespace) -> int:
    import minidw

    if arguments.html:
        print(minidw.write_report(arguments.html))
        return 0
    return _print_tables(arguments, minidw.report)


def status(arguments: argparse.Namespace) -> int:
    import minidw

    return _print_tables(arguments, minidw.status)


def _print_tables(
    arguments: argparse.Namespace, tables: Callable[[], dict[str, list[dict[str, Any]]]]
) -> int:
    data = tables()
    if arguments.json:
        print_json(data)
        return 0
    from minidw.reports import terminal

    for title, rows in data.items():
        terminal.print_rows(console(), rows, title)
    return 0
