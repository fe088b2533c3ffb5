"""Old snapshots of a lake expire: their tags go, and the files that no snapshot needs any more."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minidw.engines.spark.catalog import Lake, lake_path, lake_transaction, read_lake, run_of
from minidw.settings import Settings

ABANDONED = 24 * 3600.0
"""Seconds after which what a run landed was left behind by one that was killed."""


@dataclass(frozen=True)
class Expired:
    """What a prune of a lake took away.

    runs: the runs whose snapshots are gone
    files, bytes: what was removed
    """

    runs: list[int]
    files: int
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def prune(*, lake: str | Path, keep: int, wait: bool = True, settings: Settings | None = None) -> Expired:
    """Let the snapshots of all runs but the last ones expire, and remove the files that none needs.

    What killed runs left behind goes as well. Who still reads an expired snapshot misses its files.

    Args:
        keep: the number of runs whose snapshots stay, 1 or more
        lake, wait, settings: as in ``run``

    Raises:
        SettingsError: there is no lake
        WarehouseBusyError: another runner holds the lake, and ``wait`` is false
        DatabaseError: the catalog cannot be used
    """
    settings, location = settings or Settings.from_env(), lake_path(lake)
    read_lake(location, settings)
    with lake_transaction(location, settings, wait=wait) as held:
        gone = sorted({run for table in held.tables.values() for run in map(run_of, table.refs()) if run})
        gone = [run for run in gone if run <= held.run - max(keep, 1)]
        for table in held.tables.values():
            _expire(table, gone)
    # What is not committed yet may not be removed: the snapshots that it would need are still there.
    with lake_transaction(location, settings, wait=wait) as held:
        return Expired(gone, *_remove(location, _needed(held)))


def _expire(table: Any, runs: list[int]) -> None:
    tags = [tag for tag in table.refs() if run_of(tag) in runs]
    for tag in tags:
        table.manage_snapshots().remove_tag(tag).commit()
    kept = {reference.snapshot_id for reference in table.refs().values()}
    old = [shot.snapshot_id for shot in table.metadata.snapshots if shot.snapshot_id not in kept]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()


def _needed(lake: Lake) -> set[str]:
    """Every file of every snapshot that is kept."""
    needed = set()
    for table in lake.tables.values():
        needed.add(table.metadata_location)
        for snapshot in table.metadata.snapshots:
            needed.add(snapshot.manifest_list)
            for manifest in snapshot.manifests(table.io):
                needed.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                needed |= {entry.data_file.file_path for entry in entries}
    return {place.removeprefix("file://") for place in needed}


def _remove(location: str, needed: set[str]) -> tuple[int, int]:
    files = size = 0
    landing, oldest = Path(location) / "landing", time.time() - ABANDONED
    for path in sorted(Path(location).rglob("*"), reverse=True):
        if path.is_dir():
            if path.parent != Path(location) and not any(path.iterdir()) and path.stat().st_mtime < oldest:
                path.rmdir()
        elif str(path) not in needed and (landing not in path.parents or path.stat().st_mtime < oldest):
            files, size = files + 1, size + path.stat().st_size
            path.unlink()
    return files, size
