"""The base of the marts."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, cast

from sqlalchemy import BigInteger, ColumnElement, Numeric, Table, Text
from sqlalchemy.orm import DeclarativeBase

from minidw.errors import DeclarationError, printable
from minidw.schema.base import Base, Documented
from minidw.schema.declaration import check_class, check_columns, settle_ratios
from minidw.schema.staging import OrderLine
from minidw.schema.words import counts_as_revenue

declared: dict[Table, type["Mart"]] = {}
"""The class of each table, which may be gone from the metadata by now."""


class Mart(Documented, DeclarativeBase):
    """Base of the marts: the table of a query over ``source``, limited by ``condition``.

    A class docstring says what one row is, and describes each column in a line ``name: text``; both become
    comments in the database. A whole number is BIGINT, a ``Decimal`` has four decimals.

    Attributes:
        source: the order lines by default, or another mart, of which the mart then has one row per row
        condition: from a row of the source to whether it counts; by default the order lines that count as
            revenue, and every row of a mart. None: all

    Raises:
        DeclarationError: what is declared could not be computed exactly

    Example:
        >>> class DailyUnits(minidw.Mart):
        ...     \"\"\"Units sold per day. One row per day.
        ...
        ...     units: units sold
        ...     \"\"\"
        ...     __tablename__ = "daily_units"
        ...     day: Mapped[date] = minidw.key(lambda line: line.order_timestamp)
        ...     units: Mapped[int] = minidw.total(lambda line: line.quantity)
        ...     order_lines: Mapped[int] = minidw.count()
        >>> DailyUnits in minidw.all_marts()
        True
        >>> DailyUnits.__table__.c.units.comment
        'units sold'
    """

    metadata = Base.metadata
    type_annotation_map = {int: BigInteger(), Decimal: Numeric(38, 4), str: Text()}
    # Half of each page stays free: a changed row finds its place beside the old one, and no index is touched.
    __table_args__: Any = {"schema": "mart", "postgresql_with": {"fillfactor": 50}}

    source: ClassVar[type[DeclarativeBase]] = OrderLine
    condition: ClassVar[Callable[[Any], ColumnElement[bool]] | None] = counts_as_revenue

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if cls.__dict__.get("__abstract__"):
            super().__init_subclass__(**kwargs)
            return
        check_class(cls)
        try:
            super().__init_subclass__(**kwargs)
        except Exception as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DeclarationError(f"{cls.__name__}: {printable(text)}") from error
        if cls.condition is counts_as_revenue and cls.source is not OrderLine:
            cls.condition = None
        try:
            check_columns(cls)
            settle_ratios(cls)
        except DeclarationError:
            # As if it had never been declared: a corrected class may take its place.
            cls.metadata.remove(cast("Table", cls.__table__))
            raise
        declared[cast("Table", cls.__table__)] = cls
