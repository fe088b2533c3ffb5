"""A standalone cluster of Spark on this machine: a master and two workers, each a process of its own."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def cluster(directory: Path, workers: int = 2) -> Iterator[tuple[str, list[int]]]:
    """The URL of the master, and the process ids of the workers."""
    home = Path(pytest.importorskip("pyspark").__file__).parent
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> Path:
        log = directory / f"{name}-{len(running)}.log"
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *arguments]
        with log.open("wb") as file:
            running.append(
                subprocess.Popen(
                    command, stdout=file, stderr=file, env=environment, cwd=directory, start_new_session=True
                )
            )
        return log

    try:
        log = start("master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        url = _waited(log, r"(spark://127\.0\.0\.1:[1-9]\d*)")
        for number in range(workers):
            place = directory / f"work-{number}"
            options = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", str(place))
            _waited(start("worker.Worker", *options, url), r"(Successfully registered)")
        yield url, [process.pid for process in running[1:]]
    finally:
        for process in reversed(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _waited(log: Path, pattern: str) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if said := re.search(pattern, log.read_text(errors="replace")):
            return said[1]
        time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace"))
