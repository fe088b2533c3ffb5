"""What one invocation prints: text for people, or one JSON document for programs."""

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from minidw.cli.streams import Stream
from minidw.errors import BadFileError, MinidwError, SettingsError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from minidw.cli.progress import Steps
    from minidw.feed import SurveyedFile


class Data(Protocol):
    """What is plain data as well."""

    def as_dict(self) -> dict[str, Any]: ...


Drawn = TypeVar("Drawn", bound=Data)
LARGE_FILE = 16 * 2**20  # bytes; what takes more than a moment to load
UNLIMITED = 100_000  # columns: nothing is folded in a file or a pipe


class Output:
    """Where a command says what it did.

    For people it prints at once; with ``--json`` it collects a document that is printed at the end, whatever
    happens: an object of what was found, and ``error``, which is null where there was none. A command without
    an end prints one object a line instead (``in_lines``), and the error, where there was one, in the last.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.out, self.err = Stream(sys.stdout), Stream(sys.stderr)
        self.as_json = as_json
        self.document: dict[str, Any] = {}
        self.in_lines = False
        self.steps: Steps | None = None

    @cached_property
    def console(self) -> "Console":
        """Where tables are drawn."""
        from rich.console import Console

        return Console(
            file=self.out,  # type: ignore[arg-type]
            width=self._width(),
            force_terminal=self.out.isatty(),
            # Data is printed as it is: an order id may look like markup or the name of an emoji.
            highlight=False,
            markup=False,
            emoji=False,
        )

    def show(self, found: Mapping[str, Any], draw: Callable[["Console"], None]) -> None:
        """What a command found: the document's entries, or how a person is to see them."""
        if self.as_json:
            self.document |= found
        else:
            self.quiet()
            draw(self.console)

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.as_json:
            self.quiet()
            self.out.write(f"{printable(text)}\n")
            self.out.flush()

    def line(self, found: Mapping[str, Any], text: str) -> None:
        """What a command without an end found just now."""
        self.out.write(f"{json.dumps(found)}\n" if self.as_json else f"{printable(text)}\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """A line on standard error."""
        self.quiet()
        self.err.write(f"minidw: {printable(text)}\n")
        self.err.flush()

    def add(self, result: Drawn, draw: Callable[["Console", Drawn], None]) -> None:
        """One of several results: they are the document's ``results``."""
        found = [*self.document.get("results", ()), result.as_dict()]
        self.show({"results": found}, lambda console: draw(console, result))

    def finish(self, error: Mapping[str, Any] | None) -> None:
        """Print the document, with the error where there was one."""
        if self.as_json and (error or not self.in_lines):
            indent = None if self.in_lines else 2
            self.out.write(json.dumps(self.document | {"error": error}, default=str, indent=indent) + "\n")
        self.out.flush()

    def _width(self) -> int:
        if self.out.isatty() or os.environ.get("COLUMNS", "").isdigit():
            return shutil.get_terminal_size().columns
        return UNLIMITED

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Show what the steps log, where a person is watching."""
        if not self.err.isatty():
            yield
            return
        from minidw.cli.progress import Steps

        log, self.steps = logging.getLogger("minidw"), Steps(self.err)
        before = log.level
        log.setLevel(logging.INFO)
        log.addHandler(self.steps)
        try:
            yield
        finally:
            log.removeHandler(self.steps)
            log.setLevel(before)
            self.steps.stop()

    def reading(self, feed: "SurveyedFile") -> Callable[[int], None] | None:
        """How much of a file is read, where a person is watching and it takes more than a moment."""
        if self.steps is None or feed.size < LARGE_FILE:
            return None
        return self.steps.reading(f"load {feed.name}", feed.size)

    def parts(self, task: str) -> Callable[[str, int, int], None] | None:
        """Which part of a task is being done, where a person is watching."""
        steps = self.steps
        if steps is None:
            return None
        return lambda part, done, parts: steps.update(f"{task}: {part}", done, parts)

    def quiet(self) -> None:
        """Take away what is under way, before something is said."""
        if self.steps is not None:
            self.steps.stop()


def confirm(output: Output, consequence: str) -> None:
    """Ask before what cannot be taken back. Raises SettingsError where the answer is no or nobody is there.

    ``consequence`` says, with the counts, what is about to be lost.
    """
    if not (Stream(sys.stdin).isatty() and output.err.isatty()):
        raise SettingsError(f"{consequence}; nothing was done: add --yes to do it")
    reply = ""
    output.quiet()
    try:
        output.err.write(f"minidw: {printable(consequence)}. Go on? Type yes: ")
        output.err.flush()
        reply = sys.stdin.readline()
    finally:
        if not reply.endswith("\n"):  # what follows does not stand beside the question
            output.err.write("\n")
    if reply.strip().lower() not in ("y", "yes"):
        raise SettingsError("nothing was done")


def described(error: MinidwError) -> dict[str, Any]:
    """An error as data."""
    found = {"type": type(error).__name__, "message": printable(str(error)), "exit_code": error.exit_code}
    if isinstance(error, BadFileError):
        found |= {"file": error.file, "line": error.line, "code": error.code, "examples": error.examples}
    return found
