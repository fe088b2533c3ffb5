"""The steps and the run: what a file becomes, what the ledger says, and what a failure leaves."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Select, event, func, select, text
from sqlalchemy.orm import Session

import minidw
from minidw import (
    Batch,
    CheckResult,
    CustomerLtv,
    DailyRevenue,
    LineMalformed,
    OrderDelivered,
    OrderLanded,
    OrderLine,
    OrderRejected,
    Run,
    Settings,
    all_marts,
)
from minidw.errors import BadFileError, CheckFailedError, DatabaseError, WarehouseBusyError
from minidw.transforms.marts import difference
from tests.support import own_marts

WriteFeed = Callable[..., Path]


def fates(result: minidw.Result) -> dict[str, int]:
    """The fates of the one batch that was staged, without the zeros."""
    (staged,) = result.staged
    names = ("inserted", "updated", "unchanged", "superseded", "rejected")
    return {name: getattr(staged, name) for name in names if getattr(staged, name)}


def count(bind: Engine | Connection, table: type[Any]) -> int:
    """The number of rows of a table."""
    with Session(bind) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def disagreements(engine: Engine) -> list[Any]:
    """Rows in which a mart differs from its query."""
    with engine.connect() as conn:
        return [row for mart in all_marts() for row in conn.execute(difference(mart), Settings().rules)]


def test_a_file_becomes_marts(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("""
        order_id | customer_id | price | status
        1        | ada         | 9.50  | delivered
        2        | ada         | 20    | shipped
        3        | bob         | 7     | cancelled
    """)

    result = minidw.run(path, warehouse)

    assert fates(result) == {"inserted": 3}
    assert [(built.mart, built.method, built.rows) for built in result.built] == [
        ("daily_revenue", "full", 1),
        ("customer_ltv", "full", 1),
        ("product_revenue", "full", 1),
        ("customer_segments", "full", 1),
    ]
    with Session(warehouse) as session:
        assert session.scalars(select(CustomerLtv.lifetime_value)).all() == [Decimal("29.50")]


def test_every_row_has_one_fate(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | price\n1 | 10\n2 | 10\n3 | 10\n4 | 10"), warehouse)

    result = minidw.run(
        feed("""
            order_id | price
            1        | 10
            2        | 11
            5        | 1
            5        | 2
            6        | 3
            7        | -1
            """),
        warehouse,
    )

    assert fates(result) == {"inserted": 2, "updated": 1, "unchanged": 1, "superseded": 1, "rejected": 1}
    assert result.staged[0].reasons == {"NOT_POSITIVE": 1}
    assert result.built[0].method == "incremental"
    assert disagreements(warehouse) == []


def test_the_newest_valid_delivery_wins(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | price\n1 | 10\n2 | 10\n3 | 10\n4 | 10\n5 | 10"), warehouse)
    minidw.run(feed("order_id | price\n1 | 11\n1 | 12\n1 | bad\n2 | 20\n3 | 10"), warehouse)

    with Session(warehouse) as session:
        prices = dict(session.execute(select(OrderLine.order_id, OrderLine.price)).all())
    assert prices == {"1": 12, "2": 20, "3": 10, "4": 10, "5": 10}


def test_the_same_bytes_again_change_nothing(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1\n2")
    minidw.run(path, warehouse)

    again = minidw.run(path.rename(path.with_name("renamed.csv")), warehouse)

    assert (again.loaded.skipped, again.loaded.batch_id, again.staged) == (True, 1, [])
    assert (count(warehouse, Batch), count(warehouse, OrderDelivered)) == (1, 2)


def test_force_loads_the_same_bytes_again(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1\n2")
    minidw.run(path, warehouse)
    assert fates(minidw.run(path, warehouse, force=True)) == {"unchanged": 2}
    assert fates(minidw.run(path, warehouse, force=True)) == {"unchanged": 2}


def test_lines_of_an_order_are_numbered_on_request(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id | price\n1 | 1\n1 | 2\n2 | 3\n1 | 4")

    assert fates(minidw.run(path, warehouse, number_lines=True)) == {"inserted": 4}

    with Session(warehouse) as session:
        key = (OrderLine.order_id, OrderLine.line_number)
        lines = [tuple(row) for row in session.execute(select(*key, OrderLine.price).order_by(*key))]
    assert lines == [("1", 1, 1), ("1", 2, 2), ("1", 3, 4), ("2", 1, 3)]


def test_two_spellings_of_an_order_are_numbered_as_one(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id | price\né | 1\ne\u0301 | 2")
    assert fates(minidw.run(path, warehouse, number_lines=True)) == {"inserted": 2}


def test_the_summary_names_the_option_for_order_lines(warehouse: Engine, feed: WriteFeed) -> None:
    (staged,) = minidw.run(feed("order_id | price\n1 | 1\n1 | 2"), warehouse).staged
    assert staged.superseded == 1
    assert "--number-lines" in staged.hints[0]


def test_a_feed_with_line_numbers_needs_no_hint(warehouse: Engine, feed: WriteFeed) -> None:
    (staged,) = minidw.run(feed("order_id | line_number\n1 | 1\n1 | 2\n1 | 2"), warehouse).staged
    assert (staged.inserted, staged.superseded, staged.hints) == (2, 1, ())


def test_the_summary_names_the_setting_of_a_date_out_of_range(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id | order_timestamp\n1 | 2024-01-01\n2 | 1999-01-01")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with pytest.raises(BadFileError, match=f"from ORDER_DATE_MIN 2000-01-01 to {tomorrow}, the day after"):
        minidw.run(path, warehouse)
    set_ = Settings(max_reject_ratio=Decimal("0.5"), order_date_max=date(2025, 12, 31))
    (staged,) = minidw.run(path, warehouse, settings=set_).staged
    assert staged.hints == (
        "an order may lie from ORDER_DATE_MIN 2000-01-01 to ORDER_DATE_MAX 2025-12-31;"
        " these are rules of the warehouse: minidw rules",
    )


def test_the_steps_one_by_one_equal_a_run(warehouse: Engine, feed: WriteFeed) -> None:
    first = feed("order_id | price\n1 | 1\n2 | 2")
    second = feed("order_id | price\n2 | 5\n3 | 3")
    third = feed("order_id | price\n1 | 9\n3 | 1")

    minidw.load_raw(first, warehouse)
    minidw.build_staging(warehouse)
    minidw.load_raw(second, warehouse)
    minidw.build_marts(warehouse)
    minidw.load_raw(third, warehouse)
    assert [staged.batch_id for staged in minidw.build_staging(warehouse).staged] == [2, 3]
    minidw.build_marts(warehouse)

    assert disagreements(warehouse) == []
    with Session(warehouse) as session:
        assert session.scalars(select(DailyRevenue.revenue)).one() == 15
    assert minidw.build_staging(warehouse).staged == []


def test_a_build_without_changes_does_nothing(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), warehouse)
    assert {built.method for built in minidw.build_marts(warehouse).built} == {"none"}
    assert {built.method for built in minidw.build_marts(warehouse, full=True).built} == {"full"}


def test_a_batch_that_is_large_against_the_history_is_built_in_full(
    warehouse: Engine, feed: WriteFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minidw.steps.build.FEW_CHANGES", 1)
    minidw.run(feed("order_id\n1\n2\n3\n4"), warehouse)

    two_changes_of_four = minidw.run(feed("order_id | price\n1 | 2"), warehouse).built
    six_changes_of_four = minidw.run(feed("order_id | price\n1 | 3\n2 | 3\n3 | 3"), warehouse).built

    assert [(b.mart, b.method) for b in two_changes_of_four] == [
        ("daily_revenue", "incremental"),
        ("customer_ltv", "full"),
        ("product_revenue", "incremental"),
        ("customer_segments", "full"),
    ]
    assert two_changes_of_four[1].reason == "2 changes to 4 order lines, over 0.2 of them"
    assert {b.method for b in six_changes_of_four} == {"full"}
    assert disagreements(warehouse) == []


def test_marts_follow_the_statuses_that_count_as_revenue(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | price | status\n1 | 1 | delivered\n2 | 2 | cancelled"), warehouse)

    built = minidw.set_rules({"REVENUE_STATUSES": "pending,shipped,delivered,cancelled"}, warehouse).built

    assert {b.reason for b in built[:1]} == {"its definition or rules changed"}
    with Session(warehouse) as session:
        assert session.scalars(select(DailyRevenue.revenue)).one() == 3


def test_extra_columns_are_kept(warehouse: Engine, tmp_path: Path) -> None:
    path = tmp_path / "extra.csv"
    path.write_text(
        'note,status,price,order_id,quantity,category,product_id,customer_id,"a, b",order_timestamp\n'
        'say "hi",shipped,2,1,3,books,p1,c1,,2024-05-01\n'.replace('say "hi"', '"say ""hi"""')
    )

    assert fates(minidw.run(path, warehouse)) == {"inserted": 1}

    with Session(warehouse) as session:
        assert session.scalars(select(OrderDelivered.extra)).all() == [{"note": 'say "hi"', "a, b": None}]
        assert session.scalars(select(OrderLanded.extra)).all() == [{"note": 'say "hi"', "a, b": None}]


def test_columns_of_other_names_are_mapped(warehouse: Engine, tmp_path: Path) -> None:
    path = tmp_path / "mapped.csv"
    path.write_text("InvoiceNo;order_timestamp;customer_id;product_id;category;price;quantity;status\n"
                    "C1;2024-05-01;c;p;x;2;3;shipped\nInvoiceNo;order_timestamp;customer_id;product_id;category;price;quantity;status\n"
                    "C2;2024-05-01;c;p;x;2;3;shipped\nC3;2024-05-01;c;p;x;2;3;shipped\n")  # fmt: skip

    feed = minidw.Feed(delimiter=";", columns={"order_id": "InvoiceNo"})
    result = minidw.run(path, warehouse, feed=feed, settings=Settings(max_reject_ratio=Decimal("0.5")))

    assert fates(result) == {"inserted": 3, "rejected": 1}
    assert result.staged[0].reasons == {"REPEATED_HEADER": 1}


def test_a_header_only_file_is_a_batch_without_rows(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    path.write_text(path.read_text().splitlines()[0] + "\n")

    result = minidw.run(path, warehouse)

    assert fates(result) == {}
    assert [outcome.name for outcome in result.checked if outcome.offending] == ["raw_has_rows"]


def test_too_many_rejects_refuse_the_file(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id | price\n1 | 1\n2 | x\n3 | -1")

    with pytest.raises(
        BadFileError, match=r"TOO_MANY_REJECTS: 2 of 3 rows rejected \(BAD_NUMBER 1, NOT_POSITIVE 1\)"
    ):
        minidw.run(path, warehouse)

    for table in (Batch, OrderDelivered, OrderLine, OrderRejected, DailyRevenue):
        assert count(warehouse, table) == 0


BROKEN = """{header}
1,2024-05-01,ada,p1,books,5,1,shipped
2,2024-05-01,ada,p1,books,5,1
3,2024-05-01,"bob,p1,books,5,1,shipped
4,2024-05-01,bob,p1,books,x,1,shipped

5,2024-05-01,bob,p1,books,7,1,shipped
"""


def test_malformed_lines_are_set_aside_on_request_and_count_as_rejected(
    warehouse: Engine, feed: WriteFeed
) -> None:
    # Given a file with three broken lines and a bad price
    path = feed("order_id\n1")
    path.write_text(BROKEN.format(header=path.read_text().splitlines()[0]))
    lenient = Settings(max_reject_ratio=Decimal("0.7"))
    # Then it is refused by default
    with pytest.raises(BadFileError, match=r":3: COLUMN_COUNT"):
        minidw.run(path, warehouse, settings=lenient)
    # When malformed lines are skipped
    result = minidw.run(path, warehouse, feed=minidw.Feed(skip_malformed=True), settings=lenient)
    # Then every row has its place
    (staged,) = result.staged
    assert (staged.rows_read, staged.inserted, staged.rejected) == (6, 2, 4)
    assert staged.reasons == {"BAD_NUMBER": 1, "BLANK_LINE": 1, "COLUMN_COUNT": 1, "UNTERMINATED_QUOTE": 1}
    with Session(warehouse) as session:
        aside = session.execute(
            select(LineMalformed.line, LineMalformed.code, LineMalformed.text).order_by(LineMalformed.line)
        )
        assert [tuple(row) for row in aside] == [
            (3, "COLUMN_COUNT", "2,2024-05-01,ada,p1,books,5,1"),
            (4, "UNTERMINATED_QUOTE", '3,2024-05-01,"bob,p1,books,5,1,shipped'),
            (6, "BLANK_LINE", ""),
        ]
    minidw.build_staging(warehouse, replay=True, settings=lenient)
    assert not any(outcome.failed for outcome in minidw.run_checks(warehouse).checked)
    assert minidw.verify(warehouse).differences == []


def test_a_failed_run_leaves_one_trace(warehouse: Engine, feed: WriteFeed) -> None:
    with pytest.raises(BadFileError):
        minidw.run(feed("order_id | price\n1 | x"), warehouse)

    with Session(warehouse) as session:
        (run,) = session.scalars(select(Run)).all()
        assert (run.command, run.file_name, run.batch_id) == ("run", "feed_001.csv", None)
        assert run.failure is not None
        assert "TOO_MANY_REJECTS" in run.failure


def test_a_failed_check_rolls_the_run_back(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), warehouse)

    with own_marts.for_a_while():

        @minidw.check
        def no_order_two() -> Select[str]:
            return select(OrderLine.order_id).where(OrderLine.order_id == "2")

        with pytest.raises(CheckFailedError, match="check no_order_two: 1 offending rows, such as"):
            minidw.run(feed("order_id\n2"), warehouse)

    assert (count(warehouse, OrderLine), count(warehouse, Batch)) == (1, 1)


def test_the_ledger_keeps_the_run_and_its_checks(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1"), warehouse)

    with Session(warehouse) as session:
        run = session.scalars(select(Run)).one()
        assert (run.command, run.batch_id, run.failure) == ("run", 1, None)
        assert set(run.seconds) == {"load", "stage", "build", "check"}
        assert len(session.scalars(select(CheckResult)).all()) == 9
        batch = session.scalars(select(Batch)).one()
        assert None not in (batch.staged_at, batch.built_at, batch.checked_at)


def test_the_database_enforces_that_a_batch_adds_up(conn: Connection) -> None:
    with pytest.raises(Exception, match="ck_batches_adds_up"):
        conn.execute(
            text(
                "INSERT INTO raw.batches (batch_id, file_name, sha256, file_bytes, header, load_date,"
                " staged_at, rows_read, inserted, updated, unchanged, superseded, rejected)"
                " VALUES (1, 'f', 's', 1, '{}', '2025-01-01', now(), 5, 1, 1, 1, 1, 0)"
            )
        )


def test_a_caller_s_transaction_is_joined_and_never_committed(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    with warehouse.connect() as conn:
        conn.execute(text("SET search_path = public"))
        minidw.run(path, conn)
        assert count(conn, OrderLine) == 1
        assert conn.scalar(text("SHOW search_path")) == "public"
        conn.rollback()
    assert count(warehouse, OrderLine) == 0


def test_a_snapshot_older_than_the_lock_is_refused(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    with (
        warehouse.connect().execution_options(isolation_level="REPEATABLE READ") as conn,
        pytest.raises(DatabaseError, match="REPEATABLE READ; give minidw a READ COMMITTED one"),
    ):
        minidw.run(path, conn)


def test_a_failure_leaves_a_caller_s_transaction_as_it_was(warehouse: Engine, feed: WriteFeed) -> None:
    good, bad = feed("order_id\n1"), feed("order_id | price\n2 | x")
    with warehouse.connect() as conn:
        minidw.run(good, conn)
        with pytest.raises(BadFileError):
            minidw.run(bad, conn)
        conn.commit()
    assert (count(warehouse, OrderLine), count(warehouse, Batch)) == (1, 1)


def test_a_session_sees_what_a_run_did(session: Session, feed: WriteFeed) -> None:
    minidw.run(feed("order_id | customer_id | price\n1 | ada | 5\n2 | bob | 7"), session)
    top = session.scalars(select(CustomerLtv).order_by(CustomerLtv.lifetime_value.desc()).limit(10)).all()
    assert [customer.customer_id for customer in top] == ["bob", "ada"]

    minidw.run(feed("order_id | customer_id | price\n3 | ada | 100"), session)
    assert [customer.lifetime_value for customer in top] == [7, 105]


def test_a_second_runner_can_decline_to_wait(warehouse: Engine, feed: WriteFeed) -> None:
    path = feed("order_id\n1")
    with warehouse.connect() as holder:
        minidw.build_marts(holder)
        with pytest.raises(WarehouseBusyError, match=r"in use by process \d+ \(.*minidw"):
            minidw.run(path, warehouse, wait=False)
    assert fates(minidw.run(path, warehouse, wait=False)) == {"inserted": 1}


def test_a_reader_of_the_landing_table_does_not_stall_a_run(warehouse: Engine, feed: WriteFeed) -> None:
    minidw.run(feed("order_id\n1\n2"), warehouse)
    with warehouse.connect() as reader:
        reader.execute(select(OrderLanded.order_id))
        minidw.run(feed("order_id\n3"), warehouse)
    with Session(warehouse) as session:
        assert session.execute(select(OrderLanded.source_row, OrderLanded.order_id)).all() == [(1, "3")]


INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'staging' ORDER BY 1"


def test_the_first_run_builds_the_indexes_after_the_rows(warehouse: Engine, feed: WriteFeed) -> None:
    with warehouse.connect() as conn:
        before = conn.execute(text(INDEXES)).all()
    statements: list[str] = []

    @event.listens_for(warehouse, "before_cursor_execute")
    def _(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(" ".join(statement.split()[:5]))

    minidw.run(feed("order_id\n1\n2"), warehouse)

    rows = statements.index("INSERT INTO staging.orders_stg (order_id, line_number,")
    assert statements.index("DROP INDEX staging.idx_orders_stg_order_ts") < rows
    assert rows < statements.index("CREATE INDEX idx_orders_stg_order_ts ON staging.orders_stg")
    with warehouse.connect() as conn:
        assert conn.execute(text(INDEXES)).all() == before
    minidw.check_schema(warehouse)


def test_a_reader_of_staging_does_not_stall_the_first_run(warehouse: Engine, feed: WriteFeed) -> None:
    with warehouse.connect() as reader:
        reader.execute(select(OrderLine.order_id))
        minidw.run(feed("order_id\n1"), warehouse)
    assert count(warehouse, OrderLine) == 1


def test_no_tables_yet_is_a_clear_error(empty_database: Any, feed: WriteFeed) -> None:
    settings = Settings(url=empty_database)
    with pytest.raises(DatabaseError, match="run minidw migrate, or alembic upgrade head"):
        minidw.run(feed("order_id\n1"), settings=settings)
