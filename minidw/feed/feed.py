"""How an export is read: the declaration of a feed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from minidw.errors import SettingsError
from minidw.feed.column import Column, fold
from minidw.feed.decode import check_encoding
from minidw.schema.vocabulary import CONTRACT_COLUMNS, FEED_COLUMNS, STATUSES, is_time_zone

Dates = Literal["iso", "dmy", "mdy", "ymd", "epoch", "excel"]
Mark = Literal[".", ","]
Lines = Literal["single", "given", "number"]
PriceIs = Literal["unit", "line"]
Returns = Literal["reject", "subtract"]

_TAB = ("tab", "\\t")  # as spelled on a command line
_CHOICES: dict[str, tuple[str, ...]] = {
    "dates": get_args(Dates),
    "decimal": get_args(Mark),
    "lines": get_args(Lines),
    "price_is": get_args(PriceIs),
    "returns": get_args(Returns),
}
_FILLABLE = tuple(name for name in CONTRACT_COLUMNS if name not in ("order_id", "line_number"))


@dataclass(frozen=True)
class Translation:
    """What of a declaration decides how rows are judged; two feeds with the same are judged by one select.

    columns: those of ours that are made of what ``extra`` keeps, and how; others stand where they belong
    """

    columns: tuple[tuple[str, Column], ...] = ()
    dates: Dates = "iso"
    time_zone: str = "UTC"
    decimal: Mark | None = None
    fill_down: tuple[str, ...] = ()
    price_is: PriceIs = "unit"
    returns: Returns = "reject"
    free: bool = False
    status: tuple[tuple[str, str], ...] = ()


AS_CONTRACTED = Translation()
"""Of an export that keeps to the contract: nothing is translated."""


@dataclass(frozen=True)
class Feed:
    """How to read an export. Every part has a default: a CSV that keeps to the contract.

    delimiter: one ASCII character, or ``tab``
    encoding: a text encoding of Python
    skip_lines: lines before the header
    skip_malformed: set structurally broken lines aside instead of refusing the file
    columns: our name → the export's, such as ``{"order_id": "InvoiceNo"}``; see ``Column`` for what else
    dates: how a time is written: ``iso``, ``dmy``, ``mdy``, ``ymd``, ``epoch`` or ``excel``
    time_zone: of times that name no offset, an IANA name
    decimal: the decimal mark, ``.`` or ``,``; thousands are then grouped by the other, blanks or
        apostrophes. None: digits and a point, nothing else
    fill_down: our columns that, where blank, are as in the first row of the order
    lines: ``single`` (a row per order), ``given`` (there is a line number), ``number`` (rows of an order are
        its lines, to be numbered). None: given where there is a line number, single elsewhere
    price_is: of one ``unit``, or the amount of the whole ``line``
    returns: negative quantities and amounts: ``reject`` them, or ``subtract`` them from revenue
    free: whether a price of 0 is accepted
    status: their word, in any case → pending, shipped, delivered or cancelled
    name, description: of the feed
    recognise: a header that has all of these names is of this feed

    Raises SettingsError for what cannot be meant.

    Example:
        >>> minidw.Feed(columns={"order_id": "InvoiceNo"}, dates="dmy", status={"paid": "delivered"}).dates
        'dmy'
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    columns: Mapping[str, Any] = field(default_factory=dict)
    skip_malformed: bool = False
    skip_lines: int = 0
    dates: Dates = "iso"
    time_zone: str = "UTC"
    decimal: Mark | None = None
    fill_down: Sequence[str] = ()
    lines: Lines | None = None
    price_is: PriceIs = "unit"
    returns: Returns = "reject"
    free: bool = False
    status: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    description: str = ""
    recognise: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.delimiter in _TAB:
            object.__setattr__(self, "delimiter", "\t")
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise SettingsError(
                f"delimiter: must be one ASCII character other than a quote, but is {self.delimiter!r}"
            )
        check_encoding(self.encoding)
        if self.skip_lines < 0:
            raise SettingsError(f"skip_lines: must not be negative, but is {self.skip_lines}")
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in (*allowed, None):
                raise SettingsError(f"{key}: {getattr(self, key)!r} is none of {', '.join(allowed)}")
        if not is_time_zone(self.time_zone):
            message = f"time_zone: {self.time_zone!r} is no time zone; write it as America/New_York or UTC"
            raise SettingsError(message)
        object.__setattr__(self, "columns", _read_columns(self.columns))
        object.__setattr__(self, "fill_down", tuple(self.fill_down))
        object.__setattr__(self, "recognise", tuple(self.recognise))
        if unknown := set(self.fill_down) - set(_FILLABLE):
            raise SettingsError(f"fill_down: {min(unknown)!r} is none of {', '.join(_FILLABLE)}")
        _check_statuses(self.status)

    @property
    def direct(self) -> dict[str, str]:
        """Our columns that are one of theirs and nothing else, by their name: raw has them in their place."""
        used = Counter(fold(name) for column in self.columns.values() for name in column.names)
        return {
            ours: column.names[0]
            for ours, column in self.columns.items()
            if ours in FEED_COLUMNS
            and column.constant is None
            and len(column.names) == 1
            and used[fold(column.names[0])] == 1
        }

    @property
    def translation(self) -> Translation:
        """What of it decides how rows are judged."""
        direct = self.direct
        return Translation(
            # A constant that is blank is what the column of a table has without it.
            tuple(
                (ours, column)
                for ours, column in sorted(self.columns.items())
                if ours not in direct and (column.names or column.constant)
            ),
            self.dates,
            self.time_zone,
            self.decimal,
            tuple(sorted(self.fill_down)),
            self.price_is,
            self.returns,
            self.free,
            tuple(sorted((theirs.strip(), ours) for theirs, ours in self.status.items())),
        )


def _read_columns(columns: Mapping[str, Any]) -> dict[str, Column]:
    read = {}
    for ours, declared in columns.items():
        if ours not in CONTRACT_COLUMNS:
            raise SettingsError(f"columns: {ours!r} is none of {', '.join(CONTRACT_COLUMNS)}")
        try:
            read[ours] = Column.of(declared)
        except ValueError as error:
            raise SettingsError(f"columns: {ours}: {error}") from None
    return read


def _check_statuses(status: Mapping[str, str]) -> None:
    meant: dict[str, str] = {}
    for theirs, ours in status.items():
        if ours not in STATUSES:
            raise SettingsError(f"status: {theirs!r} is {ours!r}, which is none of {', '.join(STATUSES)}")
        if meant.setdefault(theirs.strip().lower(), ours) != ours:
            raise SettingsError(
                f"status: {theirs!r} is declared twice: {meant[theirs.strip().lower()]}, {ours}"
            )
