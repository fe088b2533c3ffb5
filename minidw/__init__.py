"""A small, exact data warehouse that is imported, not operated: order CSVs in, PostgreSQL marts out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidw.database import upgrade
    from minidw.engine import create_engine
    from minidw.errors import (
        BadFileError,
        CheckFailedError,
        ConnectionLostError,
        DatabaseError,
        DataError,
        EmbeddedError,
        MinidwError,
        SettingsError,
        WarehouseBusyError,
    )
    from minidw.feed import Format
    from minidw.generate import generate_orders
    from minidw.pipeline import Result, build_marts, build_staging, check, load_raw, prune, run
    from minidw.proof import verify, why
    from minidw.retention import Pruned
    from minidw.schema import (
        Batch,
        CheckResult,
        CustomerLtv,
        CustomerSegments,
        DailyRevenue,
        LineMalformed,
        Mart,
        MartBuild,
        OrderChange,
        OrderDelivered,
        OrderLanded,
        OrderLine,
        OrderRejected,
        OrderTotal,
        ProductRevenue,
        Run,
        marts,
    )
    from minidw.settings import Settings
    from minidw.whatif import preview

__all__ = [
    "BadFileError",
    "Batch",
    "CheckFailedError",
    "CheckResult",
    "ConnectionLostError",
    "CustomerLtv",
    "CustomerSegments",
    "DailyRevenue",
    "DataError",
    "DatabaseError",
    "EmbeddedError",
    "Format",
    "LineMalformed",
    "Mart",
    "MartBuild",
    "MinidwError",
    "OrderChange",
    "OrderDelivered",
    "OrderLanded",
    "OrderLine",
    "OrderRejected",
    "OrderTotal",
    "ProductRevenue",
    "Pruned",
    "Result",
    "Run",
    "Settings",
    "SettingsError",
    "WarehouseBusyError",
    "build_marts",
    "build_staging",
    "check",
    "create_engine",
    "generate_orders",
    "load_raw",
    "marts",
    "preview",
    "prune",
    "run",
    "upgrade",
    "verify",
    "why",
]

_MODULES = [
    "errors",
    "settings",
    "engine",
    "database",
    "feed",
    "generate",
    "schema",
    "pipeline",
    "proof",
    "whatif",
]


def __getattr__(name: str) -> Any:
    # Imported at first use: a script that wants --help or an error class does not wait for SQLAlchemy.
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"minidw.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
