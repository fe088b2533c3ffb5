"""What a customer is worth, from the mart: one endpoint."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import minidw
from minidw import CustomerLtv

app = FastAPI()


@cache
def engine() -> Engine:
    """One for the process; the embedded PostgreSQL, or what DATABASE_URL says."""
    return minidw.create_engine()


def session() -> Iterator[Session]:
    """A session for each request; the test gives its own."""
    with Session(engine()) as session:
        yield session


class Customer(BaseModel):
    """A customer, as the mart has it. Money is exact: it is sent as text."""

    customer_id: str
    lifetime_value: Decimal
    order_lines: int


@app.get("/customers/{customer_id}")
def customer(customer_id: str, session: Annotated[Session, Depends(session)]) -> Customer:
    """The revenue with a customer, over all time."""
    found = session.get(CustomerLtv, customer_id)
    if found is None:
        raise HTTPException(404, "no revenue with this customer")
    return Customer.model_validate(found, from_attributes=True)
