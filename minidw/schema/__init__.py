"""What the tables are. Importing this package declares all of them on ``Base.metadata``."""

from minidw.schema.base import Base
from minidw.schema.mart import (
    CustomerLtv,
    CustomerSegments,
    DailyRevenue,
    Mart,
    MartBuild,
    ProductRevenue,
    marts,
)
from minidw.schema.raw import Batch, CheckResult, LineMalformed, OrderDelivered, OrderLanded, Run
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
    "Run",
    "marts",
]
