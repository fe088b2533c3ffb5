"""What the tables are. Importing this package declares all of them on ``Base.metadata``."""

from minidw.schema.base import Base
from minidw.schema.ledger import Batch, CheckResult, MartBuild, RuleVersion, Run
from minidw.schema.mart import Mart
from minidw.schema.marts import CustomerLtv, CustomerSegments, DailyRevenue, ProductRevenue, all_marts
from minidw.schema.raw import LineMalformed, OrderDelivered, OrderLanded
from minidw.schema.staging import OrderChange, OrderLine, OrderRejected, OrderTotal

__all__ = [
    "Base",
    "Batch",
    "CheckResult",
    "CustomerLtv",
    "CustomerSegments",
    "DailyRevenue",
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
