"""The declarative base: naming convention, column vocabulary, and comments taken from docstrings."""

import inspect
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, cast

from sqlalchemy import BigInteger, Date, DateTime, Integer, MetaData, Numeric, Table, Text, func, inspection
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

SourceRow = Annotated[int, mapped_column(BigInteger)]
Count = Annotated[int, mapped_column(BigInteger)]
Code = Annotated[str, mapped_column(Text)]
Price = Annotated[Decimal, mapped_column(Numeric(14, 4))]
Quantity = Annotated[int, mapped_column(Integer)]
Money = Annotated[Decimal, mapped_column(Numeric(38, 4))]
UtcTime = Annotated[datetime, mapped_column(DateTime)]
Instant = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Day = Annotated[date, mapped_column(Date)]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]


class Documented:
    """A class docstring is the documentation of its table: the first sentences say what a row is,
    and each ``name: text`` line describes a column. Both become comments in the database. An ``Example:``
    comes last and does not.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__table__" in cls.__dict__:
            comment_from_docstrings(cls, cast("Table", cls.__dict__["__table__"]))

    def __repr__(self) -> str:
        """The key of the row, without asking the database for it."""
        state: Any = inspection.inspect(self)
        names = [state.mapper.get_property_by_column(column).key for column in state.mapper.primary_key]
        values = state.identity or [state.dict.get(name) for name in names]
        key = ", ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=True))
        return f"{type(self).__name__}({key})"


class Base(Documented, DeclarativeBase):
    """Base of every table but the marts, which have a base of their own on the same metadata.

    Example:
        >>> with Session(minidw.create_engine()) as session:
        ...     session.scalars(select(minidw.OrderLine).filter_by(customer_id="bob")).all()
        [OrderLine(order_id='1002', line_number=1)]
        >>> "staging.orders_stg" in minidw.Base.metadata.tables
        True
    """

    metadata = MetaData(naming_convention=naming_convention)


def comment_from_docstrings(cls: type, table: Table) -> None:
    """Set the comments of a table and its columns from the docstrings of its class and mixins."""
    for owner in reversed(cls.__mro__):
        text = inspect.cleandoc(owner.__dict__.get("__doc__") or "")
        for name, description in re.findall(r"^(\w+): (.+(?:\n {4}.+)*)", text, re.MULTILINE):
            if name in table.columns:
                table.columns[name].comment = " ".join(description.split())
        if owner is cls:
            grain = re.split(r"\n(?=\w+:\s)", text)[0]
            table.comment = " ".join(grain.split()) or None
