"""Command that waits for those of others: listen."""

import argparse
from contextlib import closing, suppress

from minidw.cli.options import Commands, add, reporting, whole_number
from minidw.cli.output import Output


def add_listen(commands: Commands) -> None:
    """minidw listen"""
    text = "print each commit that builds marts, as it happens"
    examples = "minidw listen\nminidw listen --json | while read -r notice; do ./refresh-cache; done"
    command = add(commands, "listen", listen, text, reporting(), only_reports=True, examples=examples)
    command.add_argument(
        "--timeout", type=whole_number, metavar="SECONDS", help="end after so long without one (never)"
    )


def listen(arguments: argparse.Namespace, output: Output) -> int:
    import minidw

    output.in_lines = True
    # To interrupt it is how to end it.
    with suppress(KeyboardInterrupt), closing(minidw.listen(timeout=arguments.timeout)) as notices:
        for notice in notices:
            marts = "any mart" if notice.marts is None else ", ".join(notice.marts)
            output.line(notice.as_dict(), f"{notice.run_id} {notice.command}: {marts}")
            if output.out.failure:
                break
    return 0
