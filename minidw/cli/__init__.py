"""The command line: one library call per command."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn

from minidw.cli import (
    database,
    doctor,
    everything,
    feeds,
    files,
    generate,
    init,
    marts,
    notices,
    proofs,
    rejects,
    reports,
    rules,
    serve,
    spark,
    steps,
)
from minidw.cli.output import Output, described
from minidw.cli.streams import Stream, occupy_closed
from minidw.cli.warehouse import announce
from minidw.errors import MinidwError, SettingsError, printable

COMMANDS = (
    files.add_run,
    files.add_load,
    steps.add_stage,
    steps.add_build,
    steps.add_check,
    files.add_preview,
    steps.add_prune,
    steps.add_unload,
    steps.add_erase,
    proofs.add_verify,
    proofs.add_why,
    proofs.add_history,
    proofs.add_diff,
    rejects.add_rejects,
    rules.add_rules,
    reports.add_report,
    reports.add_status,
    marts.add_show,
    marts.add_export,
    notices.add_listen,
    serve.add_serve,
    feeds.add_inspect,
    feeds.add_feeds,
    spark.add_spark,
    generate.add_generate,
    init.add_init,
    database.add_migrate,
    database.add_psql,
    database.add_url,
    doctor.add_doctor,
    doctor.add_completion,
)
"""In the order in which ``--help`` lists them."""

EXAMPLES = """\
examples:
  minidw                          # try it: a day of orders, all the way to the marts
  minidw run orders/*.csv         # your own
  minidw why customer_ltv 42      # where a number comes from
  minidw COMMAND --help           # the options of a command, and examples
"""
INTERRUPTED = 130


class UsageError(SettingsError):
    """The command line cannot be understood."""

    def __init__(self, message: str, usage: str) -> None:
        self.usage = usage
        super().__init__(message)


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves printing and the exit code to ``main``."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: error: {message}", self.format_usage())

    def _print_message(self, message: str, file: Any = None) -> None:
        Stream(file or sys.stdout).write(message)


class ShowVersion(argparse.Action):
    """--version, which is looked up where it is asked for only."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import minidw

        parser._print_message(f"minidw {minidw.__version__}\n")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Execute a command; returns the exit code: 0 done, 1 the data is at fault, 2 the call or the machine is.

    What was stored is never reported as failed: where only the report of it cannot be printed, a note on
    standard error says so.
    """
    occupy_closed()
    words = sys.argv[1:] if argv is None else argv
    output = Output(as_json="--json" in words)
    arguments = argparse.Namespace(only_reports=True)
    error: dict[str, Any] | None = None
    try:
        arguments = parser().parse_args(words)
        output.as_json = arguments.json
        if arguments.warehouse:
            announce(output)
        with output.watched():
            code: int = arguments.call(arguments, output)
    except UsageError as mistake:
        code, error = mistake.exit_code, described(mistake)
        output.err.write(f"{mistake.usage}{printable(str(mistake))}\n")
    except MinidwError as mistake:
        code, error = mistake.exit_code, described(mistake)
        output.note(str(mistake))
    except KeyboardInterrupt:
        code, error = INTERRUPTED, {"type": "KeyboardInterrupt", "exit_code": INTERRUPTED}
        error["message"] = "interrupted; what was under way is stored whole or not at all: minidw status"
        output.note(error["message"])
    except SystemExit as stop:  # --help and --version
        return _exit_code(int(stop.code or 0), output, only_reports=True)
    except Exception as fault:
        if os.environ.get("MINIDW_DEBUG"):
            raise
        code, error = 2, {"type": type(fault).__name__, "message": _last_resort(fault), "exit_code": 2}
        output.note(error["message"])
    output.finish(error)
    return _exit_code(code, output, only_reports=arguments.only_reports)


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top: argparse.ArgumentParser = Parser(
        prog="minidw",
        description="A small, exact data warehouse: order CSVs in, PostgreSQL marts out."
        " Without a command: migrate, generate today's orders, run, and print a summary.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    top.add_argument("--json", action="store_true", help="print the summary as JSON")
    top.set_defaults(call=everything.everything, only_reports=False, warehouse=True)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    for add_command in COMMANDS:
        add_command(commands)
    return top


def _exit_code(code: int, output: Output, *, only_reports: bool) -> int:
    """What the work deserves, also where its report was lost; unless the report was all of the work."""
    output.out.flush()
    output.err.flush()
    if output.out.failure is None or output.out.reader_left:
        return code
    if only_reports:
        output.note(f"cannot write to standard output: {output.out.failure}")
        return code or 2
    if code == 0:
        output.note(f"done, but standard output could not take the report: {output.out.failure}")
    return code


def _last_resort(fault: Exception) -> str:
    """One line for what nobody foresaw. Only an OSError's text is told: others may hold a password."""
    if isinstance(fault, OSError) and fault.strerror:
        return f"{fault.strerror}: {fault.filename}" if fault.filename else fault.strerror
    place = next((f for f in reversed(extract_tb(fault.__traceback__)) if "minidw" in f.filename), None)
    where = f" in {Path(place.filename).name}, line {place.lineno}" if place else ""
    return f"unexpected {type(fault).__name__}{where}: a fault of minidw; MINIDW_DEBUG=1 shows all of it"
