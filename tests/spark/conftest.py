"""A Spark session of two cores, one for all tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from minidw.engines.spark.session import start_session


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    pytest.importorskip("pyspark")
    session = start_session("local[2]", {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "2"})
    yield session
    session.stop()
