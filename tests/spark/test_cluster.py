"""On a cluster of processes: what PostgreSQL has, batch after batch, and nothing half done when killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import URL, Engine

import minidw
from minidw import DatabaseError, Settings
from minidw.engines import spark as lakes
from tests.support import servers
from tests.support.cluster import cluster
from tests.support.deliveries import COLUMNS
from tests.support.feeds import DEFAULTS
from tests.support.lakes import of_lake, of_warehouse

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]

CONF = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
PROGRAM = """
import json, sys
from minidw import Settings
from minidw.engines import spark
lake, master, url, conf, *files = sys.argv[1:]
settings = Settings(url=url, max_reject_ratio=1)
for path in files:
    done = spark.run([path], lake=lake, master=master, conf=json.loads(conf), settings=settings)
    print(done.run, flush=True)
"""


def start(lake: Path, master: str, url: URL, *files: Path) -> "subprocess.Popen[str]":
    """A driver in a process of its own; each file is a run."""
    address = url.render_as_string(hide_password=False)
    words = [str(lake), master, address, json.dumps(CONF), *map(str, files)]
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True, env=environment
    )


def write_batches(directory: Path, number: int, seed: int) -> list[Path]:
    """Batches of few orders, so that they meet: late, repeated, moved, corrected and broken ones."""
    drawn = random.Random(seed)
    values = {
        "order_id": ["1", "2", "3", " 3", "4", "5", "6", ""],
        "line_number": ["1", "1", "1", "2", "0"],
        "order_timestamp": ["2024-05-01 10:00:00", "2024-05-01T23:30:00-05:00", "2024-06-01", "2023-01-01",
                            "2025-12-31 23:59:59", "1999-12-31", "2024-02-30", "2024-05-31T23:00:00-05:00"],
        "customer_id": ["ada", "bob", "eve "],
        "product_id": ["p1", "p2"],
        "category": ["books", " Toys", ""],
        "price": ["10", "10.00", "1.00001", "0.0001", "700", "3000.5", "9999.9999", "x", "-1", "NaN"],
        "quantity": ["1", "1.0", "2", "3", "0"],
        "status": ["delivered", "shipped", "pending", "cancelled", "Canceled", "paid"],
    }  # fmt: skip
    paths = []
    for place in range(number):
        rows = [
            [drawn.choice(values.get(name, [DEFAULTS.get(name, "")])) for name in COLUMNS] for _ in range(8)
        ]
        path = directory / f"batch_{place:03}.csv"
        path.write_text("\n".join(",".join(row) for row in [list(COLUMNS), *rows]) + "\n")
        paths.append(path)
    return paths


@pytest.fixture
def settings(warehouse: Engine, database: URL) -> Settings:
    return Settings(url=database, max_reject_ratio=Decimal(1))


@pytest.fixture
def other(server: URL, engine: Engine) -> Iterator[Engine]:
    engine.dispose()
    with servers.temporary_database(server, "minidw_beside", template="minidw_session") as url:
        beside = minidw.create_engine(Settings(url=url))
        yield beside
        beside.dispose()


def test_twenty_batches_on_a_cluster(
    tmp_path: Path, settings: Settings, database: URL, other: Engine
) -> None:
    files, lake = write_batches(tmp_path, 20, 7), tmp_path / "lake"
    with cluster(tmp_path) as (master, _):
        with start(lake, master, database, *files) as driver:
            for number, path in enumerate(files, 1):
                assert driver.stdout is not None
                assert driver.stdout.readline() == f"{number}\n"
                minidw.run(path, other, settings=settings)
        assert driver.returncode == 0
    assert of_lake(lake, settings) == of_warehouse(other)


def test_whatever_is_killed_the_next_run_succeeds(
    tmp_path: Path, settings: Settings, database: URL, other: Engine
) -> None:
    """Drivers and executors, at random times: the lake as it was, or with the batch in it."""
    files, lake = write_batches(tmp_path, 4, 11), tmp_path / "lake"
    drawn = random.Random(3)
    with cluster(tmp_path) as (master, workers):
        for path in files:
            before = _held(lake, settings)
            for kill in (_kill_driver, _kill_executor):
                driver = start(lake, master, database, path)
                time.sleep(drawn.uniform(5, 40))
                kill(driver, workers)
                driver.wait()
                assert driver.stdout is not None
                driver.stdout.close()
                if _held(lake, settings) != before:
                    break
            minidw.run(path, other, settings=settings)
            if _held(lake, settings) == before:
                again = start(lake, master, database, path)
                assert again.wait() == 0
                assert again.stdout is not None
                again.stdout.close()
            assert of_lake(lake, settings) == of_warehouse(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_leaves_the_lake_as_it_was(
    spark: Any, tmp_path: Path, settings: Settings, feed: Callable[..., Path]
) -> None:
    lake, first = tmp_path / "lake", feed("order_id\n1")
    lake.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(lake)], check=True)
    try:
        lakes.run([first], lake=lake, settings=settings)
        held = of_lake(lake, settings)
        ballast = lake / "ballast"
        with suppress(OSError), ballast.open("wb", 0) as file:
            while file.write(b"x" * 4096):
                pass
        with pytest.raises(DatabaseError, match="nothing was stored"):
            lakes.run([feed("order_id\n2")], lake=lake, settings=settings)
        assert of_lake(lake, settings) == held
        ballast.unlink()
        assert lakes.run([feed("order_id\n3")], lake=lake, settings=settings).run == 2
    finally:
        subprocess.run(["umount", str(lake)], check=True)


def _held(lake: Path, settings: Settings) -> Any:
    try:
        return of_lake(lake, settings)
    except minidw.SettingsError:
        return None


def _kill_driver(driver: "subprocess.Popen[str]", _: list[int]) -> None:
    processes = psutil.Process(driver.pid).children(recursive=True)
    os.kill(driver.pid, signal.SIGKILL)
    for process in processes:
        if psutil.pid_exists(process.pid):
            os.kill(process.pid, signal.SIGKILL)


def _kill_executor(_: "subprocess.Popen[str]", workers: list[int]) -> None:
    executors = [child for worker in workers for child in psutil.Process(worker).children(recursive=True)]
    for process in executors[:1]:
        os.kill(process.pid, signal.SIGKILL)
