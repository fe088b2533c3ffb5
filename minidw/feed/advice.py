"""What to do, said so that it serves in a feed, in a call and on the command line."""

import json
from shlex import quote


def declare(key: str, value: str | int) -> str:
    """A key of a feed with its value, and the option that says the same.

    Example: ``declare("dates", "dmy")`` is ``dates = "dmy" (--dates dmy)``.
    """
    return f"{key} = {_text(value)} (--{key.replace('_', '-')} {quote(str(value))})"


def declare_column(ours: str, theirs: str) -> str:
    """Which column of an export is one of ours."""
    return f"columns.{ours} = {_text(theirs)} (--column {quote(f'{ours}={theirs}')})"


def declare_constant(ours: str, value: str) -> str:
    """A value for a column that an export lacks."""
    return f"columns.{ours} = {{ value = {_text(value)} }} (--set {quote(f'{ours}={value}')})"


def declare_status(theirs: str, ours: str) -> str:
    """What a status of an export means."""
    return f"status.{_text(theirs)} = {_text(ours)} (--status {quote(f'{theirs}={ours}')})"


def _text(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)
