"""minidw generate."""

import argparse

from minidw.cli.options import Commands, add, day, reporting
from minidw.cli.output import Output


def add_generate(commands: Commands) -> None:
    """minidw generate"""
    command = add(
        commands,
        "generate",
        generate,
        "write a CSV file of fake orders into data/raw",
        reporting(),
        warehouse=False,
    )
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
