"""How a feed is to be read: the declaration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from minidw.errors import SettingsError
from minidw.feed.decode import check_encoding
from minidw.schema.vocabulary import FEED_COLUMNS

_TAB = ("tab", "\\t")  # as spelled on a command line


@dataclass(frozen=True)
class Format:
    """How to read a feed. ``columns``: our name → the feed's name, such as ``{"order_id": "InvoiceNo"}``.

    ``skip_malformed``: set structurally broken lines aside instead of refusing the file.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)
    skip_malformed: bool = False

    def __post_init__(self) -> None:
        if self.delimiter in _TAB:
            object.__setattr__(self, "delimiter", "\t")
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise SettingsError(
                f"--delimiter: must be one ASCII character other than a quote, but is {self.delimiter!r}"
            )
        check_encoding(self.encoding)
        for name in self.columns:
            if name not in FEED_COLUMNS:
                raise SettingsError(f"--column: {name!r} is none of {', '.join(FEED_COLUMNS)}")
