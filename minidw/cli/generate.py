"""minidw generate."""

import argparse

from minidw.cli.options import Commands, add, day, reporting, whole_number
from minidw.cli.output import Output


def add_generate(commands: Commands) -> None:
    """minidw generate"""
    command = add(
        commands,
        "generate",
        generate,
        "write a CSV file of fake orders into data/raw, or the export of a known shop into data/exports",
        reporting(),
        warehouse=False,
        examples="""
            minidw generate --rows 1000 --dirty 0.1
            minidw generate --as shopify --orders 200      # and the revenue that it comes to
        """,
    )
    command.add_argument(
        "--as", dest="feed", metavar="FEED", help="as the export of a known feed (minidw feeds)"
    )
    command.add_argument("--orders", type=whole_number, default=1_000, metavar="N", help="with --as (1000)")
    command.add_argument("--rows", type=int, default=10_000, help="number of rows (10000)")
    command.add_argument("--date", type=day, help="day of the file's name, YYYY-MM-DD (today)")
    command.add_argument(
        "--from", dest="first_day", type=day, metavar="DATE", help="first day of the orders (2023-01-01)"
    )
    command.add_argument(
        "--to", dest="last_day", type=day, metavar="DATE", help="last day of the orders (2025-12-31)"
    )
    command.add_argument("--seed", type=int, help="the same seed gives the same bytes")
    command.add_argument("--force", action="store_true", help="write over a file that is there already")
    command.add_argument(
        "--dirty", type=float, default=0.0, metavar="P", help="share of bad or repeated rows"
    )


def generate(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.generate import FIRST_DAY, LAST_DAY

    if arguments.feed is not None:
        return _generate_export(arguments, output)
    path = minidw.generate_orders(
        rows=arguments.rows,
        day=arguments.date,
        seed=arguments.seed,
        dirty=arguments.dirty,
        first_day=arguments.first_day or FIRST_DAY,
        last_day=arguments.last_day or LAST_DAY,
        overwrite=arguments.force,
    )
    output.show({"path": str(path), "rows": arguments.rows}, lambda _: output.say(str(path)))
    return 0


def _generate_export(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.generate import FIRST_DAY, LAST_DAY

    export = minidw.generate_export(
        arguments.feed,
        orders=arguments.orders,
        seed=arguments.seed,
        first_day=arguments.first_day or FIRST_DAY,
        last_day=arguments.last_day or LAST_DAY,
        overwrite=arguments.force,
    )
    found = {name: value for name, value in vars(export).items() if name != "path"} | {
        "path": str(export.path)
    }
    currency = f"CURRENCY={export.currency} " if export.currency else ""
    load = f"{currency}minidw run {export.path} --feed {export.feed}"
    text = f"{export.path}: {export.lines:,} order lines that come to {export.revenue:,}; {load}"
    output.show(found, lambda _: output.say(text))
    return 0
