"""Whole processes: what an import costs, what a command costs, what memory a large file takes."""

import csv
import os
import random
import subprocess
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import minidw
from benchmarks.feeds import CATEGORIES, HEADER, STATUSES, write_feed
from benchmarks.ratio import Ratio, best_of
from minidw import embedded

PEAK_MEMORY = """
import resource, sys, minidw
minidw.run(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
MEMORY_GOAL = 120


def starts(repeat: int) -> list[Ratio]:
    """The start of the library and of the command line against that of SQLAlchemy."""
    with TemporaryDirectory() as directory:
        library, sqlalchemy, help_text = best_of(
            repeat,
            lambda: _python(directory, "-c", "import minidw"),
            lambda: _python(directory, "-c", "import sqlalchemy"),
            lambda: _python(directory, "-m", "minidw", "--help"),
        )
    return [
        Ratio("import minidw, against import sqlalchemy", library, sqlalchemy, 1.4),
        Ratio("minidw --help, against import sqlalchemy", help_text, sqlalchemy, 1.4),
    ]


def whole_run(repeat: int) -> Ratio:
    """``python -m minidw``: 10,000 new orders, on a server that runs already."""
    with TemporaryDirectory(prefix="minidw-bench-") as directory:
        Path(directory).chmod(0o755)
        engine = minidw.create_engine(minidw.Settings(home=Path(directory) / ".minidw"))
        _python(directory, "-m", "minidw")
        run, imports = best_of(
            repeat,
            lambda: _python(directory, "-m", "minidw"),
            lambda: _python(directory, "-c", "import sqlalchemy, alembic"),
        )
        engine.dispose()
        embedded.stop(Path(directory) / ".minidw")
    return Ratio("python -m minidw, against import sqlalchemy, alembic", run, imports, 5)


def peak_memory(rows: int) -> Ratio:
    """The peak memory of the Python process that runs a large file."""
    with TemporaryDirectory(prefix="minidw-bench-") as directory:
        Path(directory).chmod(0o755)
        path = write_feed(Path(directory) / "feed.csv", rows, first_id=1)
        kilobytes = int(_python(directory, "-c", PEAK_MEMORY, str(path)))
        embedded.stop(Path(directory) / ".minidw")
    return Ratio(
        f"peak memory, {rows:,} rows, against {MEMORY_GOAL} MB", kilobytes / 1024, MEMORY_GOAL, 1, "MB"
    )


def generate(rows: int, repeat: int) -> Ratio:
    """``generate`` against csv.writer with one random call per field."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        ours, theirs = best_of(
            repeat,
            lambda: minidw.generate_orders(directory / "ours.csv", rows=rows, day=date(2025, 12, 1), seed=1),
            lambda: _write_by_field(directory / "theirs.csv", rows),
        )
    return Ratio(f"generate, {rows:,} rows, faster than csv.writer", ours, theirs, 3, more_is_better=True)


def _write_by_field(path: Path, rows: int) -> None:
    draw = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.strip().split(","))
        for order_id in range(rows):
            time = f"2025-12-01 {draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}"
            writer.writerow(
                (order_id, time, draw.randrange(100_000), draw.randrange(2_000), draw.choice(CATEGORIES),
                 f"{draw.uniform(1, 1000):.2f}", draw.randrange(1, 9), draw.choice(STATUSES))
            )  # fmt: skip


def _python(directory: str, *arguments: str) -> str:
    """A Python process with our settings, in a directory of its own; what it prints."""
    unset = ("DATABASE_URL", "POSTGRES_", "MINIDW_HOME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
