"""The report as one page: charts, the table behind each of them, in one file that needs no network."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from minidw.database.engine import Bind
from minidw.database.transaction import reading
from minidw.errors import SettingsError, printable
from minidw.reports import charts
from minidw.reports.data import Rows
from minidw.reports.figures import Figures, month_name, read_figures
from minidw.reports.values import money
from minidw.settings import Settings
from minidw.steps.rules import rules_in_force


@dataclass(frozen=True)
class Section:
    """A chart, what it shows in a sentence, and the rows behind it."""

    title: str
    sentence: str
    rows: Rows
    chart: charts.Spec


def write_report(
    path: str | Path = "report.html", bind: Bind = None, *, settings: Settings | None = None
) -> Path:
    """Write the report of the warehouse as one HTML file.

    The file holds everything it needs: it works without a network, prints, and has the numbers of each chart
    in a table. All of it is read in one snapshot.

    Args:
        path: the file, replaced where it exists; ``report.html`` in the working directory by default
        bind: where to read; nothing: what the settings say
        settings: those of the environment by default

    Returns:
        The path.

    Raises:
        SettingsError: the file cannot be written, the library that draws is not installed, or the settings
            say otherwise than the rules of the warehouse
        DatabaseError: the warehouse cannot be read

    Example:
        >>> minidw.write_report("may.html").read_text()[:15]
        '<!doctype html>'
    """
    target = Path(path)
    settings = settings or Settings.from_env()
    with ThreadPoolExecutor(1) as beside:
        # A second's work of one core, while the server reads.
        program = beside.submit(drawing_program())
        with reading(bind, settings, snapshot=True) as conn:
            figures = read_figures(conn, rules_in_force(conn, settings).rules)
        page = render(figures, program.result(), datetime.now(UTC))
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise SettingsError(f"cannot write {printable(str(target))}: {error.strerror}") from error
    return target


def render(figures: Figures, program: str, now: datetime, navigation: str = "") -> str:
    """The page as text. ``program`` draws the charts in the browser; ``navigation`` leads to other pages."""
    sections = _sections(figures)
    specs = {f"chart-{number}": section.chart for number, section in enumerate(sections) if section.rows}
    body = "\n".join(_section(number, section) for number, section in enumerate(sections))
    resources = files("minidw.reports") / "page"
    return (
        resources.joinpath("report.html")
        .read_text(encoding="utf-8")
        .replace("{{style}}", resources.joinpath("report.css").read_text(encoding="utf-8"))
        .replace("{{navigation}}", navigation)
        .replace("{{summary}}", _summary(figures, now))
        .replace("{{cards}}", _cards(figures))
        .replace("{{sections}}", body)
        .replace("{{state}}", _state(figures))
        .replace("{{specs}}", _script_json(specs))
        .replace("{{draw}}", resources.joinpath("report.js").read_text(encoding="utf-8"))
        .replace("{{program}}", program.replace("</script", "<\\/script"))
    )


def shown(value: Any) -> str:
    """A value as a person reads it: exact, with two decimals where no more are used."""
    match value:
        case None:
            return "–"
        case Decimal():
            return money(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case date():
            return value.isoformat()
        case int():
            return f"{value:,}"
        case _:
            return printable(str(value))


def _sections(figures: Figures) -> list[Section]:
    months = [row | {"month": month_name(row["month"])} for row in figures.months]
    cohorts = [row | {"cohort": month_name(row["cohort"])} for row in figures.cohorts]
    hours = [row | {"weekday": charts.WEEKDAYS[row["weekday"] - 1]} for row in figures.hours]
    return [
        Section(
            "Revenue per day",
            "Each day of the last five years, the mean of it and the six days before, and the same weekday"
            " 364 days earlier.",
            figures.days,
            charts.revenue_per_day(figures.days),
        ),
        Section(
            "Average order",
            "Revenue of the month by the number of its orders.",
            months,
            charts.average_order(figures.months),
        ),
        Section(
            "New and returning customers",
            "A customer is new in the month of the first order, and returning in every later one.",
            [{k: row[k] for k in ("month", "new_customers", "returning_customers")} for row in months],
            charts.customers_per_month(figures.months),
        ),
        Section(
            "Cohorts",
            "Of the customers whose first order fell into a month, how many ordered again, and for how much.",
            cohorts,
            charts.cohorts(figures.cohorts),
        ),
        Section(
            "Segments",
            "The share of each segment of the customers and of their lifetime value.",
            figures.segments,
            charts.segment_shares(figures.segments),
        ),
        Section(
            "Top products",
            "The products of the highest revenue.",
            figures.products,
            charts.ranking(figures.products, ("product_id", "category"), "total_revenue", "revenue"),
        ),
        Section(
            "Top customers",
            "The customers of the highest lifetime value.",
            figures.customers,
            charts.ranking(figures.customers, ("customer_id",), "lifetime_value", "lifetime value"),
        ),
        Section(
            "Revenue by category",
            "All of the history.",
            figures.categories,
            charts.ranking(figures.categories, ("category",), "revenue", "revenue"),
        ),
        Section(
            "Weekday and hour",
            "Revenue by the time of the order, UTC.",
            hours,
            charts.weekday_and_hour(figures.hours),
        ),
        Section(
            "Batches",
            "What became of the rows of the last files.",
            figures.batches,
            charts.batches_by_fate(figures.batches),
        ),
        Section(
            "Rejected rows",
            "By the day of the load and the reason; a row with two reasons is counted under both.",
            figures.rejects,
            charts.rejects_by_reason(figures.rejects),
        ),
    ]


def _section(number: int, section: Section) -> str:
    title, sentence = escape(section.title), escape(section.sentence)
    head = f'<section aria-labelledby="title-{number}"><h2 id="title-{number}">{title}</h2><p>{sentence}</p>'
    if not section.rows:
        return f"{head}<p>Nothing yet.</p></section>"
    return (
        f'{head}<div class="chart" id="chart-{number}" role="img" aria-label="{title}: {sentence}'
        f' The table below has the numbers."></div>'
        f"<details><summary>Table: {title}</summary>{_table(section.title, section.rows)}</details></section>"
    )


def _table(title: str, rows: Rows) -> str:
    names = list(rows[0])
    numeric = {name for name in names if isinstance(_first(rows, name), int | Decimal)}
    head = "".join(
        f'<th scope="col"{_right(name in numeric)}>{escape(name.replace("_", " "))}</th>' for name in names
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{_right(name in numeric)}>{escape(shown(row[name]))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _first(rows: Rows, name: str) -> Any:
    return next((row[name] for row in rows if row[name] is not None), None)


def _right(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _summary(figures: Figures, now: datetime) -> str:
    if figures.as_of is None:
        return "The warehouse is empty: load a file with <code>minidw run FILE</code>."
    return (
        f"Orders up to {shown(figures.as_of)} UTC, last file loaded {shown(figures.newest_batch)} UTC,"
        f" marts built {shown(figures.newest_build)} UTC. Written {shown(now)} UTC."
    )


def _cards(figures: Figures) -> str:
    cards = [
        (f"Revenue, {period['period']}", shown(period["revenue"]), _growth(period))
        for period in figures.periods
    ]
    if figures.months:
        last = figures.months[-1]
        month = month_name(last["month"])
        cards.append((f"Average order, {month}", shown(last["average_order"]), f"{last['orders']:,} orders"))
        customers = sum(row["customers"] for row in figures.segments)
        cards.append(("Customers", shown(customers), f"{last['new_customers']:,} new in {month}"))
    return "".join(
        f'<div class="card"><p class="label">{escape(label)}</p><p class="value">{escape(value)}</p>'
        f'<p class="note">{escape(note)}</p></div>'
        for label, value, note in cards
    )


def _growth(period: dict[str, Any]) -> str:
    if period["growth"] is None:
        return "nothing to compare with"
    direction = "up" if period["growth"] > 0 else "down" if period["growth"] < 0 else "unchanged"
    return f"{direction} {abs(period['growth'])} % on {shown(period['before'])}"


def _state(figures: Figures) -> str:
    checks = [
        {
            "check": row["name"],
            "severity": row["severity"],
            "result": "passed" if not row["offending"] else f"{row['offending']:,} offending",
        }
        for row in figures.checks
    ]
    if not checks:
        return "<p>No checks have run yet.</p>"
    return _table("Checks of the last run", checks)


def _script_json(data: Any) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def drawing_program() -> Callable[[], str]:
    """What puts together the JavaScript of Vega, which draws the charts in the browser."""
    try:
        import vl_convert
    except ImportError:
        raise SettingsError(
            "drawing the report needs Vega: pip install 'minidw[html]' (or minidw report without --html)"
        ) from None
    return lambda: str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub asks for more
