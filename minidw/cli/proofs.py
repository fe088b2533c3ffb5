"""Commands that prove and explain: verify, why, history, diff."""

import argparse

from minidw.cli.options import Commands, add, reporting, whole_number
from minidw.cli.output import Output


def add_verify(commands: Commands) -> None:
    """minidw verify"""
    text = "compare every table with what it follows from"
    examples = "minidw verify\nminidw verify --sample 0.01     # of a large warehouse, one key in a hundred"
    command = add(commands, "verify", verify, text, reporting(), examples=examples)
    command.add_argument(
        "--sample", type=float, metavar="PART", help="a random part of the keys, such as 0.01"
    )


def add_why(commands: Commands) -> None:
    """minidw why MART KEY..."""
    text = "the order lines, raw rows and files behind a row of a mart"
    examples = """
        minidw why customer_ltv 42
        minidw why product_revenue 85123A home --limit 5
        minidw why daily_revenue 2025-11-28 --json
    """
    command = add(commands, "why", why, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("mart", help="such as customer_ltv")
    command.add_argument("key", nargs="+", help="the row's key, one value per key column")
    command.add_argument(
        "--limit", type=whole_number, metavar="N", help="at most so many order lines (20; as JSON all)"
    )


def add_history(commands: Commands) -> None:
    """minidw history ORDER_ID"""
    text = "every delivery of an order, what became of each row, and what held when"
    examples = "minidw history 1001"
    command = add(commands, "history", history, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("order_id", help="as it is staged")


def add_diff(commands: Commands) -> None:
    """minidw diff BATCH..BATCH"""
    text = "the rows of each mart that changed between two batches"
    examples = """
        minidw diff 17..18      # what batch 18 changed
        minidw diff 12..18 --rows 50
    """
    command = add(commands, "diff", diff, text, reporting(), only_reports=True, examples=examples)
    command.add_argument("batches", type=two_batches, metavar="BATCH..BATCH", help="batch_id, as in status")
    command.add_argument("--rows", type=whole_number, default=10, help="rows to show per mart (10)")


def two_batches(text: str) -> tuple[int, int]:
    """The type of an argument that is two batches."""
    first, dots, last = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text!r} is not two batches, such as 17..18")
    return whole_number(first), whole_number(last)


def diff(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import terminal

    found = minidw.diff(*arguments.batches, rows=arguments.rows)
    output.show(found.as_dict(), lambda console: terminal.print_diff(console, found))
    return 0


def history(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers

    rows = minidw.history(arguments.order_id)
    output.show({"deliveries": rows}, lambda console: answers.print_history(console, rows))
    return 0 if rows else 1


def verify(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers

    verified = minidw.verify(sample=arguments.sample, progress=output.parts("verify"))
    output.show(verified.as_dict(), lambda console: answers.print_verified(console, verified))
    return 1 if verified.differences else 0


def why(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers, terminal

    limit = arguments.limit
    if limit is None and not output.as_json:
        limit = terminal.LONGEST_LIST
    lines = minidw.why(arguments.mart, arguments.key, limit=limit)
    output.show(lines.as_dict(), lambda console: answers.print_explanation(console, lines))
    return 0 if lines.order_lines or lines.row else 1
