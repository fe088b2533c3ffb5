"""Customers erased: one pseudonym in place of each, everywhere; the orders and what they add up to stay."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_bytes, token_hex

from sqlalchemy import Connection, exists, func, select

from minidw.errors import SettingsError
from minidw.feed.declaration import from_dict
from minidw.schema.erasure import ErasureKey
from minidw.schema.ledger import Batch, MartBuild
from minidw.schema.marts import all_marts
from minidw.steps.load import empty_landing
from minidw.steps.replay import translated_batches
from minidw.transforms import erase, erasures, staging, traces
from minidw.transforms.constructs import analyze
from minidw.transforms.replay import has_rows
from minidw.transforms.traces import Trace


@dataclass(frozen=True)
class Erased:
    """A customer that was erased, by the name that is left.

    pseudonym: what stands in place of the customer id now
    order_lines: order lines of the customer that hold
    rows: delivered rows of the customer, in every batch that is in raw
    mentions: other places that named the customer: ``extra`` of other rows, malformed lines, and notes of the
        ledger

    Example:
        >>> erased = minidw.erase("ada").erased[0]
        >>> erased.order_lines, erased.rows, erased.mentions
        (2, 2, 0)
    """

    pseudonym: str
    order_lines: int
    rows: int
    mentions: int


def pseudonym() -> str:
    """A name that says nothing: it is drawn, so that it follows from nothing."""
    return f"erased-{token_hex(8)}"


def identifiers(customers: str | Sequence[str]) -> list[str]:
    """Customer ids as they are compared. Raises SettingsError for what cannot be one."""
    given = [customers] if isinstance(customers, str) else list(customers)
    found = [erase.bare_text(customer) for customer in given]
    for number, customer in enumerate(found, start=1):
        # Not by its name: the ledger keeps what failed.
        if not customer or any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in customer):
            raise SettingsError(f"customer {number} of {len(found)} is blank, or no text: nobody has that id")
    if not found:
        raise SettingsError("give at least one customer")
    return list(dict.fromkeys(found))


def erase_customers(conn: Connection, customers: Sequence[str]) -> list[Erased]:
    """Replace customers by pseudonyms in raw, staging and the ledger, and queue the changes for the marts.

    The queue has to be empty before. Raises SettingsError where a customer is named nowhere, or where not
    every place can be reached.
    """
    _refuse_marts_declared_elsewhere(conn)
    names = {customer: pseudonym() for customer in customers}
    feeds = translated_batches(conn, list(conn.scalars(select(Batch.batch_id).where(has_rows))))
    _refuse_declared_customers(conn, names.keys())
    if not conn.scalar(select(exists().select_from(ErasureKey))):
        conn.execute(erasures.keep_key(token_bytes(64)))
    conn.execute(erase.name_customers(names))
    rows = _erase_delivered(conn, feeds)
    lines = _erase_staged(conn)
    mentions = _erase_mentions(conn, [Trace(*pair) for pair in names.items()], feeds)
    erased = [Erased(name, lines.get(name, 0), rows.get(name, 0), mentions[name]) for name in names.values()]
    _refuse_unknown(conn, erased)
    conn.execute(erasures.remember())
    conn.execute(staging.drop_temporary(erase.erased, erase.erased_rows, traces.mentions))
    empty_landing(conn)
    return erased


def _erase_delivered(conn: Connection, feeds: erase.Feeds) -> dict[str, int]:
    conn.execute(erase.find_rows(feeds))
    conn.execute(analyze(erase.erased_rows))
    for translation, batches in erase.by_feed(feeds):
        conn.execute(erase.rename_delivered(translation, batches))
    return dict(conn.execute(erase.number_of_rows()).all())


def _erase_staged(conn: Connection) -> dict[str, int]:
    lines: dict[str, int] = dict(conn.execute(erase.number_of_lines()).all())
    stage = {"stage": conn.execute(select(staging.next_stage())).scalar_one()}
    for changes in erase.queue_lines():
        conn.execute(changes, stage)
    conn.execute(erase.rename_lines())
    return lines


def _erase_mentions(conn: Connection, found: Sequence[Trace], feeds: erase.Feeds) -> dict[str, int]:
    """Replace what else names the customers; returns the number of places by pseudonym."""
    conn.execute(traces.find_mentions(found))
    in_extra = conn.scalar(select(exists().select_from(traces.mentions)))
    replaced = {}
    for trace in found:
        statements = [traces.replace_in_lines(trace), *traces.replace_in_notes(trace)]
        if in_extra:
            statements += [traces.replace_in_extra(trace, *rows) for rows in erase.by_feed(feeds)]
        replaced[trace.pseudonym] = sum(conn.execute(statement).rowcount for statement in statements)
    return replaced


def _refuse_unknown(conn: Connection, erased: Sequence[Erased]) -> None:
    """Raise SettingsError where nothing names a customer; without the name: the ledger keeps the error."""
    before: dict[str, datetime] = dict(conn.execute(erasures.erased_before()).all())
    for number, one in enumerate(erased, start=1):
        if one.order_lines or one.rows or one.mentions:
            continue
        at = before.get(one.pseudonym)
        known = f"it was erased at {at:%Y-%m-%d %H:%M:%S}" if at else "write the id as it is staged"
        raise SettingsError(f"nothing names customer {number} of {len(erased)}: {known}; nothing was done")


def _refuse_marts_declared_elsewhere(conn: Connection) -> None:
    """A mart that this process does not know would keep the name."""
    ours = [mart.__tablename__ for mart in all_marts()]
    built = conn.scalars(select(MartBuild.mart).where(MartBuild.mart.not_in(ours)).order_by(MartBuild.mart))
    for mart in built:
        if conn.scalar(select(func.to_regclass(f"mart.{mart}"))) is not None:
            raise SettingsError(
                f"mart.{mart} is not declared here, and would keep the name: is MINIDW_MARTS set?"
            )


def _refuse_declared_customers(conn: Connection, customers: Collection[str]) -> None:
    """What a feed calls customers without an id names nobody, and stands in the feed."""
    declared = select(Batch.batch_id, Batch.feed).where(Batch.feed.is_not(None), Batch.unloaded_at.is_(None))
    for batch_id, feed in conn.execute(declared):
        made = dict(from_dict(feed).translation.columns)
        customer = made.get("customer_id")
        if customer is None:
            continue
        if customer.constant is not None and erase.bare_text(customer.constant) in customers:
            raise SettingsError(
                f"the feed of batch {batch_id} calls every customer so who has no id: that names nobody"
            )
        others = {
            name: ours for ours, column in made.items() if ours != "customer_id" for name in column.names
        }
        if shared := sorted(others.keys() & set(customer.names)):
            raise SettingsError(
                f"the feed of batch {batch_id} makes {others[shared[0]]} of {shared[0]!r} as well, which"
                " names the customer: without it the orders would be others; unload the batch"
            )
