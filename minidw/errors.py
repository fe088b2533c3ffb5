"""Everything minidw raises on purpose. Each error is one clear line and knows its exit code."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any


class MinidwError(Exception):
    """Base of all errors a caller may want to catch; its text is one line, fit to print.

    exit_code: what a command ends with: 1 where the data is at fault, 2 where the call or the environment is

    Example:
        >>> try:
        ...     minidw.run("nowhere.csv")
        ... except minidw.MinidwError as error:
        ...     print(error, "| exit code", error.exit_code)
        nowhere.csv: NOT_FOUND: there is no such file | exit code 1
    """

    exit_code = 2


class SettingsError(MinidwError):
    """A setting or an argument is wrong or missing; the text names it.

    Example:
        >>> minidw.generate_orders(rows=-1)
        Traceback (most recent call last):
        minidw.errors.SettingsError: rows must not be negative, but is -1
    """


class DeclarationError(MinidwError, TypeError):
    """A mart is declared in a way that cannot be computed exactly; the text names class and column.

    Example:
        >>> class Uncounted(minidw.Mart):
        ...     __tablename__ = "uncounted"
        ...     day: Mapped[date] = minidw.key(lambda line: line.order_timestamp)
        Traceback (most recent call last):
        minidw.errors.DeclarationError: Uncounted...
    """


class DatabaseError(MinidwError):
    """The database cannot be reached or used: no server, wrong version, no permission.

    Example:
        >>> minidw.upgrade(revision="nonsense")
        Traceback (most recent call last):
        minidw.errors.DatabaseError: cannot migrate: Can't locate revision identified by 'nonsense'
    """


class EmbeddedError(DatabaseError):
    """The embedded PostgreSQL cannot be installed, started or reached.

    Example:
        >>> minidw.create_engine(minidw.Settings(), create=False)
        Traceback (most recent call last):
        minidw.errors.EmbeddedError: ...
    """


class ConnectionLostError(DatabaseError):
    """The connection broke: what was under way is stored whole or not at all; to run it again is safe.

    Example:
        >>> def run_until_done(path):
        ...     while True:
        ...         try:
        ...             return minidw.run(path)
        ...         except minidw.ConnectionLostError:
        ...             print("once more")
        >>> run_until_done("corrections.csv").staged[0].inserted
        1
    """


class WarehouseBusyError(DatabaseError):
    """Another runner holds the warehouse and the caller chose not to wait.

    Example:
        >>> with minidw.create_engine().begin() as conn:
        ...     built = minidw.build_marts(conn)  # until this transaction ends, nobody else writes
        ...     minidw.run("corrections.csv", wait=False)
        Traceback (most recent call last):
        minidw.errors.WarehouseBusyError: the warehouse is in use by process ...
    """


class DataError(MinidwError):
    """The data is at fault; nothing of it was stored.

    Example:
        >>> for file in ("broken.csv", "corrections.csv"):
        ...     try:
        ...         print("batch", minidw.run(file).loaded.batch_id)
        ...     except minidw.DataError as error:
        ...         print(error)
        broken.csv:3: UNTERMINATED_QUOTE: the quote opened here is never closed
        batch 2
    """

    exit_code = 1


class BadFileError(DataError):
    """A file is refused whole: ``FILE:LINE: CODE: message``, without the line where there is none.

    file: name of the file, without its directory
    code: what is wrong, stable and meant for programs; docs/bad-input.md lists them
    message: the same in words, and what to do
    line: physical line of the file, counted from 1; None where the fault is not in a line
    examples: rows to look at, one for each reason, where too many were rejected: row, column, value, what is
        allowed

    Example:
        >>> try:
        ...     minidw.run("broken.csv")
        ... except minidw.BadFileError as error:
        ...     print(error)
        ...     print(error.line, error.code)
        broken.csv:3: UNTERMINATED_QUOTE: the quote opened here is never closed
        3 UNTERMINATED_QUOTE
    """

    def __init__(
        self,
        file: str,
        code: str,
        message: str,
        *,
        line: int | None = None,
        examples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.file = file
        self.code = code
        self.message = message
        self.line = line
        self.examples = examples
        super().__init__(f"{file}:{_at(line)}{code}: {message}")

    def __reduce__(self) -> Any:
        """Made again from its parts, as where another process met the file."""
        again = partial(type(self), line=self.line, examples=self.examples)
        return again, (self.file, self.code, self.message)


class CheckFailedError(DataError):
    """A check of severity ``error`` found offending rows; the run was rolled back.

    Example:
        >>> with minidw.create_engine().begin() as conn:
        ...     changed = conn.exec_driver_sql("UPDATE mart.daily_revenue SET revenue = 1")
        >>> minidw.run("corrections.csv")
        Traceback (most recent call last):
        minidw.errors.CheckFailedError: check revenue_agrees: 1 offending row...
    """


def _at(line: int | None) -> str:
    return " " if line is None else f"{line}: "


def printable(text: str) -> str:
    """The text with control characters and the like escaped, so that a message stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
