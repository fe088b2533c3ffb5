"""The endpoint, on orders that nobody else sees and that are gone at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from service import app, session
from sqlalchemy.orm import Session

import minidw


@pytest.fixture
def client(minidw_session: Session) -> Iterator[TestClient]:
    """A client of the service, which works in the transaction of the test."""
    app.dependency_overrides[session] = lambda: minidw_session
    yield TestClient(app)
    app.dependency_overrides.clear()


def test_a_customer_is_worth_what_the_orders_say(
    client: TestClient, minidw_session: Session, minidw_feed: Callable[..., Path]
) -> None:
    minidw.run(minidw_feed("order_id | customer_id | price\n1 | ada | 9.50\n2 | ada | 20"), minidw_session)
    assert client.get("/customers/ada").json() == {
        "customer_id": "ada",
        "lifetime_value": "29.5000",
        "order_lines": 2,
    }
    minidw.run(minidw_feed("order_id | customer_id | status\n2 | ada | cancelled"), minidw_session)
    assert client.get("/customers/ada").json()["lifetime_value"] == "9.5000"


def test_the_orders_of_another_test_are_gone(client: TestClient) -> None:
    assert client.get("/customers/ada").status_code == 404
