"""Every delivery of an order: what became of each row, and what held when."""

import unicodedata
from typing import Any

from sqlalchemy import case, func, literal, select

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.schema.ledger import Batch, place_of
from minidw.settings import Settings
from minidw.steps.replay import judge_again
from minidw.steps.rules import rules_in_force
from minidw.transforms import replay
from minidw.transforms.constructs import ASCII_WHITESPACE, CreateTemporary, Query
from minidw.transforms.parse import Scope, named_orders
from minidw.transforms.replay import fates
from minidw.transforms.staging import LINE_KEY, ORIGIN, incoming

DELIVERED = ("order_timestamp", "customer_id", "product_id", "category", "price", "quantity", "discount",
             "total_amount", "status")  # fmt: skip


def history(order_id: str, bind: Bind = None, *, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Every delivery of an order, batch by batch in the order in which they count.

    Args:
        order_id: as it is staged: trimmed and in normal form
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        A row per delivered row: its batch, file and position, what it says, its ``fate`` (with the
        ``reasons`` where it was rejected), and from when until when it held: by the time that its batch was
        staged, None where it never held or still does. Of a pruned batch only what is staged is there; of
        one that was unloaded, nothing. Empty where there is no such order.

    Raises:
        SettingsError: the settings say otherwise than the rules of the warehouse
        DatabaseError: the warehouse cannot be read

    Example:
        >>> [(row["file_name"], row["fate"]) for row in minidw.history("1001")]
        [('orders.csv', 'inserted')]
    """
    settings = settings or Settings.from_env()
    text = unicodedata.normalize("NFC", order_id.strip(ASCII_WHITESPACE))
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        return []
    with reading(bind, settings) as conn:
        rules = rules_in_force(conn, settings).rules
        conn.execute(CreateTemporary(named_orders.name, select(literal(text).label("order_id"))))
        judge_again(conn, rules, Scope.NAMED)
        conn.execute(replay.create_fates())
        return [dict(row) for row in conn.execute(deliveries()).mappings()]


def deliveries() -> Query:
    """The judged rows with their fates, and from when until when each held."""
    same_row = [incoming.c[name] == fates.c[name] for name in ORIGIN]
    changed = fates.c.fate.in_(["inserted", "updated"])
    next_change = func.lead(Batch.staged_at).over(
        partition_by=[*(incoming.c[name] for name in LINE_KEY), changed], order_by=place_of(Batch)
    )
    return (
        select(
            Batch.batch_id,
            Batch.file_name,
            Batch.loaded_at,
            incoming.c.source_row,
            incoming.c.line_number,
            func.coalesce(fates.c.fate, "rejected").label("fate"),
            incoming.c.reasons,
            *(incoming.c[name] for name in DELIVERED),
            case((changed, Batch.staged_at)).label("held_from"),
            case((changed, next_change)).label("held_until"),
        )
        .join_from(incoming, Batch, incoming.c.batch_id == Batch.batch_id)
        .join(fates, same_row[0] & same_row[1], isouter=True)
        .order_by(place_of(Batch), incoming.c.source_row)
    )
