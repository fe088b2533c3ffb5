"""Commands that hand a mart to a person: show, export."""

import argparse

from minidw.cli.options import Commands, add, reporting, whole_number
from minidw.cli.output import Output

ROWS_SHOWN = 20


def add_show(commands: Commands) -> None:
    """minidw show MART"""
    text = "rows of a mart"
    examples = """
        minidw show daily_revenue --order 'revenue desc' --limit 5
        minidw show customer_segments --where 'segment = VIP' --where 'lifetime_value >= 20000'
    """
    command = add(commands, "show", show, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("mart", metavar="MART", help="the mart, such as customer_ltv")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="COLUMN = VALUE, or != < <= > >=; each has to be met",
    )
    command.add_argument(
        "--order", action="append", default=[], metavar="COLUMN", help="a column, or 'COLUMN desc' (the key)"
    )
    command.add_argument(
        "--limit",
        type=whole_number,
        default=ROWS_SHOWN,
        metavar="N",
        help=f"at most so many rows ({ROWS_SHOWN})",
    )


def add_export(commands: Commands) -> None:
    """minidw export [MART...]"""
    text = "write marts to files to hand on, all of one state, with a manifest"
    examples = """
        minidw export                                       # all of them, as CSV, into export/
        minidw export daily_revenue --format xlsx --to /srv/shared
    """
    command = add(commands, "export", export, text, reporting(), examples=examples)
    command.add_argument("marts", nargs="*", metavar="MART", help="such as customer_ltv (all of them)")
    command.add_argument(
        "--format", default="csv", choices=("csv", "parquet", "xlsx"), help="what kind of files (csv)"
    )
    command.add_argument("--to", default="export", metavar="DIR", help="the directory (export)")


def show(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.reports import answers
    from minidw.reports.show import show_with_total

    rows, total = show_with_total(
        arguments.mart, where=arguments.where, order=arguments.order, limit=arguments.limit
    )
    output.show({"total": total, "rows": rows}, lambda console: answers.print_shown(console, rows, total))
    return 0


def export(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports.values import counted

    written = minidw.export(arguments.marts, to=arguments.to, format=arguments.format)
    output.show({"exported": [exported.as_dict() for exported in written]}, lambda _: None)
    for exported in written:
        output.say(f"{exported.file}: {counted(exported.rows, 'row')}")
    return 0
