"""Checks: each a named select of offending rows. Empty is good."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from sqlalchemy import BindParameter, SelectBase
from sqlalchemy.sql.visitors import iterate

from minidw.errors import DeclarationError, printable
from minidw.schema.words import Rule

Severity = Literal["error", "warning"]
Declared = TypeVar("Declared", bound=Callable[[], SelectBase])


@dataclass(frozen=True)
class Check:
    """A named select of offending rows; one of severity ``error`` stops a run before its commit."""

    name: str
    severity: Severity
    offending: Any


declared_checks: dict[str, tuple[Check, str]] = {}
"""The user's own, by name, and where each is from."""


@overload
def check(declared: Declared) -> Declared: ...


@overload
def check(*, severity: Severity = "error") -> Callable[[Declared], Declared]: ...


def check(declared: Declared | None = None, *, severity: Severity = "error") -> Any:
    """Declare a check of one's own: a function that returns a select of offending rows. Empty is good.

    It is executed in each run, on everything, after the marts are built and before the commit, and its
    result is kept under the function's name.

    Args:
        declared: the function; left out where the severity is given
        severity: an ``error`` with offending rows rolls the run back (the default), a ``warning`` is told

    Returns:
        The function as it was; where the severity is given, what declares it.

    Raises:
        DeclarationError: the function's name is taken, or it does not return a select

    Example:
        >>> @minidw.check(severity="warning")
        ... def days_with_one_line():
        ...     return select(minidw.DailyRevenue).where(minidw.DailyRevenue.order_lines == 1)
        >>> minidw.run_checks().checked[-1].name
        'days_with_one_line'
    """
    if declared is None:
        return lambda declared: _declare(declared, severity)
    return _declare(declared, severity)


def _declare(declared: Any, severity: Severity) -> Any:
    name = getattr(declared, "__name__", "")
    where = f"{getattr(declared, '__module__', '')}.{getattr(declared, '__qualname__', '')}"
    if not callable(declared) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise DeclarationError(f"check: {printable(repr(declared))} is no function with a name in lower case")
    if severity not in ("error", "warning"):
        raise DeclarationError(f"check {name}: severity is error or warning, not {severity!r}")
    # One declared again at the same place, in a notebook, replaces itself.
    if name in declared_checks and declared_checks[name][1] != where:
        raise DeclarationError(f"check {name}: there is one of this name already")
    try:
        offending = declared()
    except Exception as error:
        text = printable(f"{type(error).__name__}: {error}".splitlines()[0])
        raise DeclarationError(f"check {name}: {text}") from error
    if not isinstance(offending, SelectBase):
        raise DeclarationError(f"check {name}: it must return a select of offending rows, not {offending!r}")
    for element in iterate(offending):
        if isinstance(element, BindParameter) and element.required and not isinstance(element, Rule):
            raise DeclarationError(f"check {name}: nothing gives the parameter {element.key!r} a value")
    declared_checks[name] = Check(name, severity, offending), where
    return declared
