"""Why a row of a mart is what it is: the order lines, raw rows and files behind it."""

from typing import Any

from sqlalchemy import ColumnElement, cast, exists, literal, select, true

from minidw.database import reading
from minidw.engine import Bind
from minidw.errors import SettingsError
from minidw.schema.ledger import Batch
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.schema.raw import OrderDelivered
from minidw.schema.staging import OrderLine
from minidw.schema.vocabulary import FEED_COLUMNS, STAGED_COLUMNS
from minidw.settings import Settings
from minidw.steps.rules import rules_in_force
from minidw.transforms.constructs import Query
from minidw.transforms.marts import query
from minidw.transforms.values import is_derived, key_of_source, keys, value_of


def why(
    mart: str | type[Mart], *key: object, bind: Bind = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """The order lines behind one row of a mart, each with the raw row and the file it came from.

    ``key`` is the row's key, one value per key column: ``why("customer_ltv", "42")``. Empty where there is
    no such row. Raises SettingsError for an unknown mart or a key of another length, and where the settings
    say otherwise than the rules of the warehouse.
    """
    settings = settings or Settings.from_env()
    named = next((m for m in all_marts() if mart in (m, m.__tablename__, f"mart.{m.__tablename__}")), None)
    if named is None:
        known = ", ".join(m.__tablename__ for m in all_marts())
        raise SettingsError(f"there is no mart {mart!r}; there are {known}")
    if len(key) != len(keys(named)):
        raise SettingsError(
            f"{named.__tablename__} has the key {', '.join(keys(named))}: give {len(keys(named))} values"
        )
    if not all(_can_be_stored(str(value)) for value in key):
        return []
    with reading(bind, settings) as conn:
        rules = rules_in_force(conn, settings).rules
        return [dict(row) for row in conn.execute(lines_behind(named, key), rules).mappings()]


def _can_be_stored(text: str) -> bool:
    """Whether PostgreSQL can hold the text: bytes of a command line that are no UTF-8 it cannot, nor NUL."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def lines_behind(mart: type[Mart], key: tuple[object, ...]) -> Query:
    """The order lines that count towards the row of the key, with their raw rows and batches."""
    of_key: dict[str, ColumnElement[Any]] = {
        name: cast(literal(str(value)), mart.__table__.c[name].type)
        for name, value in zip(keys(mart), key, strict=True)
    }
    there: ColumnElement[bool] = true()
    if is_derived(mart):
        due = query(mart).subquery()
        there = exists().where(*(due.c[name] == value for name, value in of_key.items()))
    while issubclass(mart.source, Mart):
        of_key = {theirs: of_key[ours] for ours, theirs in key_of_source(mart).items()}
        mart = mart.source
    statement = (
        select(
            *(getattr(OrderLine, name) for name in STAGED_COLUMNS),
            Batch.file_name,
            Batch.loaded_at,
            *(getattr(OrderDelivered, name).label(f"raw_{name}") for name in FEED_COLUMNS),
        )
        .join_from(OrderLine, Batch, OrderLine.batch_id == Batch.batch_id)
        .join(
            OrderDelivered,
            (OrderLine.batch_id == OrderDelivered.batch_id)
            & (OrderLine.source_row == OrderDelivered.source_row),
            isouter=True,
        )
        .order_by(OrderLine.order_timestamp, OrderLine.order_id, OrderLine.line_number)
    )
    if mart.condition is not None:
        statement = statement.where(mart.condition(OrderLine))
    return statement.where(
        there, *(value_of(mart, name, OrderLine) == value for name, value in of_key.items())
    )
