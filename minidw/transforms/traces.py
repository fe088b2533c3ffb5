"""Where else an identifier may stand: in ``extra``, in malformed lines, in what the ledger tells."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    Update,
    case,
    cast,
    column,
    func,
    null,
    or_,
    select,
    table,
    true,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from minidw.errors import printable
from minidw.feed.feed import Translation
from minidw.schema.ledger import Batch, CheckResult, Run
from minidw.schema.raw import LineMalformed, OrderDelivered
from minidw.transforms.constructs import CreateTemporary, nfc, trimmed
from minidw.transforms.judge import LONGEST_KEY
from minidw.transforms.staging import ORIGIN

NOTES: tuple[InstrumentedAttribute[Any], ...] = (Run.failure, Run.file_name, Batch.file_name)
"""What the ledger tells in plain text."""

mentions = table("rows_mentioning", column("batch_id", Integer), column("source_row", BigInteger))
"""The delivered rows whose ``extra`` has one of the identifiers somewhere."""


@dataclass(frozen=True)
class Trace:
    """An identifier as it is looked for in texts, and what it is replaced by.

    It is a word of its own there. One that is a number is a trace only where the text is nothing else, or
    where it is said to be a customer: any other 42 is a price, or a size.
    """

    customer: str
    pseudonym: str

    @property
    def is_number(self) -> bool:
        return re.fullmatch("[0-9]+", self.customer) is not None

    def replaced_in(self, text: ColumnElement[Any], *, alone: bool = False) -> ColumnElement[str]:
        """The text with the pseudonym in place of the identifier; ``alone``: where it is all of the text."""
        found = nfc(text)
        if len(self.customer) > LONGEST_KEY:  # beyond what an expression may be, and no part of a word
            return func.replace(found, self.customer, self.pseudonym, type_=Text)
        # As it stands, within quotes of a CSV, and with its control characters escaped.
        forms = {self.customer, self.customer.replace('"', '""'), printable(self.customer)}
        word = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
        pattern = rf"^\s*({word})\s*$" if alone else f"(?<![[:alnum:]_])({word})(?![[:alnum:]_])"
        return func.regexp_replace(found, pattern, self.pseudonym, "g", type_=Text)


def extra_with(
    value: Callable[[ColumnElement[str], ColumnElement[str]], ColumnElement[Any]],
) -> ColumnElement[Any]:
    """``extra`` with another value for each of its keys, which follows from the key and the value."""
    entry = func.jsonb_each_text(OrderDelivered.extra).table_valued("key", "value", name="entry")
    return _built_of(func.jsonb_object_agg(entry.c.key, value(entry.c.key, entry.c.value)), entry)


def names_used(translation: Translation) -> list[str]:
    """The keys of ``extra`` that a feed makes columns of, those of the customer aside."""
    return [name for ours, made in translation.columns if ours != "customer_id" for name in made.names]


def name_of_customer(translation: Translation) -> ColumnElement[Any]:
    """The key of ``extra`` that the customer of a row comes from: the first that is not blank."""
    made = dict(translation.columns).get("customer_id")
    if made is None or not made.names:
        return null()
    filled = [(trimmed(OrderDelivered.extra[name].as_string()) != "", name) for name in made.names]
    return case(*filled, else_=null())


def find_mentions(traces: Sequence[Trace]) -> CreateTemporary:
    """The delivered rows whose ``extra`` has any of the identifiers somewhere: the one look at all rows."""
    text = nfc(cast(OrderDelivered.extra, Text))
    found = or_(*(func.strpos(text, _in_json(trace)) > 0 for trace in traces))
    origin = (getattr(OrderDelivered, name) for name in ORIGIN)
    return CreateTemporary(mentions.name, select(*origin).where(OrderDelivered.extra.is_not(None), found))


def replace_in_extra(trace: Trace, translation: Translation, batches: ColumnElement[bool]) -> Update:
    """The pseudonym in what ``extra`` has and the feed makes no column of."""
    made = dict(translation.columns).get("customer_id")
    joined = made.names if made is not None and made.join is not None else ()
    kept, named = [*names_used(translation), *joined], name_of_customer(translation)

    def value(key: ColumnElement[str], value: ColumnElement[str]) -> ColumnElement[Any]:
        is_kept = or_(key.in_(kept), func.coalesce(key == named, False))
        return case((is_kept, value), else_=trace.replaced_in(value, alone=trace.is_number))

    changed = extra_with(value)
    same_row = (getattr(OrderDelivered, name) == mentions.c[name] for name in ORIGIN)
    differs = OrderDelivered.extra.is_distinct_from(changed)
    return update(OrderDelivered).where(*same_row, batches, differs).values(extra=changed)


def replace_in_lines(trace: Trace) -> Update:
    """The pseudonym in malformed lines: nothing is computed from them."""
    return _replace_in(LineMalformed.text, trace)


def replace_in_notes(trace: Trace) -> list[Update]:
    """The pseudonym in what the ledger tells: failures, names of files, samples of checks."""
    texts = () if trace.is_number else NOTES
    return [*(_replace_in(text, trace) for text in texts), _replace_in_samples(trace)]


def _replace_in(text: InstrumentedAttribute[Any], trace: Trace) -> Update:
    changed = trace.replaced_in(text.expression)
    return update(text.class_).where(changed != nfc(text.expression)).values({text.key: changed})


def _replace_in_samples(trace: Trace) -> Update:
    sample = func.jsonb_array_elements(CheckResult.samples).table_valued("value", name="sample")
    entry = func.jsonb_each_text(sample.c.value).table_valued("key", "value", name="entry")
    is_meant = entry.c.key.ilike("%customer%") if trace.is_number else true()
    value = case((is_meant, trace.replaced_in(entry.c.value, alone=trace.is_number)), else_=entry.c.value)
    one = _built_of(func.jsonb_object_agg(entry.c.key, value), entry)
    changed = _built_of(func.jsonb_agg(one), sample)
    there = func.strpos(nfc(cast(CheckResult.samples, Text)), _in_json(trace)) > 0
    differs = CheckResult.samples.is_distinct_from(changed)
    return update(CheckResult).where(there, differs).values(samples=changed)


def _built_of(json: ColumnElement[Any], parts: FromClause) -> ColumnElement[Any]:
    """A JSON value made of the parts of one that a row has."""
    return select(json).select_from(parts).correlate_except(parts).scalar_subquery()


def _in_json(trace: Trace) -> str:
    """The identifier as it stands within the text of a JSON value."""
    return json.dumps(trace.customer, ensure_ascii=False)[1:-1]
