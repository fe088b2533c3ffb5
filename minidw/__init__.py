"""A small, exact data warehouse that is imported, not operated: order CSVs in, PostgreSQL marts out.

Every function may be called from several threads at once, on one Engine or on none. A Connection, a Session
and a surveyed file belong to one thread at a time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # As the dict below says, for type checkers: a test holds the two together.
    from minidw.database.differences import check_schema as check_schema
    from minidw.database.engine import Bind as Bind
    from minidw.database.engine import create_engine as create_engine
    from minidw.database.migrate import downgrade as downgrade
    from minidw.database.migrate import upgrade as upgrade
    from minidw.database.own_migrations import run_own_migrations as run_own_migrations
    from minidw.errors import BadFileError as BadFileError
    from minidw.errors import CheckFailedError as CheckFailedError
    from minidw.errors import ConnectionLostError as ConnectionLostError
    from minidw.errors import DatabaseError as DatabaseError
    from minidw.errors import DataError as DataError
    from minidw.errors import DeclarationError as DeclarationError
    from minidw.errors import EmbeddedError as EmbeddedError
    from minidw.errors import MinidwError as MinidwError
    from minidw.errors import SettingsError as SettingsError
    from minidw.errors import WarehouseBusyError as WarehouseBusyError
    from minidw.extract import read as read
    from minidw.extract import to_arrow as to_arrow
    from minidw.feed import Feed as Feed
    from minidw.feed import Input as Input
    from minidw.feed import named_feed as named_feed
    from minidw.feed.evidence import Finding as Finding
    from minidw.feed.inspection import Inspection as Inspection
    from minidw.feed.inspection import inspect as inspect
    from minidw.generate import GeneratedExport as GeneratedExport
    from minidw.generate import generate_export as generate_export
    from minidw.generate import generate_orders as generate_orders
    from minidw.pipeline.files import load_raw as load_raw
    from minidw.pipeline.files import run as run
    from minidw.pipeline.notices import Notice as Notice
    from minidw.pipeline.notices import listen as listen
    from minidw.pipeline.result import Result as Result
    from minidw.pipeline.rules import set_rules as set_rules
    from minidw.pipeline.steps import build_marts as build_marts
    from minidw.pipeline.steps import build_staging as build_staging
    from minidw.pipeline.steps import erase as erase
    from minidw.pipeline.steps import prune as prune
    from minidw.pipeline.steps import run_checks as run_checks
    from minidw.pipeline.steps import unload as unload
    from minidw.project import init_project as init_project
    from minidw.proofs.changes import MartChange as MartChange
    from minidw.proofs.changes import RowChange as RowChange
    from minidw.proofs.diff import Diff as Diff
    from minidw.proofs.diff import diff as diff
    from minidw.proofs.history import history as history
    from minidw.proofs.preview import Preview as Preview
    from minidw.proofs.preview import preview as preview
    from minidw.proofs.preview import preview_rules as preview_rules
    from minidw.proofs.preview import preview_unload as preview_unload
    from minidw.proofs.verify import Difference as Difference
    from minidw.proofs.verify import Verified as Verified
    from minidw.proofs.verify import verify as verify
    from minidw.proofs.why import why as why
    from minidw.reports.data import report as report
    from minidw.reports.data import rules as rules
    from minidw.reports.data import status as status
    from minidw.reports.export import Exported as Exported
    from minidw.reports.export import export as export
    from minidw.reports.html import write_report as write_report
    from minidw.reports.rejects import Reject as Reject
    from minidw.reports.rejects import rejects as rejects
    from minidw.reports.show import show as show
    from minidw.schema import Base as Base
    from minidw.schema import Batch as Batch
    from minidw.schema import CheckResult as CheckResult
    from minidw.schema import CustomerLtv as CustomerLtv
    from minidw.schema import CustomerSegments as CustomerSegments
    from minidw.schema import DailyRevenue as DailyRevenue
    from minidw.schema import Erasure as Erasure
    from minidw.schema import ErasureKey as ErasureKey
    from minidw.schema import LineMalformed as LineMalformed
    from minidw.schema import Mart as Mart
    from minidw.schema import MartBuild as MartBuild
    from minidw.schema import OrderChange as OrderChange
    from minidw.schema import OrderDelivered as OrderDelivered
    from minidw.schema import OrderLanded as OrderLanded
    from minidw.schema import OrderLine as OrderLine
    from minidw.schema import OrderRejected as OrderRejected
    from minidw.schema import OrderTotal as OrderTotal
    from minidw.schema import ProductRevenue as ProductRevenue
    from minidw.schema import RuleVersion as RuleVersion
    from minidw.schema import Run as Run
    from minidw.schema import all_marts as all_marts
    from minidw.schema.checks import check as check
    from minidw.schema.words import count as count
    from minidw.schema.words import key as key
    from minidw.schema.words import largest as largest
    from minidw.schema.words import ratio as ratio
    from minidw.schema.words import smallest as smallest
    from minidw.schema.words import total as total
    from minidw.schema.words import value as value
    from minidw.settings import Settings as Settings
    from minidw.steps.build import Built as Built
    from minidw.steps.check import Checked as Checked
    from minidw.steps.erase import Erased as Erased
    from minidw.steps.examples import Example as Example
    from minidw.steps.load import Loaded as Loaded
    from minidw.steps.prune import Pruned as Pruned
    from minidw.steps.replay import Replayed as Replayed
    from minidw.steps.rules import Moved as Moved
    from minidw.steps.rules import RuleChange as RuleChange
    from minidw.steps.rules import RuleInForce as RuleInForce
    from minidw.steps.stage import Staged as Staged
    from minidw.steps.unload import Unloaded as Unloaded
    from minidw.transforms.reasons import Fault as Fault

    __version__: str

MODULES = {
    "BadFileError": "errors",
    "Base": "schema",
    "Batch": "schema",
    "Bind": "database.engine",
    "Built": "steps.build",
    "CheckFailedError": "errors",
    "CheckResult": "schema",
    "Checked": "steps.check",
    "ConnectionLostError": "errors",
    "CustomerLtv": "schema",
    "CustomerSegments": "schema",
    "DailyRevenue": "schema",
    "DataError": "errors",
    "DatabaseError": "errors",
    "DeclarationError": "errors",
    "Diff": "proofs.diff",
    "Difference": "proofs.verify",
    "EmbeddedError": "errors",
    "Erased": "steps.erase",
    "Erasure": "schema",
    "ErasureKey": "schema",
    "Example": "steps.examples",
    "Exported": "reports.export",
    "Fault": "transforms.reasons",
    "Finding": "feed.evidence",
    "Feed": "feed",
    "GeneratedExport": "generate",
    "Input": "feed",
    "Inspection": "feed.inspection",
    "LineMalformed": "schema",
    "Loaded": "steps.load",
    "Mart": "schema",
    "MartBuild": "schema",
    "MartChange": "proofs.changes",
    "Moved": "steps.rules",
    "MinidwError": "errors",
    "Notice": "pipeline.notices",
    "OrderChange": "schema",
    "OrderDelivered": "schema",
    "OrderLanded": "schema",
    "OrderLine": "schema",
    "OrderRejected": "schema",
    "OrderTotal": "schema",
    "Preview": "proofs.preview",
    "ProductRevenue": "schema",
    "Pruned": "steps.prune",
    "Reject": "reports.rejects",
    "Replayed": "steps.replay",
    "Result": "pipeline.result",
    "RowChange": "proofs.changes",
    "RuleChange": "steps.rules",
    "RuleInForce": "steps.rules",
    "RuleVersion": "schema",
    "Run": "schema",
    "Settings": "settings",
    "SettingsError": "errors",
    "Staged": "steps.stage",
    "Unloaded": "steps.unload",
    "Verified": "proofs.verify",
    "WarehouseBusyError": "errors",
    "all_marts": "schema",
    "build_marts": "pipeline.steps",
    "build_staging": "pipeline.steps",
    "check": "schema.checks",
    "check_schema": "database.differences",
    "count": "schema.words",
    "create_engine": "database.engine",
    "diff": "proofs.diff",
    "downgrade": "database.migrate",
    "erase": "pipeline.steps",
    "generate_export": "generate",
    "export": "reports.export",
    "generate_orders": "generate",
    "history": "proofs.history",
    "init_project": "project",
    "inspect": "feed.inspection",
    "key": "schema.words",
    "largest": "schema.words",
    "listen": "pipeline.notices",
    "named_feed": "feed",
    "load_raw": "pipeline.files",
    "preview": "proofs.preview",
    "preview_rules": "proofs.preview",
    "preview_unload": "proofs.preview",
    "prune": "pipeline.steps",
    "ratio": "schema.words",
    "read": "extract",
    "rejects": "reports.rejects",
    "report": "reports.data",
    "rules": "reports.data",
    "run": "pipeline.files",
    "run_checks": "pipeline.steps",
    "run_own_migrations": "database.own_migrations",
    "set_rules": "pipeline.rules",
    "smallest": "schema.words",
    "show": "reports.show",
    "status": "reports.data",
    "to_arrow": "extract",
    "total": "schema.words",
    "unload": "pipeline.steps",
    "upgrade": "database.migrate",
    "value": "schema.words",
    "verify": "proofs.verify",
    "why": "proofs.why",
    "write_report": "reports.html",
}
"""Public name → the module it lives in."""

__all__ = [*MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    # Imported at first use: a script that wants --help or an error class does not wait for SQLAlchemy.
    if name in MODULES:
        found = getattr(import_module(f"minidw.{MODULES[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        found = version("minidw")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
