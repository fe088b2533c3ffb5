"""The examples in the docstrings of what is public: each is run, in a warehouse and a directory of its own.

``orders.csv`` is in the warehouse already; ``corrections.csv`` and ``broken.csv`` are not. All lie in the
directory, and the environment names the database.
"""

import doctest
import inspect
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, select
from sqlalchemy.orm import Mapped, Session

import minidw
from minidw import testing
from tests.support import own_marts
from tests.support.feeds import write_feed
from tests.support.servers import Copies, filled
from tests.support.texts import FILE, row

ORDERS = """
order_id | order_timestamp     | customer_id | product_id | price | quantity | status
1001     | 2024-05-01 10:00:00 | ada         | lamp       | 40.00 | 1        | delivered
1002     | 2024-05-01 11:00:00 | bob         | chair      | 75.50 | 2        | shipped
1003     | 2024-05-02 09:30:00 | ada         | chair      | 75.50 | 1        | pending
1004     | 2024-05-03 16:45:00 | eve         | lamp       | 40.00 | 1        | cancelled
1005     | 2024-05-03 17:00:00 | eve         | lamp       | 40,00 | 1        | pending
"""
CORRECTIONS = """
order_id | order_timestamp     | customer_id | product_id | price | quantity | status
1003     | 2024-05-02 09:30:00 | ada         | chair      | 70.00 | 1        | shipped
1006     | 2024-05-04 08:00:00 | bob         | lamp       | 40.00 | 3        | pending
"""
# What an example need not import.
IMPORTED = {
    "minidw": minidw,
    "date": date,
    "datetime": datetime,
    "Decimal": Decimal,
    "Mapped": Mapped,
    "Path": Path,
    "Session": Session,
    "select": select,
} | {name: getattr(testing, name) for name in testing.__all__}
TESTING = {name: getattr(testing, name) for name in testing.__all__}
PUBLIC = {name: getattr(minidw, name) for name in minidw.MODULES} | TESTING
METHODS = {
    f"{name}.{method}": getattr(thing, method)
    for name, thing in PUBLIC.items()
    if inspect.isclass(thing)
    for method in vars(thing)
    if not method.startswith("_")
}
EXAMPLES = {
    name: examples
    for name, thing in (PUBLIC | METHODS).items()
    if (examples := doctest.DocTestParser().get_examples(inspect.getdoc(thing) or ""))
}


@pytest.fixture(scope="module")
def example_copies(server: URL, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """Copies of a warehouse that has orders.csv."""
    path = write_feed(tmp_path_factory.mktemp("examples") / "orders.csv", ORDERS)
    with filled(
        server, engine, "minidw_examples", lambda settings: minidw.run(path, settings=settings)
    ) as copies:
        yield copies


@pytest.fixture
def surroundings(example_copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Given the directory and the environment of the examples."""
    write_feed(tmp_path / "orders.csv", ORDERS)
    write_feed(tmp_path / "corrections.csv", CORRECTIONS)
    (tmp_path / "broken.csv").write_bytes(FILE + row(b'"2'))
    with example_copies.one() as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_says(name: str) -> None:
    test = doctest.DocTest(EXAMPLES[name], dict(IMPORTED), name, None, 0, None)
    said: list[str] = []
    with own_marts.for_a_while():
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
