"""Beside other people's things in the database: runs go on, or one line names what is in the way."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, text

import minidw
from minidw import DatabaseError, Settings
from minidw.cli import main
from minidw.database.tables import may_rebuild
from minidw.transforms.staging import INDEXES

WriteFeed = Callable[..., Path]


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as conn:
        for statement in statements:
            conn.execute(text(statement))


def told(call: Callable[..., object], *arguments: object) -> str:
    """The one line of a call that is refused."""
    with pytest.raises(DatabaseError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What holds on to staging.orders_stg by its key or its indexes

HOLDING = {
    "a foreign key": (
        "CREATE TABLE public.notes (order_id text, line int, note text,"
        " FOREIGN KEY (order_id, line) REFERENCES staging.orders_stg)",
    ),
    "a view grouped by the key": (
        "CREATE VIEW public.by_line AS SELECT order_id, line_number, price, count(*) FROM staging.orders_stg"
        " GROUP BY order_id, line_number",
    ),
    "a replica identity": ("ALTER TABLE staging.orders_stg REPLICA IDENTITY USING INDEX pk_orders_stg",),
    "a clustered index": ("ALTER TABLE staging.orders_stg CLUSTER ON idx_orders_stg_customer",),
    "options of an index": ("ALTER INDEX staging.idx_orders_stg_customer SET (fillfactor = 70)",),
    "a comment on an index": ("COMMENT ON INDEX staging.idx_orders_stg_order_ts IS 'a word of theirs'",),
    "a comment on the key": ("COMMENT ON CONSTRAINT pk_orders_stg ON staging.orders_stg IS 'of theirs'",),
}
BESIDE = {
    "a publication of all tables": ("CREATE PUBLICATION everything FOR ALL TABLES",),
    "a publication of rows": (
        "CREATE PUBLICATION some_rows FOR TABLE staging.orders_stg WHERE (line_number > 1), mart.builds",
    ),
    "another index": ("CREATE INDEX theirs ON staging.orders_stg (product_id)",),
    "a trigger": (
        "CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER look AFTER INSERT OR UPDATE OR DELETE ON staging.orders_stg"
        " FOR EACH ROW EXECUTE FUNCTION public.look()",
    ),
    "more statistics": ("CREATE STATISTICS public.more ON customer_id, product_id FROM staging.orders_stg",),
    "a column": ("ALTER TABLE staging.orders_stg ADD COLUMN theirs text",),
    "a materialized view": ("CREATE MATERIALIZED VIEW mart.theirs AS SELECT * FROM mart.daily_revenue",),
}

MARKS = """
    SELECT c.oid, c.relname, i.indisclustered, i.indisreplident, c.reloptions,
           obj_description(c.oid, 'pg_class')
      FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = 'staging.orders_stg'::regclass ORDER BY 2
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("theirs", [*HOLDING, *BESIDE])
def test_indexes_stay_in_place_where_something_holds_on_to_them(conn: Connection, theirs: str) -> None:
    for statement in (HOLDING | BESIDE)[theirs]:
        conn.execute(text(statement))
    assert may_rebuild(conn, minidw.OrderLine, INDEXES) == (theirs in BESIDE)


@pytest.mark.filterwarnings("ignore")
def test_runs_go_on_beside_all_of_it(warehouse: Engine, feed: WriteFeed) -> None:
    # Given everything that somebody else may have on a table of ours
    execute(warehouse, *(one for statements in (HOLDING | BESIDE).values() for one in statements))
    with warehouse.connect() as conn:
        before = conn.execute(text(MARKS)).all()
    # Then a first run, a correction of what is referred to, a build in full, a replay and a pruning work
    minidw.run(feed("order_id | price\n1 | 5\n2 | 6"), warehouse)
    execute(warehouse, "INSERT INTO public.notes SELECT order_id, line_number FROM staging.orders_stg")
    minidw.run(feed("order_id | price\n2 | 7\n3 | 8"), warehouse)
    minidw.build_marts(warehouse, full=True)
    minidw.build_staging(warehouse, replay=True)
    minidw.prune(date(2100, 1, 1), warehouse)
    assert minidw.verify(warehouse).differences == []
    # and it is as it was
    with warehouse.connect() as conn:
        assert conn.execute(text(MARKS)).all() == before


def test_a_line_that_vanishes_under_a_foreign_key_is_named(warehouse: Engine, feed: WriteFeed) -> None:
    execute(warehouse, *HOLDING["a foreign key"])
    minidw.run(feed("order_id | order_timestamp\n1 | 2023-05-01"), warehouse)
    execute(warehouse, "INSERT INTO public.notes VALUES ('1', 1)")
    said = told(lambda: minidw.set_rules({"ORDER_DATE_MIN": date(2024, 1, 1)}, warehouse))
    assert 'violates foreign key constraint "notes_order_id_line_fkey" on table "notes"' in said


def test_the_first_rows_come_before_the_indexes_where_nothing_depends_on_them(
    warehouse: Engine, feed: WriteFeed
) -> None:
    numbers = []
    for rows in ("order_id\n1", "order_id\n2"):
        with warehouse.begin() as conn:
            numbers.append(conn.scalar(text("SELECT 'staging.idx_orders_stg_customer'::regclass::oid")))
        minidw.run(feed(rows), warehouse)
    assert numbers[0] != numbers[1]


def test_every_table_that_is_logged_has_an_identity_for_a_publication(conn: Connection) -> None:
    nameless = text(
        "SELECT oid::regclass FROM pg_class AS c"
        " WHERE relnamespace::regnamespace::text IN ('raw', 'staging', 'mart')"
        " AND relkind = 'r' AND relpersistence = 'p' AND relreplident <> 'f'"
        " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"
    )
    assert conn.scalars(nameless).all() == []


# What others have on our tables and in our schemas


UNQUALIFIED = (
    "CREATE TABLE public.audit (at timestamptz DEFAULT now())",
    "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN INSERT INTO audit DEFAULT VALUES; RETURN NEW; END'",
    "CREATE TRIGGER note AFTER INSERT ON staging.orders_stg FOR EACH ROW EXECUTE FUNCTION public.note()",
)


def test_a_trigger_that_finds_nothing_in_our_search_path_is_named_with_the_reason(
    warehouse: Engine, feed: WriteFeed
) -> None:
    execute(warehouse, *UNQUALIFIED)
    path = feed("order_id\n1")
    said = told(lambda: minidw.run(path, warehouse))
    assert said == (
        'relation "audit" does not exist (SQLSTATE 42P01)'
        " in PL/pgSQL function public.note() line 1 at SQL statement, which is not minidw's;"
        " minidw works with search_path pg_catalog: names in there need their schema"
    )
    # When the function has a search_path of its own, the run goes on
    execute(warehouse, "ALTER FUNCTION public.note() SET search_path = public")
    minidw.run(path, warehouse)


def test_what_a_trigger_refuses_is_named(warehouse: Engine, feed: WriteFeed) -> None:
    execute(
        warehouse,
        "CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not on a\nSunday'; END $$",
        "CREATE TRIGGER stop BEFORE UPDATE OR INSERT ON mart.daily_revenue FOR EACH ROW"
        " EXECUTE FUNCTION public.stop()",
    )
    said = told(lambda: minidw.run(feed("order_id\n1"), warehouse))
    assert "not on a (SQLSTATE P0001) in PL/pgSQL function public.stop() line 1 at RAISE" in said


def test_a_table_of_ours_that_is_gone_is_named(warehouse: Engine, feed: WriteFeed) -> None:
    execute(warehouse, "DROP TABLE mart.customer_segments")
    for call in (lambda: minidw.run(feed("order_id\n1"), warehouse), lambda: minidw.report(warehouse)):
        said = told(call)
        assert 'relation "mart.customer_segments" does not exist' in said
        assert said.endswith("minidw migrate --check says what the warehouse lacks")


THEIRS = (
    "CREATE TABLE mart.plain (x int)",
    "CREATE TABLE staging.parted (x int) PARTITION BY RANGE (x)",
    "CREATE TABLE staging.parted_1 PARTITION OF staging.parted FOR VALUES FROM (1) TO (2)",
    "CREATE FOREIGN DATA WRAPPER nothing",
    "CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing",
    "CREATE FOREIGN TABLE raw.far (x int) SERVER elsewhere",
    "CREATE VIEW mart.seen AS SELECT * FROM mart.daily_revenue",
    "CREATE MATERIALIZED VIEW mart.kept AS SELECT * FROM mart.daily_revenue",
    "CREATE SEQUENCE raw.numbers",
    "CREATE TABLE raw.numbered (x int GENERATED ALWAYS AS IDENTITY)",
    "CREATE INDEX by_product ON staging.orders_stg (product_id)",
    "CREATE TYPE mart.mood AS ENUM ('fine')",
    "CREATE FUNCTION mart.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)


def test_what_others_have_in_our_schemas_is_said_in_plain_words_and_left_alone(
    warehouse: Engine,
    database: URL,
    feed: WriteFeed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    execute(warehouse, *THEIRS)
    minidw.downgrade(warehouse, revision="0002")
    minidw.upgrade(warehouse)
    minidw.run(feed("order_id\n1"), warehouse)
    monkeypatch.setenv("DATABASE_URL", database.render_as_string(hide_password=False))
    assert main(["migrate", "--check"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("note: ")] == [
        "note: the materialized view mart.kept is not minidw's",
        "note: the table mart.plain is not minidw's",
        "note: the view mart.seen is not minidw's",
        "note: the foreign table raw.far is not minidw's",
        "note: the table raw.numbered is not minidw's",
        "note: the sequence raw.numbers is not minidw's",
        "note: the partitioned table staging.parted is not minidw's",
        "note: the table staging.parted_1 is not minidw's",
        "note: the index by_product of staging.orders_stg is not minidw's",
    ]


CHANGED = {
    "DROP TABLE mart.customer_segments": "mart.customer_segments is missing",
    "ALTER TABLE raw.batches DROP COLUMN header": "raw.batches lacks the column header",
    "ALTER TABLE raw.batches ADD COLUMN other int": "raw.batches has a column other, which is not minidw's",
    "DROP INDEX staging.idx_orders_stg_customer": "staging.orders_stg lacks idx_orders_stg_customer",
    "CREATE UNIQUE INDEX one ON raw.runs (command)": "raw.runs has one, which is not minidw's",
    "ALTER TABLE raw.runs ADD CONSTRAINT two UNIQUE (command)": "raw.runs has two, which is not minidw's",
    "ALTER TABLE raw.runs DROP CONSTRAINT fk_runs_batch_id": "raw.runs lacks fk_runs_batch_id",
    "ALTER TABLE raw.runs ALTER command TYPE varchar(9)": "raw.runs.command is of type VARCHAR(9), not TEXT",
    "ALTER TABLE mart.builds ALTER reason DROP NOT NULL": "mart.builds.reason may be null",
    "ALTER TABLE raw.batches ALTER rules SET NOT NULL": "raw.batches.rules must not be null",
    "ALTER TABLE raw.batches ALTER malformed SET DEFAULT 7": "raw.batches.malformed has another default",
    "ALTER TABLE raw.batches DROP CONSTRAINT ck_batches_adds_up": "raw.batches lacks ck_batches_adds_up",
    "ALTER TABLE staging.orders_stg DROP CONSTRAINT pk_orders_stg": "staging.orders_stg lacks pk_orders_stg",
    "COMMENT ON COLUMN raw.batches.sha256 IS 'theirs'": "raw.batches.sha256 has another comment",
    "COMMENT ON TABLE raw.batches IS 'theirs'": "raw.batches has another comment",
    "COMMENT ON TABLE raw.batches IS NULL": "raw.batches has another comment",
}


@pytest.mark.parametrize(("statement", "said"), CHANGED.items(), ids=CHANGED.values())
def test_what_is_otherwise_than_it_must_be_is_said_in_plain_words(
    conn: Connection, statement: str, said: str
) -> None:
    conn.execute(text(statement))
    assert told(minidw.check_schema, conn) == f"the warehouse is not as minidw needs it: {said}"


# Going back


def test_going_back_to_nothing_leaves_what_others_made(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), warehouse)
    execute(warehouse, *THEIRS, "DROP VIEW mart.seen", "DROP MATERIALIZED VIEW mart.kept")
    minidw.downgrade(warehouse)
    with warehouse.connect() as conn:
        left = conn.scalars(
            text("SELECT oid::regclass::text FROM pg_class WHERE relnamespace::regnamespace::text IN"
                 " ('raw', 'staging', 'mart') AND relkind IN ('r', 'p', 'f', 'v', 'm', 'S') ORDER BY 1")
        ).all()  # fmt: skip
    assert " ".join(left) == (
        "mart.plain raw.far raw.numbered raw.numbered_x_seq raw.numbers staging.parted staging.parted_1"
    )
    # and minidw comes back beside it
    minidw.upgrade(warehouse)
    minidw.run(feed("order_id\n1"), warehouse)


DEPENDING = [
    ("CREATE VIEW public.seen AS SELECT * FROM mart.builds", "view public.seen depends on table mart.builds"),
    pytest.param(
        HOLDING["a foreign key"][0],
        "constraint notes_order_id_line_fkey on table public.notes depends on table staging.orders_stg",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "CREATE TABLE public.more () INHERITS (raw.runs)",
        "table public.more depends on table raw.runs",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("statement", "depends"), DEPENDING)
def test_going_back_under_something_of_others_is_refused_by_its_name(
    warehouse: Engine, feed: WriteFeed, statement: str, depends: str
) -> None:
    minidw.run(feed("order_id\n1"), warehouse)
    execute(warehouse, statement)
    said = told(minidw.downgrade, warehouse)
    assert said.endswith(f"because other objects depend on it: {depends} (SQLSTATE 2BP01)")
    # and nothing is gone
    assert minidw.verify(warehouse).differences == []


def test_a_table_of_theirs_under_a_name_of_ours_is_named(empty_database: URL) -> None:
    engine = minidw.create_engine(Settings(url=empty_database))
    execute(engine, "CREATE SCHEMA mart", "CREATE TABLE mart.daily_revenue (day date)")
    assert told(minidw.upgrade, engine) == (
        "mart.daily_revenue is there already, and minidw did not make it:"
        " rename it, or move it to another schema (SQLSTATE 42P07)"
    )
    engine.dispose()
