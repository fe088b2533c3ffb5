"""A day of 100,000 orders onto a history: by a run, and by rebuilding staging and marts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

import minidw
from benchmarks.feeds import write_feed
from minidw import embedded

BATCH = 100_000


@dataclass(frozen=True)
class Measured:
    """Seconds for a batch onto a history of ``history`` rows; the best of several for the runs."""

    history: int
    first_run: float
    recent_batch: float
    random_batch: float
    plain_rebuild: float
    own_rebuild: float

    def as_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


def measure(history: int, *, repeat: int = 3) -> Measured:
    """Load a history on a fresh embedded server, then batches onto it."""
    with _server() as (engine, directory):
        path = write_feed(directory / "history.csv", history, first_id=1)
        first_run = _timed(lambda: minidw.run(path, engine))
        path.unlink()
        _settle(engine)
        next_id = history + 1
        times: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(repeat):
            for recent in (True, False):
                batch = write_feed(directory / "batch.csv", BATCH, first_id=next_id, recent=recent)
                times[recent].append(_timed(lambda batch=batch: minidw.run(batch, engine)))  # type: ignore[misc]
                next_id += BATCH
        plain = _timed(lambda: plain_rebuild(engine))
        own = _timed(lambda: _own_rebuild(engine))
    return Measured(history, first_run, min(times[True]), min(times[False]), plain, own)


def plain_rebuild(engine: sa.Engine) -> None:
    """What a plain script does every day: drop and create staging, its indexes, and the marts, from raw."""
    with engine.begin() as conn:
        for statement in PLAIN_SCRIPT.split(";"):
            conn.execute(sa.text(statement))


def _own_rebuild(engine: sa.Engine) -> None:
    minidw.build_staging(engine, replay=True)
    minidw.build_marts(engine, full=True)


PLAIN_SCRIPT = """
CREATE SCHEMA plain;
CREATE TABLE plain.stg AS
SELECT DISTINCT ON (order_id) order_id, order_timestamp::timestamp AS order_timestamp,
       customer_id, product_id, lower(trim(category)) AS category, price::numeric(12,2) AS price,
       quantity::integer AS quantity, lower(trim(status)) AS status,
       price::numeric(12,2) * quantity::integer AS total_amount
FROM raw.orders_all
WHERE order_id <> '' AND price::numeric > 0 AND quantity::integer > 0
  AND order_timestamp::timestamp BETWEEN '2023-01-01' AND '2025-12-31 23:59:59.999999'
ORDER BY order_id, batch_id DESC, source_row DESC;
CREATE INDEX ON plain.stg (order_timestamp);
CREATE INDEX ON plain.stg (customer_id);
CREATE TABLE plain.daily_revenue AS
SELECT order_timestamp::date AS order_date, sum(total_amount) AS revenue, count(*) AS order_lines
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1;
CREATE TABLE plain.customer_ltv AS
SELECT customer_id, sum(total_amount) AS lifetime_value, count(*) AS order_lines,
       min(order_timestamp) AS first_order_at, max(order_timestamp) AS last_order_at
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1;
CREATE TABLE plain.product_revenue AS
SELECT product_id, category, sum(total_amount) AS total_revenue, sum(quantity) AS total_quantity,
       count(*) AS order_lines, avg(total_amount) AS avg_order_value
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1, 2;
CREATE TABLE plain.customer_segments AS
SELECT customer_id, lifetime_value, CASE WHEN lifetime_value >= 10000 THEN 'VIP'
       WHEN lifetime_value >= 3000 THEN 'High' WHEN lifetime_value >= 500 THEN 'Medium'
       ELSE 'Low' END AS segment
FROM plain.customer_ltv;
DROP SCHEMA plain CASCADE
"""


def _settle(engine: sa.Engine) -> None:
    """What autovacuum does within minutes of a large load, done now, so that no run meets it halfway."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text("VACUUM ANALYZE"))
        conn.execute(sa.text("CHECKPOINT"))


@contextmanager
def _server() -> Iterator[tuple[sa.Engine, Path]]:
    with TemporaryDirectory(prefix="minidw-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        settings = minidw.Settings(home=directory / "home")
        engine = minidw.create_engine(settings)
        try:
            minidw.upgrade(engine, settings=settings)
            yield engine, directory
        finally:
            engine.dispose()
            embedded.stop(settings.home)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
