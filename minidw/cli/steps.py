"""Commands that are a step: stage, build, check, prune."""

import argparse

from minidw.cli.options import Commands, add, day, writing
from minidw.cli.output import print_results


def add_stage(commands: Commands) -> None:
    """minidw stage"""
    command = add(commands, "stage", stage, "clean the loaded rows into staging", writing())
    command.add_argument("--replay", action="store_true", help="judge the batches staged before again")


def add_build(commands: Commands) -> None:
    """minidw build"""
    command = add(commands, "build", build, "bring the marts up to date with staging", writing())
    command.add_argument("--full", action="store_true", help="build them from scratch")


def add_check(commands: Commands) -> None:
    """minidw check"""
    add(commands, "check", check, "execute the checks; exit code 1 where one fails", writing())


def add_prune(commands: Commands) -> None:
    """minidw prune --before DATE"""
    text = "remove old batches from raw; staging, marts and ledger stay"
    command = add(commands, "prune", prune, text, writing())
    command.add_argument(
        "--before", type=day, required=True, metavar="DATE", help="those loaded before this day, YYYY-MM-DD"
    )


def stage(arguments: argparse.Namespace) -> int:
    import minidw

    result = minidw.build_staging(replay=arguments.replay, wait=not arguments.no_wait)
    print_results(arguments, [result])
    return 0


def build(arguments: argparse.Namespace) -> int:
    import minidw

    print_results(arguments, [minidw.build_marts(full=arguments.full, wait=not arguments.no_wait)])
    return 0


def check(arguments: argparse.Namespace) -> int:
    import minidw

    result = minidw.run_checks(wait=not arguments.no_wait)
    print_results(arguments, [result])
    return 1 if any(outcome.failed for outcome in result.checked) else 0


def prune(arguments: argparse.Namespace) -> int:
    import minidw

    print_results(arguments, [minidw.prune(arguments.before, wait=not arguments.no_wait)])
    return 0
