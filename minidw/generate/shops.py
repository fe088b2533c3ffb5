"""How each known shop writes an order: its header, and the rows with the amount of each that revenue counts.

The amount is None where a row does not count: of a cancelled order, of another currency, set aside.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

NEW_YORK, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")
_CENT = Decimal("0.01")
Rows = Iterator[tuple[dict[str, str], Decimal | None]]


@dataclass(frozen=True)
class Line:
    """What was sold; ``percent`` off the price."""

    sku: str
    name: str
    category: str
    price: Decimal
    quantity: int
    percent: int

    @property
    def gross(self) -> Decimal:
        return self.price * self.quantity

    @property
    def discount(self) -> Decimal:
        return (self.gross * self.percent / 100).quantize(_CENT)

    @property
    def net(self) -> Decimal:
        return self.gross - self.discount


@dataclass(frozen=True)
class Order:
    """An order; its number, its time in UTC, its customer where there is one."""

    number: int
    time: datetime
    customer: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Shop:
    """How a shop writes its export.

    header: of its file; ``write``: an order as rows of it
    delimiter, quoting, line_end: of its file; ``currency``: of its amounts, where it says it
    """

    header: tuple[str, ...]
    write: Callable[[Order, Random], Rows]
    currency: str | None = None
    delimiter: str = ","
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL
    line_end: str = "\n"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


def _shopify(order: Order, rng: Random) -> Rows:
    status = rng.choices(
        ("paid", "pending", "authorized", "partially_refunded", "refunded", "voided"), (70, 5, 5, 5, 10, 5)
    )[0]
    currency = rng.choices(("USD", "CAD"), (97, 3))[0]
    counts = status not in ("refunded", "voided") and currency == "USD"
    created = order.time.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S %z")
    email = order.customer or ""
    for place, line in enumerate(order.lines):
        gift = place > 0 and rng.random() < 0.05
        row = {
            "Name": f"#{1000 + order.number}",
            "Email": email,
            "Lineitem quantity": f"{line.quantity}",
            "Lineitem name": line.name,
            "Lineitem price": "0.00" if gift else f"{line.price}",
            "Lineitem sku": "" if rng.random() < 0.05 else line.sku,
            "Lineitem discount": "0.00" if gift else f"{line.discount}",
            "Vendor": 'The "Mug" shop, Inc.',
        }
        if place == 0:  # the others have what is of the line, and little else
            row |= {
                "Financial Status": status, "Currency": currency, "Created at": created, "Paid at": created,
                "Subtotal": f"{sum(line.net for line in order.lines)}", "Notes": "two\nlines",
                "Id": f"{5_000_000_000 + order.number}",
            }  # fmt: skip
        yield row, (Decimal(0) if gift else line.net) if counts else None


def _woocommerce(order: Order, rng: Random) -> Rows:
    statuses = ("Completed", "Processing", "On hold", "Pending payment", "Cancelled", "Refunded", "Failed")
    status = rng.choices(statuses, (70, 10, 5, 5, 4, 3, 3))[0]
    for place, line in enumerate(order.lines, 1):
        row = {
            "Order Number": f"{order.number}",
            "Order Status": status,
            "Order Date": order.time.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M"),
            "Customer User ID": f"{order.number % 97}",
            "Email (Billing)": order.customer or "",
            "SKU": line.sku,
            "Item #": f"{place}",
            "Item Name": line.name,
            "Quantity": f"{line.quantity}",
            "Item Cost": f"{line.price}",
            "Category": line.category and f"Home > {line.category}",
            "Order Total Amount": f"{sum(line.gross for line in order.lines)}",
        }
        yield row, None if status in ("Cancelled", "Refunded", "Failed") else line.gross


def _amazon(order: Order, rng: Random) -> Rows:
    status = rng.choices(
        ("Shipped", "Shipped - Delivered to Buyer", "Pending", "Unshipped", "Cancelled",
         "Shipped - Returned to Seller"), (60, 15, 10, 5, 5, 5)
    )[0]  # fmt: skip
    cancelled = status in ("Cancelled", "Shipped - Returned to Seller")
    for line in order.lines:
        blank = status == "Cancelled" and rng.random() < 0.8  # cancelled before it had an amount
        row = {
            "amazon-order-id": f"113-{order.number:07}-{order.number * 7919 % 10**7:07}",
            "purchase-date": order.time.astimezone(NEW_YORK).isoformat(),
            "order-status": status,
            "sku": line.sku,
            "asin": f"B00{line.sku[-3:]}",
            "quantity": "0" if blank else f"{line.quantity}",
            "currency": "" if blank and rng.random() < 0.5 else "USD",
            "item-price": "" if blank else f"{line.gross}",
            "item-promotion-discount": "" if blank or not line.percent else f"{line.discount}",
            "buyer-email": order.customer or "",
        }
        yield row, None if cancelled else line.net


def _etsy(order: Order, rng: Random) -> Rows:
    for place, line in enumerate(order.lines):
        price = f"{line.price:,}" if rng.random() < 0.5 else f"{line.price}"
        row = {
            "Sale Date": order.time.strftime("%m/%d/%y"),
            "Item Name": line.name,
            "Buyer": order.customer or "",
            "Quantity": f"{line.quantity}",
            "Price": price,
            "Discount Amount": f"{line.discount}",
            "Item Total": f"{line.net}",
            "Currency": "USD",
            "Transaction ID": f"{28_150_000_000 + order.number * 10 + place}",
            "Listing ID": f"95307{line.sku[-3:]}",
            "Order ID": f"{2_328_000_000 + order.number}",
            "SKU": line.sku if rng.random() < 0.5 else "",
        }
        yield row, line.net


def _square(order: Order, rng: Random) -> Rows:
    def money(amount: Decimal) -> str:
        if amount >= 0:
            return f"${amount:,}"
        return f"-${-amount:,}" if rng.random() < 0.5 else f"(${-amount:,})"

    def row(line: Line, time: datetime, sign: int, transaction: str) -> dict[str, str]:
        local = time.astimezone(NEW_YORK)
        return {
            "Date": f"{local:%Y-%m-%d}",
            "Time": f"{local:%H:%M:%S}",
            "Time Zone": "Eastern Time (US & Canada)",
            "Category": line.category,
            "Item": line.name,
            "Qty": f"{sign * line.quantity}.0",
            "SKU": line.sku if rng.random() < 0.5 else "",
            "Gross Sales": money(sign * line.gross),
            "Discounts": money(-sign * line.discount),
            "Net Sales": money(sign * line.net),
            "Transaction ID": transaction,
            "Event Type": "Payment" if sign > 0 else "Refund",
            "Customer ID": order.customer or "",
        }

    for line in order.lines:
        yield row(line, order.time, 1, f"T{order.number}"), line.net
    if rng.random() < 0.1:  # under the number of the sale, or one of its own
        back, transaction = rng.choice(order.lines), rng.choice((f"T{order.number}", f"R{order.number}"))
        yield row(back, order.time + timedelta(hours=1), -1, transaction), -back.net


def _magento(order: Order, rng: Random) -> Rows:
    statuses = ("complete", "processing", "pending", "holded", "canceled", "closed", "fraud")
    status = rng.choices(statuses, (70, 10, 5, 3, 4, 6, 2))[0]
    counts = status not in ("canceled", "closed", "fraud")
    row = {
        "increment_id": f"{order.number:09}",
        "created_at": order.time.strftime("%Y-%m-%d %H:%M:%S"),
        "status": status,
        "customer_email": order.customer or "",
    }
    for line in order.lines:
        own = {
            "sku": line.sku,
            "name": line.name,
            "qty_ordered": f"{line.quantity}.0000",
            "price": f"{line.price:.4f}",
            "discount_amount": f"{line.discount:.4f}",
            "row_total": f"{line.gross:.4f}",
        }
        yield row | own, line.net if counts else None
        if rng.random() < 0.1:  # a bundle has its price above, and its parts have none
            part = {"sku": f"{line.sku}-part", "price": "0.0000", "discount_amount": "0.0000"}
            yield row | own | part, Decimal(0) if counts else None


def _online_retail(order: Order, rng: Random) -> Rows:
    def row(line: Line, invoice: str, code: str, quantity: int, time: datetime) -> dict[str, str]:
        return {
            "InvoiceNo": invoice,
            "StockCode": code,
            "Description": line.name,
            "Quantity": f"{quantity}",
            "InvoiceDate": time.astimezone(LONDON).strftime("%d/%m/%Y %H:%M").lstrip("0"),
            "UnitPrice": f"{line.price}",
            "CustomerID": order.customer or "",
            "Country": "United Kingdom",
        }

    invoice = f"{536_000 + order.number}"
    for line in order.lines:
        yield row(line, invoice, line.sku, line.quantity, order.time), line.gross
    if rng.random() < 0.1:  # a cancellation, or a discount
        line, code = rng.choice(order.lines), rng.choice(("", "D"))
        later = order.time + timedelta(hours=2)
        yield row(line, f"C{invoice}", code or line.sku, -line.quantity, later), -line.gross


def _superstore(order: Order, _: Random) -> Rows:
    days = (order.time.date() - datetime(1899, 12, 30).date()).days
    for line in order.lines:
        sales = (line.gross * (100 - line.percent) / 100).quantize(Decimal("0.0001"))
        row = {
            "Row ID": f"{order.number}",
            "Order ID": f"CA-{order.time.year}-{order.number:06}",
            "Order Date": f"{days}",
            "Ship Date": f"{days + 3}",
            "Customer ID": order.customer or "walk-in",
            "Product ID": line.sku,
            "Category": line.category,
            "Product Name": line.name,
            "Sales": f"{sales.normalize():f}",
            "Quantity": f"{line.quantity}",
            "Discount": f"{line.percent / 100}",
            "Profit": "-1.5",
        }
        yield row, sales


SHOPS = {
    "amazon": Shop(
        _names("amazon-order-id|merchant-order-id|purchase-date|last-updated-date|order-status|sku|asin|quantity"
               "|currency|item-price|item-tax|item-promotion-discount|buyer-email"),
        _amazon, "USD", "\t",
    ),
    "etsy": Shop(
        _names("Sale Date|Item Name|Buyer|Quantity|Price|Coupon Code|Discount Amount|Order Shipping"
               "|Item Total|Currency|Transaction ID|Listing ID|Ship Country|Order ID|Variations|SKU"),
        _etsy, "USD",
    ),
    "magento": Shop(
        _names("increment_id|created_at|status|customer_email|sku|name|qty_ordered|price|discount_amount"
               "|row_total"),
        _magento,
    ),
    "online-retail": Shop(
        _names("InvoiceNo|StockCode|Description|Quantity|InvoiceDate|UnitPrice|CustomerID|Country"),
        _online_retail, line_end="\r\n",
    ),
    "shopify": Shop(
        _names("Name|Email|Financial Status|Paid at|Fulfillment Status|Currency|Subtotal|Shipping|Taxes|Total"
               "|Discount Code|Discount Amount|Created at|Lineitem quantity|Lineitem name|Lineitem price"
               "|Lineitem compare at price|Lineitem sku|Lineitem requires shipping|Lineitem discount"
               "|Notes|Vendor|Id"),
        _shopify, "USD",
    ),
    "square": Shop(
        _names("Date|Time|Time Zone|Category|Item|Qty|Price Point Name|SKU|Modifiers Applied|Gross Sales"
               "|Discounts|Net Sales|Tax|Transaction ID|Payment ID|Notes|Event Type|Location|Customer ID"),
        _square,
    ),
    "superstore": Shop(
        _names("Row ID|Order ID|Order Date|Ship Date|Ship Mode|Customer ID|Segment|Region|Product ID|Category"
               "|Product Name|Sales|Quantity|Discount|Profit"),
        _superstore,
    ),
    "woocommerce": Shop(
        _names("Order Number|Order Status|Order Date|Customer User ID|Email (Billing)|SKU|Item #|Item Name"
               "|Quantity|Item Cost|Category|Order Total Amount"),
        _woocommerce, quoting=csv.QUOTE_ALL,
    ),
}  # fmt: skip
"""By the name of the known feed."""
