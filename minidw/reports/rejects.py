"""The rows that were set aside, as they were delivered, each with the reasons."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError, printable
from minidw.feed.declaration import from_dict
from minidw.schema.ledger import Batch
from minidw.schema.vocabulary import FEED_COLUMNS
from minidw.settings import Settings
from minidw.transforms import rejects as transform
from minidw.transforms.reasons import MALFORMED, Fault, faults

ROWS_AT_A_TIME = 1000


@dataclass(frozen=True)
class Reject:
    """A rejected row, or a malformed line that was set aside, with everything that is wrong with it.

    batch_id, file: the batch it came in, and the name of its file
    row: its position among the rows of the file, from 1; None for a malformed line
    line: of a malformed line, its position among the lines of the file, as an editor counts them
    reasons: every reason, as codes
    faults: for each reason and column: the value delivered, and what is allowed
    delivered: its values by the names of the file's own header; none where the batch was pruned
    text: of a malformed line, what stands there

    Example:
        >>> minidw.rejects()[0].delivered["price"]
        '40,00'
    """

    batch_id: int
    file: str
    row: int | None
    line: int | None
    reasons: tuple[str, ...]
    faults: tuple[Fault, ...]
    delivered: Mapping[str, str | None]
    text: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def rejects(
    of: str | Path | int | None = None,
    bind: Bind = None,
    *,
    limit: int | None = None,
    settings: Settings | None = None,
) -> list[Reject]:
    """The rows that were set aside, as they were delivered, each with its reasons.

    Args:
        of: the name of a file, or the number of a batch; all of them by default
        bind: where to read; nothing: what the settings say
        limit: at most so many; all of them by default
        settings: those of the environment by default

    Returns:
        In the order of the batches and of the rows in their files, malformed lines after the rows.

    Raises:
        SettingsError: there is no such file or batch
        DatabaseError: the warehouse cannot be read

    Example:
        >>> for reject in minidw.rejects("orders.csv"):
        ...     for fault in reject.faults:
        ...         print(reject.row, fault.reason, fault.column, fault.value)
        5 BAD_NUMBER price 40,00
    """
    with found_rejects(of, bind, settings=settings) as (_, found):
        return list(islice(found, limit))


@contextmanager
def found_rejects(
    of: str | Path | int | None = None, bind: Bind = None, *, settings: Settings | None = None
) -> Iterator[tuple[Sequence[RowMapping], Iterator[Reject]]]:
    """As ``rejects``, row by row in bounded memory, with the ledger's lines of the batches they are in."""
    with reading(bind, settings or Settings.from_env(), snapshot=True) as conn:
        batches = _batches(conn, of)
        yield batches, (reject for batch in batches for reject in _rejects_of(conn, batch))


def _batches(conn: Connection, of: str | Path | int | None) -> Sequence[RowMapping]:
    columns = (
        Batch.batch_id,
        Batch.file_name,
        Batch.header,
        Batch.feed,
        Batch.numbered_lines,
        Batch.rejected,
        Batch.pruned_at,
    )
    statement = select(*columns).order_by(Batch.batch_id)
    if of is None:
        return conn.execute(statement.where(Batch.rejected > 0)).mappings().all()
    text = str(of)
    found = []
    if text.isascii() and text.isdigit() and len(text) < 10:
        found = list(conn.execute(statement.where(Batch.batch_id == int(text))).mappings())
    if not found:
        # The ledger has the names of files as they can be shown.
        name = printable(Path(text).name)
        found = list(conn.execute(statement.where(Batch.file_name == name)).mappings())
    if not found:
        raise SettingsError(
            f"no batch or file {printable(text)!r} was loaded; minidw status shows the last ones"
        )
    return found


def _rejects_of(conn: Connection, batch: RowMapping) -> Iterator[Reject]:
    this = {"batch_id": batch["batch_id"]}
    streamed = {"yield_per": ROWS_AT_A_TIME}
    feed = from_dict(batch["feed"])
    place = (batch["batch_id"], batch["file_name"])
    rows = conn.execute(transform.rejected_rows(), this, execution_options=streamed)
    for row in rows.mappings():
        found = tuple(fault for reason in row["reasons"] for fault in faults(reason, dict(row), feed))
        delivered = {} if batch["pruned_at"] else _delivered(batch, row)
        yield Reject(*place, row["source_row"], None, tuple(row["reasons"]), found, delivered)
    for line, code, text in conn.execute(transform.malformed_lines(), this, execution_options=streamed):
        fault = Fault(code, None, text, MALFORMED.get(code, ""))
        yield Reject(*place, None, line, (code,), (fault,), {}, text)


def _delivered(batch: RowMapping, row: RowMapping) -> dict[str, str | None]:
    """The values by the names of the file: those of our columns, then the others."""
    header: dict[str, str] = batch["header"]
    ours = {header[name]: row[name] for name in FEED_COLUMNS if name in header}
    return ours | (row["extra"] or {})
