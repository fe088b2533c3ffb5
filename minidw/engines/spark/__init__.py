"""Apache Spark: where a history outgrows one PostgreSQL, the same classes on a lake of Iceberg tables."""

from importlib import import_module
from typing import Any

_MODULES = {
    "Expired": "retention",
    "LakeRun": "result",
    "Published": "publication",
    "ask": "looks",
    "prune": "retention",
    "publish": "publication",
    "report": "looks",
    "run": "runner",
    "status": "looks",
    "verify": "proof",
}
__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    # Imported at first use: the dialect needs nothing of Spark to be installed.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from minidw.engines.spark.session import require_packages

    require_packages()
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
