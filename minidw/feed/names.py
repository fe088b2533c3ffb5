"""Which column of an export is which of ours, by its name."""

import re
from collections.abc import Iterable, Sequence

from minidw.errors import printable
from minidw.feed.evidence import Finding
from minidw.schema.vocabulary import CONTRACT_COLUMNS

# What exports call our columns, letters and digits alone: the names of a line are as good as each other, and
# better than those of the lines below.
CALLED: dict[str, tuple[str, ...]] = {
    "order_id": (
        "orderid ordernumber orderno ordernr order orderref bestellnummer bestellnr auftragsnummer",
        "invoiceno invoicenumber invoiceid invoice transactionid receiptid receiptnumber saleid"
        " rechnungsnummer",
    ),
    "order_timestamp": (
        "ordertimestamp orderdatetime orderdate orderedat ordercreatedat purchasedate purchasetimestamp"
        " ordertime saledate invoicedate transactiondate bestelldatum",
        "createdat datetime date timestamp created datum",
    ),
    "customer_id": (
        "customerid customernumber customerno customer clientid buyerid userid memberid kundennummer kunde",
        "email customeremail buyeremail billingemail emailbilling buyer username customername",
    ),
    "product_id": (
        "productid productcode sku itemsku productsku itemid articleid articlenumber stockcode artikelnummer",
        "product item productname itemname artikel",
    ),
    "category": ("category productcategory itemcategory categoryname producttype kategorie",),
    "price": (
        "price unitprice itemprice productprice itemcost unitcost priceperunit einzelpreis preis",
        "amount lineamount linetotal itemtotal total subtotal sales netsales revenue betrag gesamtpreis"
        " summe",
    ),
    "quantity": ("quantity qty orderquantity quantityordered qtyordered units count menge anzahl",),
    "status": ("status orderstatus state orderstate financialstatus paymentstatus",),
    "line_number": ("linenumber lineno linenr line itemnumber position pos",),
    "currency": ("currency currencycode ordercurrency waehrung währung",),
    "discount": ("discount discountamount linediscount itemdiscount rabatt",),
}


def column_of(ours: str, header: Sequence[str]) -> Finding | None:
    """Which column one of ours is; None where the header has none that could be."""
    key = f"columns.{ours}"
    plain = {name: _plain(name) for name in header if name}
    exact = [name for name in plain if _spelled(name) == ours]
    if len(exact) == 1:
        return Finding(key, exact[0], "by the name of the contract")
    for called in CALLED[ours]:
        found = [name for name, letters in plain.items() if letters in called.split()]
        if len(found) == 1:
            return Finding(key, found[0], "by its name alone")
        if found:
            return Finding.open(key, f"which one: {' or '.join(map(_quoted, found))}?")
    return None


def unmatched(ours: str, unused: Iterable[str]) -> Finding:
    """What to say of one of our columns that nothing in the header is called."""
    key = f"columns.{ours}"
    if ours == "category":
        return Finding(key, {"value": ""}, "no column of such a name: every line is of category unknown")
    constants = {"status": "delivered", "customer_id": "guest", "quantity": "1"}
    left = ", ".join(_quoted(name) for name in list(unused)[:12])
    otherwise = (
        f'; or, where the export has none, {{ value = "{constants[ours]}" }}' if ours in constants else ""
    )
    return Finding.open(key, f"which column? Left are {left or 'none'}{otherwise}")


def is_contract(header: Sequence[str], required: Iterable[str]) -> bool:
    """Whether a header has every column of the contract by its name."""
    return set(required) <= {_spelled(name) for name in header}


def _spelled(name: str) -> str:
    return name.strip().lower()


def _plain(name: str) -> str:
    return re.sub(r"[^\w]|_", "", name.lower())


def _quoted(name: str) -> str:
    return f'"{printable(name)}"'


assert set(CALLED) == set(CONTRACT_COLUMNS)
