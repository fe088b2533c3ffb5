"""minidw rules."""

import argparse

from minidw.cli.options import Commands, add, destroying, writing
from minidw.cli.output import Output, confirm
from minidw.errors import SettingsError


def add_rules(commands: Commands) -> None:
    """minidw rules"""
    text = "the rules of the warehouse: show them, or change them with all that follows"
    examples = """
        minidw rules
        minidw rules --set ORDER_DATE_MAX=2026-12-31     # says what it would move, and asks
        minidw rules --reset ORDER_DATE_MAX --yes        # back to the default
    """
    command = add(
        commands, "rules", rules, text, writing(), destroying(), only_reports=True, examples=examples
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a rule to change; may be repeated"
    )
    command.add_argument(
        "--reset", action="append", default=[], metavar="NAME", help="a rule to set to its default"
    )


def rules(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports import answers, data, terminal
    from minidw.reports.values import counted

    changes = _changes(arguments.set, arguments.reset)
    if not changes:
        present, versions = minidw.rules(), data.rule_versions()
        listed = {"rules": [rule.as_dict() for rule in present], "history": versions}
        output.show(listed, lambda console: answers.print_rules(console, present, versions))
        return 0
    arguments.only_reports = False
    wait = not arguments.no_wait
    if not arguments.yes:
        seen = minidw.preview_rules(changes, rows=0, wait=wait)
        output.show({"preview": seen.as_dict()}, lambda console: terminal.print_preview(console, seen))
        if not seen.result.rules:
            return 0
        confirm(output, f"this changes {counted(len(seen.result.rules), 'rule')} and all that follows")
    output.add(minidw.set_rules(changes, wait=wait), terminal.print_result)
    return 0


def _changes(sets: list[str], resets: list[str]) -> dict[str, str | None]:
    """The values wanted by name; None for the default."""
    wanted: list[tuple[str, str | None]] = []
    for pair in sets:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise SettingsError(f"--set {pair}: write it as SEGMENT_VIP=20000; --reset gives the default")
        wanted.append((name.upper(), value))
    wanted += [(name.strip().upper(), None) for name in resets]
    changes = dict(wanted)
    if len(changes) < len(wanted):
        raise SettingsError("a rule is given twice: " + ", ".join(name for name, _ in wanted))
    return changes
