"""What several commands share: how a command is added, and the options that mean the same everywhere."""

import argparse
from collections.abc import Callable
from datetime import date
from typing import Any, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Call = Callable[[argparse.Namespace], int]


def add(
    commands: Commands, name: str, call: Call, text: str, *parents: argparse.ArgumentParser, **options: Any
) -> argparse.ArgumentParser:
    """Add a command: its name, what it calls, and what it does in a few words."""
    description = text[0].upper() + text[1:] + "."
    command = commands.add_parser(name, help=text, description=description, parents=parents, **options)
    command.set_defaults(call=call)
    return command


def reporting() -> argparse.ArgumentParser:
    """Options of every command that reports."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--json", action="store_true", help="print JSON")
    return parent


def writing() -> argparse.ArgumentParser:
    """Options of every command that takes the lock."""
    parent = reporting()
    parent.add_argument(
        "--no-wait", action="store_true", help="give up where another runner holds the warehouse"
    )
    return parent


def day(text: str) -> date:
    """The type of an option that is a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, YYYY-MM-DD") from None
