"""The peer: the script that people write today, and the floor: a bare COPY. Plain psycopg2, no minidw."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy import Engine

COLUMNS = "order_id, order_timestamp, customer_id, product_id, category, price, quantity, status"

SETUP = """
CREATE SCHEMA IF NOT EXISTS plain;
CREATE UNLOGGED TABLE IF NOT EXISTS plain.floor (
  order_id text, order_timestamp text, customer_id text, product_id text, category text,
  price text, quantity text, status text
);
CREATE TABLE IF NOT EXISTS plain.landing (
  order_id text, order_timestamp timestamp, customer_id text, product_id text, category text,
  price numeric(12,2), quantity integer, status text
);
CREATE TABLE IF NOT EXISTS plain.history (LIKE plain.landing, loaded_at timestamptz);
"""

REBUILD = """
INSERT INTO plain.history SELECT *, now() FROM plain.landing;
DROP TABLE IF EXISTS plain.stg;
CREATE TABLE plain.stg AS
SELECT DISTINCT ON (order_id) order_id, order_timestamp, customer_id, product_id,
       lower(trim(category)) AS category, price, quantity, lower(trim(status)) AS status,
       price * quantity AS total_amount
FROM plain.history
WHERE order_id <> '' AND price > 0 AND quantity > 0
  AND order_timestamp BETWEEN '2023-01-01' AND '2025-12-31 23:59:59.999999'
ORDER BY order_id, loaded_at DESC;
CREATE INDEX ON plain.stg (order_timestamp);
CREATE INDEX ON plain.stg (customer_id);
DROP TABLE IF EXISTS plain.daily_revenue;
CREATE TABLE plain.daily_revenue AS
SELECT order_timestamp::date AS order_date, sum(total_amount) AS revenue, count(*) AS order_lines
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1;
DROP TABLE IF EXISTS plain.customer_ltv;
CREATE TABLE plain.customer_ltv AS
SELECT customer_id, sum(total_amount) AS lifetime_value, count(*) AS order_lines,
       min(order_timestamp) AS first_order_at, max(order_timestamp) AS last_order_at
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1;
DROP TABLE IF EXISTS plain.product_revenue;
CREATE TABLE plain.product_revenue AS
SELECT product_id, category, sum(total_amount) AS total_revenue, sum(quantity) AS total_quantity,
       count(*) AS order_lines, avg(total_amount) AS avg_order_value
FROM plain.stg WHERE status <> 'cancelled' GROUP BY 1, 2;
DROP TABLE IF EXISTS plain.customer_segments;
CREATE TABLE plain.customer_segments AS
SELECT customer_id, lifetime_value, CASE WHEN lifetime_value >= 10000 THEN 'VIP'
       WHEN lifetime_value >= 3000 THEN 'High' WHEN lifetime_value >= 500 THEN 'Medium'
       ELSE 'Low' END AS segment
FROM plain.customer_ltv
"""


def set_up(engine: Engine) -> None:
    """The tables of the script."""
    _execute(engine, SETUP)


def tear_down(engine: Engine) -> None:
    """As though nothing had been."""
    _execute(engine, "DROP SCHEMA plain CASCADE")


def bare_copy(engine: Engine, path: Path) -> None:
    """The floor: COPY into an unlogged table of text."""
    _copy(engine, path, "plain.floor")


def script(engine: Engine, path: Path) -> None:
    """The peer: TRUNCATE and COPY, INSERT into the history, DROP and CREATE staging and marts from it."""
    _copy(engine, path, "plain.landing")
    _execute(engine, *REBUILD.split(";"))


def _copy(engine: Engine, path: Path, table: str) -> None:
    with _cursor(engine) as cursor, path.open("rb") as file:
        cursor.execute(f"TRUNCATE {table}")
        cursor.copy_expert(f"COPY {table} ({COLUMNS}) FROM STDIN (FORMAT csv, HEADER true)", file, 256 * 1024)


def _execute(engine: Engine, *statements: str) -> None:
    with _cursor(engine) as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def _cursor(engine: Engine) -> Iterator["psycopg2.extensions.cursor"]:
    """A connection of the driver's own to the same database; each statement is a commit."""
    host, port = engine.url.query["host"], engine.url.query["port"]
    conn = psycopg2.connect(host=host, port=port, user=engine.url.username, dbname=engine.url.database)
    conn.autocommit = True
    with closing(conn), conn.cursor() as cursor:
        yield cursor
