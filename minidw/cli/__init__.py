"""The command line: one library call per command."""

import argparse
import os
import sys
from collections.abc import Sequence

from minidw.cli import database, everything, files, generate, proofs, reports, steps
from minidw.errors import MinidwError

COMMANDS = (
    files.add_run,
    files.add_load,
    steps.add_stage,
    steps.add_build,
    steps.add_check,
    files.add_preview,
    steps.add_prune,
    proofs.add_verify,
    proofs.add_why,
    reports.add_report,
    reports.add_status,
    generate.add_generate,
    database.add_migrate,
    database.add_psql,
    database.add_url,
)
"""In the order in which ``--help`` lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 the data is at fault, 2 the call or the environment."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.call(arguments)
        sys.stdout.flush()
    except MinidwError as error:
        print(f"minidw: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "minidw: interrupted; what was under way is stored whole or not at all: minidw status",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="minidw",
        description="A small, exact data warehouse: order CSVs in, PostgreSQL marts out."
        " Without a command: migrate, generate today's orders, run, and print a summary.",
    )
    top.set_defaults(call=everything.everything, json=False)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    for add_command in COMMANDS:
        add_command(commands)
    return top
