"""Commands that prove and explain: verify, why."""

import argparse

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output


def add_verify(commands: Commands) -> None:
    """minidw verify"""
    command = add(commands, "verify", verify, "compare every table with what it follows from", reporting())
    command.add_argument(
        "--sample", type=float, metavar="PART", help="a random part of the keys, such as 0.01"
    )


def add_why(commands: Commands) -> None:
    """minidw why MART KEY..."""
    text = "the order lines, raw rows and files behind a row of a mart"
    command = add(commands, "why", why, text, reporting(), only_reports=True)
    command.add_argument("mart", help="such as customer_ltv")
    command.add_argument("key", nargs="+", help="the row's key, one value per key column")


def verify(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import terminal

    with output.parts("verify") as progress:
        verified = minidw.verify(sample=arguments.sample, progress=progress)
    output.show(verified.as_dict(), lambda console: terminal.print_verified(console, verified))
    return 1 if verified.differences else 0


def why(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import terminal

    lines = minidw.why(arguments.mart, *arguments.key)
    output.show({"lines": lines}, lambda console: terminal.print_lines(console, lines))
    return 0 if lines else 1
