"""The pages beside the report, as text: a table each, with links to what is behind a row."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from minidw.proofs.why import Explanation
from minidw.reports.html import shown
from minidw.reports.rejects import Reject
from minidw.reports.values import counted
from minidw.schema.mart import Mart
from minidw.schema.marts import all_marts
from minidw.transforms.values import keys

Row = Mapping[str, Any]


def navigation() -> str:
    """Links to every page."""
    places = [("report", "/"), *((m.__tablename__, f"/marts/{m.__tablename__}") for m in all_marts())]
    links = " ".join(f'<a href="{place}">{name}</a>' for name, place in [*places, ("rejects", "/rejects")])
    return f'<nav aria-label="Pages">{links}</nav>'


def mart(named: type[Mart], rows: Sequence[Row], number: int, *, more: bool) -> str:
    """Rows of a mart; each leads to what is behind it."""
    place = f"/marts/{named.__tablename__}"

    def behind(row: Row) -> str:
        key = urlencode([("key", str(row[name])) for name in keys(named)])
        what = escape(f"why {', '.join(str(row[name]) for name in keys(named))}")
        return f'<a href="{place}/why?{escape(key)}" aria-label="{what}">why</a>'

    table = _table(named.__tablename__, rows, behind)
    description = escape((named.__doc__ or "").partition("\n")[0])
    return _page(named.__tablename__, f"<p>{description}</p>{table}{_turning(place, number, more)}")


def explanation(found: Explanation) -> str:
    """What a row of a mart comes from, and whether it adds up."""
    title = f"why {found.mart} {', '.join(found.key.values())}"
    if found.row is None:
        return _page(title, "<p>There is no such row.</p>")
    agrees = "✓ The order lines add up to the row." if found.agrees else "✗ The order lines do not add up."
    if found.changes_waiting:
        agrees += " Changes wait for a build."
    parts = [
        f"<p>{agrees}</p>",
        f"<h2>The row</h2>{_table('the row', [found.row])}",
        f"<h2>The sum of {counted(found.order_lines, 'order line')}</h2>"
        f"{_table('the sum', [found.sums] if found.sums else [])}",
    ]
    if found.left_out:
        parts.append(f"<h2>Left out</h2>{_table('left out', found.left_out)}")
    first = f", the first {len(found):,}" if len(found) < found.order_lines else ""
    parts.append(f"<h2>The order lines{first}</h2>{_table('the order lines', found)}")
    return _page(title, "".join(parts))


def rejects(found: Sequence[Reject], number: int, *, more: bool) -> str:
    """Rows that were set aside, as they were delivered."""
    rows = [
        {
            "batch_id": str(one.batch_id),
            "file": one.file,
            "row": one.row if one.row is not None else f"line {one.line}",
            "reasons": ", ".join(one.reasons),
            "what": "; ".join(
                f"{fault.column or 'line'} {fault.value or 'blank'}: {fault.allowed}" for fault in one.faults
            ),
            "delivered": one.text or ", ".join(f"{name}={value}" for name, value in one.delivered.items()),
        }
        for one in found
    ]
    return _page("rejects", _table("rejects", rows) + _turning("/rejects", number, more))


def message(text: str) -> str:
    """A page that says one thing."""
    return _page("minidw", f"<p>{escape(text)}</p>")


def _page(title: str, body: str) -> str:
    style = (files("minidw.reports") / "page" / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body><header>{navigation()}<h1>{escape(title)}</h1></header>"
        f"<main>{body}</main></body></html>"
    )


def _table(title: str, rows: Sequence[Row], link: Any = None) -> str:
    if not rows:
        return "<p>Nothing here.</p>"
    names = list(rows[0])
    head = "".join(
        f'<th scope="col"{_side(rows[0][name])}>{escape(name.replace("_", " "))}</th>' for name in names
    )
    lines = []
    for row in rows:
        cells = "".join(f"<td{_side(row[name])}>{escape(shown(row[name]))}</td>" for name in names)
        lines.append(f"<tr>{f'<td>{link(row)}</td>' if link else ''}{cells}</tr>")
    first = '<th scope="col">why</th>' if link else ""
    return (
        f'<div class="scroll whole" role="region" tabindex="0" aria-label="Table: {escape(title)}"><table>'
        f"<thead><tr>{first}{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _side(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | Decimal) else ""


def _turning(place: str, number: int, more: bool) -> str:
    """Links to the pages before and after."""
    links = [f'<a href="{quote(place)}?page={number - 1}">before</a>'] if number > 1 else []
    links += [f'<a href="{quote(place)}?page={number + 1}">next</a>'] if more else []
    return f'<nav aria-label="Turn the page"><span>page {number}</span> {" ".join(links)}</nav>'
