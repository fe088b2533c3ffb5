"""Everything minidw raises on purpose. Each error is one clear line and knows its exit code."""


class MinidwError(Exception):
    """Base of all errors a caller may want to catch; its text is one line, fit to print."""

    exit_code = 2


class SettingsError(MinidwError):
    """A setting or an argument is wrong or missing; the text names it."""


class DatabaseError(MinidwError):
    """The database cannot be reached or used: no server, wrong version, no permission."""


class EmbeddedError(DatabaseError):
    """The embedded PostgreSQL cannot be installed, started or reached."""


class ConnectionLostError(DatabaseError):
    """The connection broke: what was under way is stored whole or not at all; to run it again is safe."""


class WarehouseBusyError(DatabaseError):
    """Another runner holds the warehouse and the caller chose not to wait."""


class DataError(MinidwError):
    """The data is at fault; nothing of it was stored."""

    exit_code = 1


class BadFileError(DataError):
    """A file is refused whole: ``FILE:LINE: CODE: message``, without the line where there is none.

    ``code`` is stable and meant for programs; ``message`` says what to do.
    """

    def __init__(self, file: str, code: str, message: str, *, line: int | None = None) -> None:
        self.file = file
        self.code = code
        self.message = message
        self.line = line
        super().__init__(f"{file}:{_at(line)}{code}: {message}")


class CheckFailedError(DataError):
    """A check of severity ``error`` found offending rows; the run was rolled back."""


def _at(line: int | None) -> str:
    return " " if line is None else f"{line}: "


def printable(text: str) -> str:
    """The text with control characters and the like escaped, so that a message stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
