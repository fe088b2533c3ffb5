"""What the tables are. Importing this package declares all of them on ``Base.metadata``."""

from minidw.schema.base import Base
from minidw.schema.erasure import Erasure, ErasureKey
from minidw.schema.ledger import Batch, CheckResult, MartBuild, RuleVersion, Run
from minidw.schema.mart import Mart
from minidw.schema.marts import CustomerLtv, CustomerSegments, DailyRevenue, ProductRevenue, all_marts
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected, OrderTotal

OURS = frozenset(Base.metadata.tables)
"""The tables that minidw's own migrations make; what is declared later is the user's."""

__all__ = [
    "OURS",
    "Base",
    "Batch",
    "CheckResult",
    "CustomerLtv",
    "CustomerSegments",
    "DailyRevenue",
    "Erasure",
    "ErasureKey",
    "LineMalformed",
    "Mart",
    "MartBuild",
    "OrderChange",
    "OrderDelivered",
    "OrderLanded",
    "OrderLine",
    "OrderRejected",
    "OrderTotal",
    "ProductRevenue",
    "RuleVersion",
    "Run",
    "all_marts",
]
