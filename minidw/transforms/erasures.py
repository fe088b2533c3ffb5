"""That somebody was erased: a hash under the key of the warehouse, by which a later delivery is noticed."""

from typing import Any

from sqlalchemy import ColumnElement, Text, func, select
from sqlalchemy.dialects.postgresql import Insert, insert

from minidw.schema.erasure import Erasure, ErasureKey
from minidw.transforms.constructs import Query
from minidw.transforms.erase import bare, erased
from minidw.transforms.staging import incoming


def keep_key(key: bytes) -> Insert:
    """A key of 64 bytes, the block of SHA-256, in the two forms that HMAC takes it."""
    inner, outer = (bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C))
    return insert(ErasureKey).values(key_id=1, inner_key=inner, outer_key=outer)


def customer_hash(customer: ColumnElement[str]) -> ColumnElement[str]:
    """HMAC-SHA-256 of a customer id, by the server: the key does not leave it."""

    def hashed(key: Any, message: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sha256(select(key).scalar_subquery().op("||")(message))

    inner = hashed(ErasureKey.inner_key, func.convert_to(customer, "UTF8"))
    return func.encode(hashed(ErasureKey.outer_key, inner), "hex", type_=Text)


def remember() -> Insert:
    """That the customers were erased, and not who they are."""
    hashes = select(customer_hash(erased.c.customer_id).label("customer_hash"))
    remembered = insert(Erasure).from_select(["customer_hash"], hashes)
    return remembered.on_conflict_do_update(
        index_elements=[Erasure.customer_hash], set_={"erased_at": func.now()}
    )


def erased_before() -> Query:
    """When each of the customers was erased before."""
    same = Erasure.customer_hash == customer_hash(erased.c.customer_id)
    return select(erased.c.pseudonym, Erasure.erased_at).join_from(erased, Erasure, same)


def delivered_again(batch_id: int) -> Query:
    """Customers that a batch names although they were erased."""
    customer = bare(incoming.c.customer_id).label("customer_id")
    people = (
        select(incoming.c.batch_id, customer, func.count().label("rows"))
        .where(incoming.c.batch_id == batch_id)
        .group_by(incoming.c.batch_id, customer)
        .subquery("people")
    )
    same = Erasure.customer_hash == customer_hash(people.c.customer_id)
    return (
        select(*people.c, Erasure.erased_at).join_from(people, Erasure, same).order_by(people.c.customer_id)
    )
