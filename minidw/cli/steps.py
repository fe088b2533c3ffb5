"""Commands that are a step, or take something away: stage, build, check, prune, unload, erase."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minidw.cli.options import Commands, add, day, destroying, whole_number, writing
from minidw.cli.output import Output, confirm

if TYPE_CHECKING:
    from minidw.pipeline.result import Result


def add_stage(commands: Commands) -> None:
    """minidw stage"""
    text = "clean the loaded rows into staging"
    examples = "minidw stage\nminidw stage --replay    # judge what is there once more"
    command = add(commands, "stage", stage, text, writing(), examples=examples)
    command.add_argument("--replay", action="store_true", help="judge the batches staged before again")


def add_build(commands: Commands) -> None:
    """minidw build"""
    text = "bring the marts up to date with staging"
    command = add(commands, "build", build, text, writing(), examples="minidw build\nminidw build --full")
    command.add_argument("--full", action="store_true", help="build them from scratch")


def add_check(commands: Commands) -> None:
    """minidw check"""
    text = "execute the checks; exit code 1 where one fails"
    add(commands, "check", check, text, writing(), examples="minidw check && ./publish")


def add_prune(commands: Commands) -> None:
    """minidw prune --before DATE"""
    text = "remove old batches from raw; staging, marts and ledger stay"
    examples = "minidw prune --before 2025-01-01"
    command = add(commands, "prune", prune, text, writing(), destroying(), examples=examples)
    command.add_argument(
        "--before", type=day, required=True, metavar="DATE", help="those loaded before this day, YYYY-MM-DD"
    )


def add_unload(commands: Commands) -> None:
    """minidw unload BATCH..."""
    text = "take batches back: everything becomes what the other deliveries say"
    examples = "minidw preview --unload 17\nminidw unload 17"
    command = add(commands, "unload", unload, text, writing(), destroying(), examples=examples)
    command.add_argument(
        "batches", type=whole_number, nargs="+", metavar="BATCH", help="batch_id, as in status"
    )


def add_erase(commands: Commands) -> None:
    """minidw erase CUSTOMER..."""
    text = "replace customers by pseudonyms everywhere; the orders and what they add up to stay"
    examples = "minidw erase ada@example.com"
    command = add(commands, "erase", erase, text, writing(), destroying(), examples=examples)
    command.add_argument("customers", nargs="+", metavar="CUSTOMER", help="customer_id, as it is staged")


def stage(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    return _report(output, minidw.build_staging(replay=arguments.replay, wait=not arguments.no_wait))


def build(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    return _report(output, minidw.build_marts(full=arguments.full, wait=not arguments.no_wait))


def check(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    return _report(output, minidw.run_checks(wait=not arguments.no_wait))


def prune(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports.data import holdings
    from minidw.reports.values import counted
    from minidw.steps.prune import prunable

    if not arguments.yes:
        due = holdings(where=prunable(arguments.before))
        raw = f"{counted(due.batches, 'batch')} with {counted(due.rows_read, 'row')}"
        confirm(output, f"this removes {raw} from raw for good")
    return _report(output, minidw.prune(arguments.before, wait=not arguments.no_wait))


def unload(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    if not arguments.yes:
        confirm(output, taking_back(arguments.batches))
    return _report(output, minidw.unload(arguments.batches, wait=not arguments.no_wait))


def erase(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports.data import order_lines_of
    from minidw.reports.values import counted
    from minidw.steps.erase import identifiers

    customers = identifiers(arguments.customers)
    if not arguments.yes:
        who, lines = counted(len(customers), "customer"), counted(order_lines_of(customers), "order line")
        confirm(output, f"this replaces {who} with {lines} by pseudonyms for good")
    return _report(output, minidw.erase(customers, wait=not arguments.no_wait))


def taking_back(batch_ids: Sequence[int]) -> str:
    """What an unload is about to do."""
    from minidw.reports.data import holdings
    from minidw.reports.values import counted
    from minidw.schema import Batch

    due = holdings(where=[Batch.batch_id.in_(batch_ids), Batch.unloaded_at.is_(None)])
    return f"this takes {counted(due.batches, 'batch')} with {counted(due.rows_read, 'row')} out of raw"


def _report(output: Output, result: "Result") -> int:
    from minidw.reports import terminal

    output.add(result, terminal.print_result)
    return 1 if any(outcome.failed for outcome in result.checked) else 0
