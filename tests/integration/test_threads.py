"""Safe in threads: any function at any time, on one engine, or each on its own."""

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, Engine, text

import minidw
from minidw import Settings
from minidw.database import migrate
from minidw.database.revision import heads
from tests.support.feeds import write_feed
from tests.support.servers import reachable_directory, temporary_database

HANDS = [(4, 2), pytest.param(8, 50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]


@pytest.fixture
def embedded_settings() -> Iterator[Settings]:
    """An embedded warehouse that nobody has started yet."""
    with reachable_directory() as directory:
        yield Settings(home=directory / "home")


def in_threads(number: int, call: Callable[[int], object]) -> None:
    """Call at once in so many threads; the first error is raised."""
    together = threading.Barrier(number)

    def start(hand: int) -> object:
        together.wait(60)
        return call(hand)

    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(start, hand) for hand in range(number)]:
            done.result()


def run_files(directory: Path, hands: int, files: int, run: Callable[[Path], object]) -> None:
    """Each thread brings files of its own, and one that all of them bring."""
    write_feed(directory / "shared.csv", "order_id | customer_id\nshared | eve")
    for hand in range(hands):
        for number in range(files):
            write_feed(
                directory / f"{hand}-{number}.csv",
                f"order_id | customer_id\n{hand}-{number} | ada\nsame | bob",
            )

    def work(hand: int) -> None:
        for number in range(files):
            run(directory / f"{hand}-{number}.csv")
            run(directory / "shared.csv")

    in_threads(hands, work)


def assert_whole(engine: Engine, hands: int, files: int) -> None:
    """Every file is one batch, nothing failed, and every table is what it follows from."""
    batches = hands * files + 1
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM raw.batches WHERE checked_at IS NOT NULL")) == batches
        assert conn.scalar(text("SELECT count(*) FROM raw.runs WHERE failure IS NOT NULL")) == 0
        assert conn.scalar(text("SELECT count(*) FROM staging.orders_stg")) == hands * files + 2
    assert minidw.verify(engine).differences == []


@pytest.mark.parametrize(("hands", "files"), HANDS)
def test_threads_share_an_engine(warehouse: Engine, tmp_path: Path, hands: int, files: int) -> None:
    run_files(tmp_path, hands, files, lambda path: minidw.run(path, warehouse))
    assert_whole(warehouse, hands, files)


@pytest.mark.parametrize(("hands", "files"), [(2, 1), *HANDS[1:]])
def test_threads_find_the_embedded_warehouse_each_for_itself(
    embedded_settings: Settings, tmp_path: Path, hands: int, files: int
) -> None:
    run_files(tmp_path, hands, files, lambda path: minidw.run(path, settings=embedded_settings))
    engine = minidw.create_engine(embedded_settings)
    assert_whole(engine, hands, files)
    engine.dispose()


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_upgrades_of_several_databases_go_each_to_its_own(server: URL, times: int) -> None:
    with ExitStack() as stack:
        engines = []
        for _ in range(3):
            url = stack.enter_context(temporary_database(server, f"minidw_{uuid4().hex[:12]}"))
            engines.append(minidw.create_engine(Settings(url=url)))
            stack.callback(engines[-1].dispose)

        def up_and_down(hand: int) -> None:
            for _ in range(times):
                minidw.upgrade(engines[hand])
                minidw.downgrade(engines[hand], revision="0002" if hand else "base")
            if hand < 2:
                minidw.upgrade(engines[hand])

        in_threads(3, up_and_down)
        found = []
        for engine in engines:
            with engine.connect() as conn:
                found.append(minidw.database.revision.current(conn))
        assert found == [heads(), heads(), {"0002"}]


@pytest.mark.skipif(sys.platform != "linux", reason="fork is for Linux")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_during_an_upgrade_can_upgrade(database: URL, warehouse: Engine) -> None:
    minidw.downgrade(warehouse, revision="0003")
    warehouse.dispose()

    def upgrade() -> None:
        minidw.upgrade(settings=Settings(url=database))

    with migrate.alembic_alone():
        child = multiprocessing.get_context("fork").Process(target=upgrade)
        child.start()
        child.join(60)
    assert child.exitcode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="fork is for Linux")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_does_not_speak_on_its_parent_s_connection(warehouse: Engine) -> None:
    backend = text("SELECT pg_backend_pid()")
    with warehouse.connect() as conn:
        before = conn.scalar(backend)

    def work() -> None:
        with warehouse.connect() as conn:
            if conn.scalar(backend) == before:
                raise SystemExit(3)
        minidw.build_marts(warehouse)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    with warehouse.connect() as conn:
        assert conn.scalar(backend) == before
