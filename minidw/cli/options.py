"""What several commands share: how a command is added, and the options that mean the same everywhere."""

import argparse
from collections.abc import Callable
from datetime import date
from inspect import cleandoc
from textwrap import indent
from typing import Any, TypeAlias

from minidw.cli.output import Output

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Call = Callable[[argparse.Namespace, Output], int]


def add(
    commands: Commands,
    name: str,
    call: Call,
    text: str,
    *parents: argparse.ArgumentParser,
    only_reports: bool = False,
    warehouse: bool = True,
    examples: str = "",
    **options: Any,
) -> argparse.ArgumentParser:
    """Add a command: its name, what it calls, and what it does in a few words.

    ``only_reports``: what it prints is all that it does, so it failed where that cannot be printed; a call
    that does more than that says so in its arguments.
    ``warehouse``: it works on one, and says which.
    ``examples``: lines of a shell, shown below its options.
    """
    command = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        parents=parents,
        epilog=f"examples:\n{indent(cleandoc(examples), '  ')}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    command.set_defaults(call=call, only_reports=only_reports, warehouse=warehouse)
    return command


def reporting() -> argparse.ArgumentParser:
    """Options of every command that reports."""
    parent = argparse.ArgumentParser(add_help=False)
    # Without a default of its own: minidw --json report is to be the same as minidw report --json.
    parent.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    return parent


def writing() -> argparse.ArgumentParser:
    """Options of every command that takes the lock."""
    parent = reporting()
    parent.add_argument(
        "--no-wait", action="store_true", help="give up where another runner holds the warehouse"
    )
    return parent


def destroying() -> argparse.ArgumentParser:
    """Options of every command that takes away what cannot be brought back."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--yes", action="store_true", help="do not ask first")
    return parent


def whole_number(text: str) -> int:
    """The type of an option that is a number of things."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def day(text: str) -> date:
    """The type of an option that is a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, YYYY-MM-DD") from None
