"""Loads, first runs and further batches against a bare COPY and the plain script, on one embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

import minidw
from benchmarks import plain
from benchmarks.feeds import write_feed
from benchmarks.ratio import Ratio, best_of, seconds
from minidw import embedded
from minidw.feed.survey import survey
from minidw.steps.load import copy_file


def load(rows: int, repeat: int) -> list[Ratio]:
    """The load step against a bare COPY of the same file into an unlogged table of text."""
    with fresh_server() as (engine, directory):
        path = write_feed(directory / "feed.csv", rows, first_id=1)
        plain.set_up(engine)
        feed = survey(path)

        def landing() -> None:
            with engine.connect() as conn:
                conn.execute(sa.text("TRUNCATE raw.orders_raw"))
                copy_file(conn, feed, None)
                conn.commit()

        floor, landed, loaded = best_of(
            repeat,
            lambda: plain.bare_copy(engine, path),
            landing,
            lambda: minidw.load_raw(path, engine, force=True),
        )
    return [
        Ratio(f"COPY into orders_raw, {rows:,} rows, against a bare COPY", landed, floor, 1.25),
        Ratio(f"load step, {rows:,} rows, against a bare COPY", loaded, floor, 2.5),
    ]


def first_run(rows: int, goal: float, *, files: int = 1, repeat: int = 1) -> Ratio:
    """From nothing to marts, all files, against the plain script; each time on a server of its own."""
    times = [_first_run(rows // files, files) for _ in range(repeat)]
    ours, theirs = (min(turns) for turns in zip(*times, strict=True))
    name = f"first run, {rows:,} rows" + (f" in {files} files" if files > 1 else "")
    return Ratio(f"{name}, against the plain script", ours, theirs, goal)


def _first_run(size: int, files: int) -> tuple[float, float]:
    """Seconds of ours and of the script for so many files of a size."""
    with fresh_server() as (engine, directory):
        paths = [
            write_feed(directory / f"{number:02}.csv", size, first_id=1 + number * size)
            for number in range(files)
        ]
        plain.set_up(engine)
        theirs = sum(seconds(partial(plain.script, engine, path)) for path in paths)
        plain.tear_down(engine)
        ours = sum(seconds(partial(minidw.run, path, engine)) for path in paths)
    return ours, theirs


def further_batches(history: int, size: int, goal: float, repeat: int) -> tuple[Ratio, float]:
    """A batch of random dates on a history, against the plain script; and the seconds of a recent one."""
    with fresh_server() as (engine, directory):
        path = write_feed(directory / "history.csv", history, first_id=1)
        minidw.run(path, engine)
        plain.set_up(engine)
        plain.script(engine, path)
        path.unlink()
        settle(engine)
        next_id = history + 1
        ours, theirs, recents = [], [], []
        for _ in range(repeat):
            recent = write_feed(directory / "recent.csv", size, first_id=next_id, recent=True)
            random = write_feed(directory / "random.csv", size, first_id=next_id + size)
            recents.append(seconds(partial(minidw.run, recent, engine)))
            ours.append(seconds(partial(minidw.run, random, engine)))
            theirs.append(seconds(partial(plain.script, engine, random)))
            next_id += 2 * size
    name = f"{size:,} rows on a history of {history:,}, against the plain script"
    return Ratio(name, min(ours), min(theirs), goal), min(recents)


def settle(engine: sa.Engine) -> None:
    """What autovacuum does within minutes of a large load, done now, so that no run meets it halfway."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text("VACUUM ANALYZE"))
        conn.execute(sa.text("CHECKPOINT"))


@contextmanager
def fresh_server() -> Iterator[tuple[sa.Engine, Path]]:
    """A migrated embedded database of its own, and a directory that goes with it."""
    with TemporaryDirectory(prefix="minidw-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        engine = minidw.create_engine(minidw.Settings(home=directory / "home"))
        try:
            minidw.upgrade(engine)
            yield engine, directory
        finally:
            engine.dispose()
            embedded.stop(directory / "home")
