"""Command that starts a project: init."""

import argparse

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output


def add_init(commands: Commands) -> None:
    """minidw init DIRECTORY"""
    text = "write a project for marts, checks, migrations and tests of your own"
    command = add(commands, "init", init, text, reporting(), examples="minidw init shop && cd shop")
    command.add_argument("directory", help="where to; nothing in it is written over")


def init(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    written = [str(path) for path in minidw.init_project(arguments.directory)]
    output.show({"written": written}, lambda _: None)
    for path in written:
        output.say(path)
    output.say(f"next: cd {arguments.directory}, then minidw migrate")
    return 0
