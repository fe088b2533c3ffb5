"""Commands that show: report, status."""

import argparse

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output


def add_report(commands: Commands) -> None:
    """minidw report"""
    examples = "minidw report\nminidw report --html report.html     # with charts, to hand on"
    text = "the marts at a glance"
    command = add(commands, "report", report, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("--html", metavar="FILE", help="write them as one HTML page with charts")


def add_status(commands: Commands) -> None:
    """minidw status"""
    text = "batches, builds, and what waits"
    examples = "minidw status --json | jq '.batches[0]'"
    add(commands, "status", status, text, reporting(), only_reports=True, examples=examples)


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
