"""What is public tells a caller each argument and field, what comes back, what is raised, and an example.

The examples are run by tests/integration/test_examples.py.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import minidw

PUBLIC = {name: getattr(minidw, name) for name in minidw.MODULES}
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isroutine(thing)}
CLASSES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing)}
TYPES = ("Bind", "Input")
"""Unions of types, which have no docstring at run time."""


def told(text: str) -> set[str]:
    """The names that lines such as ``first, last: days of the orders`` begin with."""
    lines = re.findall(r"^ *(\w+(?:, \w+)*):(?= )", text, re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


def section(doc: str, title: str) -> str:
    """What stands below ``Args:`` and the like."""
    found = re.search(rf"^{title}:\n((?:    .*\n?)+)", doc, re.MULTILINE)
    return found[1] if found else ""


def lacks_of_a_function(function: Any) -> Iterator[str]:
    doc, signature = inspect.getdoc(function) or "", inspect.signature(function)
    yield from sorted(signature.parameters.keys() - told(section(doc, "Args")))
    needed = ["Raises", "Example"] + ["Returns"] * (signature.return_annotation is not None)
    yield from (title for title in needed if not section(doc, title))


def lacks_of_a_class(of: type[Any]) -> Iterator[str]:
    doc, shown = inspect.getdoc(of) or "", vars(object)["__repr__"]
    if ">>>" not in doc:
        yield "Example"
    if all("__repr__" not in vars(base) or vars(base)["__repr__"] is shown for base in of.__mro__):
        yield "repr"
    if dataclasses.is_dataclass(of):
        fields = {field.name for field in dataclasses.fields(of) if not field.name.startswith("_")}
        yield from sorted(fields - told(doc))
    for name, member in vars(of).items():
        is_called = inspect.isroutine(member) or isinstance(member, property | classmethod | staticmethod)
        if is_called and not name.startswith("_") and not inspect.getdoc(getattr(of, name)):
            yield name


def test_every_public_thing_is_a_function_a_class_or_a_type() -> None:
    assert PUBLIC.keys() - FUNCTIONS.keys() - CLASSES.keys() == set(TYPES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_tells_all_of_itself(name: str) -> None:
    assert list(lacks_of_a_function(FUNCTIONS[name])) == []


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_tells_all_of_itself(name: str) -> None:
    assert list(lacks_of_a_class(CLASSES[name])) == []


def test_options_come_after_the_bind_and_by_name_only() -> None:
    """One order of parameters: what a call is about, where to work, and how."""
    for name, function in FUNCTIONS.items():
        parameters = list(inspect.signature(function).parameters.values())
        names = [parameter.name for parameter in parameters]
        if "bind" in names:
            options = parameters[names.index("bind") + 1 :]
            assert all(option.kind is option.KEYWORD_ONLY for option in options), name
