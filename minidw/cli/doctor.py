"""Commands about minidw itself: doctor, completion."""

import argparse

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output
from minidw.errors import SettingsError

MARKS = {"fine": "✓", "note": "·", "fault": "✗"}
SHELLS = ("bash", "zsh", "tcsh")


def add_doctor(commands: Commands) -> None:
    """minidw doctor"""
    text = "what is installed, which warehouse it is, and what is in the way"
    examples = "minidw doctor"
    add(commands, "doctor", doctor, text, reporting(), only_reports=True, warehouse=False, examples=examples)


def add_completion(commands: Commands) -> None:
    """minidw completion SHELL"""
    text = "print what completes minidw's commands and options in a shell"
    examples = """
        source <(minidw completion bash)                              # in this shell
        minidw completion bash > ~/.local/share/bash-completion/completions/minidw
    """
    command = add(
        commands, "completion", completion, text, only_reports=True, warehouse=False, examples=examples
    )
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def doctor(arguments: argparse.Namespace, output: Output) -> int:
    """Say what was found; 2 where something is in the way."""
    from minidw.reports.doctor import examine

    findings = list(examine())
    output.show({"findings": [finding.as_dict() for finding in findings]}, lambda _: None)
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        advice = f" → {finding.advice}" if finding.advice else ""
        output.say(f"{MARKS[finding.state]} {finding.about:{width}}  {finding.found}{advice}")
    return 2 if any(finding.state == "fault" for finding in findings) else 0


def completion(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.cli import parser

    try:
        import shtab
    except ImportError:
        raise SettingsError("to complete commands, pip install 'minidw[completion]'") from None
    output.out.write_exactly(shtab.complete(parser(), arguments.shell) + "\n")
    return 0
