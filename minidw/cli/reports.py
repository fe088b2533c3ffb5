"""Commands that show: report, status."""

import argparse

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output


def add_report(commands: Commands) -> None:
    """minidw report"""
    command = add(commands, "report", report, "the marts at a glance", reporting(), only_reports=True)
    command.add_argument("--html", metavar="FILE", help="write them as one HTML page with charts")


def add_status(commands: Commands) -> None:
    """minidw status"""
    add(commands, "status", status, "batches, builds, and what waits", reporting(), only_reports=True)


def report(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers

    if arguments.html:
        arguments.only_reports = False
        page = minidw.write_report(arguments.html)
        output.show({"html": str(page)}, lambda _: output.say(str(page)))
        return 0
    tables = minidw.report()
    output.show(tables, lambda console: answers.print_report(console, tables))
    return 0


def status(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers

    tables = minidw.status()
    output.show(tables, lambda console: answers.print_status(console, tables))
    return 0
