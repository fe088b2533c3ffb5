"""Where the value of one of our columns comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any

ASCII_WHITESPACE = " \t\n\r\f\v"
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def fold(name: str) -> str:
    """A name as names are compared: without blanks around it, ASCII letters in lower case."""
    return name.strip().translate(_LOWER)


@dataclass(frozen=True)
class Column:
    """A column of an export, the first of several that is not blank, several joined, or a constant.

    Example: ``Column(("Email", "Phone"), constant="guest")`` is declared as
    ``["Email", "Phone", { value = "guest" }]``, and ``Column(("Date", "Time"), join=" ")`` as
    ``["Date", "Time", { join = " " }]``.
    """

    names: tuple[str, ...] = ()
    constant: str | None = None
    join: str | None = None

    @classmethod
    def of(cls, declared: Any) -> "Column":
        """Read a declaration; raises ValueError with the fault in a few words."""
        if isinstance(declared, Column):
            return declared
        parts = list(declared) if isinstance(declared, list | tuple) else [declared]
        last = dict(parts.pop()) if parts and isinstance(parts[-1], dict) else {}
        if not all(isinstance(part, str) and part.strip() for part in parts):
            raise ValueError(
                'write a column as "Their name", ["First", "Else", { value = "constant" }],'
                ' ["Date", "Time", { join = " " }] or { value = "constant" }'
            )
        constant, join = last.pop("value", None), last.pop("join", None)
        if isinstance(constant, int) and not isinstance(constant, bool):
            constant = str(constant)
        if last:
            raise ValueError(f"{next(iter(last))!r} is neither value nor join")
        if not all(part is None or isinstance(part, str) for part in (constant, join)):
            raise ValueError("value and join are texts")
        if join is not None and (len(parts) < 2 or constant is not None):
            raise ValueError("join is for two columns or more, and without a value")
        names = tuple(part.strip() for part in parts)
        if not names and constant is None:
            raise ValueError("it names no column")
        return cls(names, constant, join)

    def text(self, values: Mapping[str, str | None]) -> str:
        """The value of ours that the values of a row make, by the names of their columns."""
        found = [(values.get(name) or "").strip(ASCII_WHITESPACE) for name in self.names]
        found = [text for text in found if text]
        if self.join is not None:
            return self.join.join(found)
        return found[0] if found else self.constant or ""

    def declared(self) -> Any:
        """What ``of`` reads."""
        if self.join is not None:
            return [*self.names, {"join": self.join}]
        if self.constant is not None:
            value = {"value": self.constant}
            return [*self.names, value] if self.names else value
        return list(self.names) if len(self.names) > 1 else self.names[0]
