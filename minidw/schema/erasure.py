"""Erasures: that a customer was erased, in a form that tells nobody whom."""

from sqlalchemy import CheckConstraint, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from minidw.schema.base import Base, Code, Now


class Erasure(Base):
    """A customer that was erased, known by a keyed hash alone. One row per customer.

    A later delivery of the same customer is noticed by it.

    customer_hash: HMAC-SHA-256 of the customer id under the key of raw.erasure_key, hexadecimal
    erased_at: when the customer was erased last

    Example:
        >>> erased = minidw.erase("ada").erased
        >>> with minidw.create_engine().connect() as conn:
        ...     len(conn.scalar(select(minidw.Erasure.customer_hash)))
        64
    """

    __tablename__ = "erasures"

    customer_hash: Mapped[Code] = mapped_column(primary_key=True)
    erased_at: Mapped[Now]

    __table_args__ = ({"schema": "raw"},)


class ErasureKey(Base):
    """The key of the hashes of raw.erasures, in the two forms that HMAC takes it. One row per warehouse.

    Who has it can try whether somebody was erased: minidw_reader may not read it. Made by the first erasure.

    key_id: 1
    inner_key: the key, 64 bytes, each xored with 0x36
    outer_key: the key, each byte xored with 0x5c

    Example:
        >>> with minidw.create_engine().connect() as conn:
        ...     conn.scalar(select(minidw.ErasureKey.key_id)) is None
        True
    """

    __tablename__ = "erasure_key"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    inner_key: Mapped[bytes] = mapped_column(LargeBinary)
    outer_key: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint("key_id = 1", name="only_one"),
        {"schema": "raw"},
    )
