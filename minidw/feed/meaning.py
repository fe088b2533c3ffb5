"""What the rows of a file mean, by their values; where these leave more than one answer, that is said.

``texts`` are the values of our columns by name, one text per row, trimmed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from minidw.feed.evidence import Finding, rows
from minidw.feed.feed import Mark
from minidw.feed.reading import read_number

Texts = Mapping[str, Sequence[str]]
FILLABLE = ("order_timestamp", "customer_id", "status", "currency")
_A_CENT = Decimal("0.01")


def fill_down(texts: Texts) -> Finding:
    """Columns that are blank only below a row of the same order that is not."""
    first: dict[str, int] = {}
    for row, order in enumerate(texts.get("order_id", ())):
        first.setdefault(order, row)
    found = []
    for name in FILLABLE:
        blank = [row for row, text in enumerate(texts.get(name, ())) if not text]
        if first and blank and all(texts[name][first[texts["order_id"][row]]] for row in blank):
            found.append(name)
    if not found:
        return Finding("values.fill_down", None, "no value is left out that the first row of its order has")
    return Finding("values.fill_down", found, "blank only where the first row of the order has the value")


def filled(texts: Texts, names: Iterable[str]) -> Texts:
    """The values, blanks filled by the first row of the order."""
    result = dict(texts)
    for name in names:
        first: dict[str, str] = {}
        for order, text in zip(texts["order_id"], texts[name], strict=True):
            first.setdefault(order, text)
        pairs = zip(texts["order_id"], texts[name], strict=True)
        result[name] = [text or first[order] for order, text in pairs]
    return result


def lines(texts: Texts) -> Finding:
    """Whether a row is an order, or one of its lines."""
    key = "values.lines"
    if "order_id" not in texts:
        return Finding.open(key, "single, given or number? Which column is the order is open")
    orders = texts["order_id"]
    by_order: dict[str, list[int]] = defaultdict(list)
    for row, order in enumerate(orders):
        by_order[order].append(row)
    repeated = {order: own for order, own in by_order.items() if len(own) > 1}
    if any(texts.get("line_number", ())):
        counts = Counter(zip(orders, texts["line_number"], strict=True))
        twice = next((pair for pair, times in counts.items() if times > 1), None)
        if twice is None:
            return Finding(key, "given", "each order has each line number once")
        return Finding.open(
            key, f"order {twice[0]!r} has line {twice[1]!r} twice: given (the later row counts) or number?"
        )
    if not repeated:
        return Finding(key, None, "each order has one row")
    sold = texts.get("product_id")
    same = next(
        (order for order, own in repeated.items() if not sold or len({sold[row] for row in own}) < len(own)),
        None,
    )
    if same is None:
        return Finding(key, "number", f"{len(repeated)} orders have several rows, each of another product")
    return Finding.open(
        key,
        f"order {same!r} has several rows, and a product twice: are they its lines, all of which count"
        " (number), or does the last row of an order replace those before (single)?",
    )


def price_is(texts: Texts, others: Texts, mark: Mark | None, *, contract: bool) -> Finding:
    """Whether the price is of one unit or of the line; ``others``: columns that none of ours is made of."""
    key = "values.price_is"
    if contract:
        return Finding(key, None, "the price is of one unit, by the contract")
    if "price" not in texts or "quantity" not in texts:
        return Finding.open(key, "of one unit, or of the line? Which columns price and quantity are is open")
    pairs = zip(_numbers(texts["price"], mark), _numbers(texts["quantity"], mark), strict=True)
    several = {row: (p, q) for row, (p, q) in enumerate(pairs) if p and q and abs(q) > 1}
    if not several:
        return Finding(key, None, "no row has a quantity above 1, so it makes no difference here")
    where = f"wherever there are several units, in {rows(len(several))}"
    for name, values in others.items():
        other = _numbers([values[row] for row in several], mark)
        found = list(zip(several.values(), other, strict=True))
        if all(n is not None and abs(p * q - n) <= _A_CENT for (p, q), n in found):
            return Finding(key, None, f"price × quantity is {name!r}, {where}")
        if all(n is not None and abs(n * q - p) <= _A_CENT for (p, q), n in found):
            return Finding(key, "line", f"{name!r} × quantity is the price, {where}")
    return Finding.open(key, "is the price that of one unit, or the amount of the line? No column tells")


def returns(texts: Texts, mark: Mark | None) -> Finding:
    """Whether anything is below zero."""
    key = "values.returns"
    for name in ("quantity", "price"):
        pairs = zip(texts.get(name, ()), _numbers(texts.get(name, ()), mark), strict=True)
        below = [text for text, number in pairs if number is not None and number < 0]
        if below:
            why = f"a {name} below zero in {rows(len(below))}, such as {below[0]!r}: is that a return, which"
            return Finding.open(key, f"{why} subtracts from revenue (subtract), or to be set aside (reject)?")
    return Finding(key, None, "nothing is below zero")


def free(texts: Texts, mark: Mark | None) -> Finding:
    """Whether anything has a price of 0."""
    gifts = sum(number == 0 for number in _numbers(texts.get("price", ()), mark))
    if not gifts:
        return Finding("values.free", None, "no price is 0")
    return Finding.open(
        "values.free", f"a price of 0 in {rows(gifts)}: is that a gift (true), or to be set aside (false)?"
    )


def _numbers(values: Iterable[str], mark: Mark | None) -> list[Decimal | None]:
    values = list(values)
    read = {text: read_number(text, mark) for text in set(values)}
    return [read[text] for text in values]


def discount(texts: Texts, mark: Mark | None) -> Finding | None:
    """It may be an amount of the line or of the order, or a share: None where there is none anywhere."""
    numbers = zip(texts.get("discount", ()), _numbers(texts.get("discount", ()), mark), strict=True)
    some = next((text for text, number in numbers if text and number != 0), None)
    if some is None:
        return None
    why = f"is it an amount off the line, such as {some!r}? Then name it; else take this out"
    return Finding.open("columns.discount", why)
