"""The figures drawn: rows → Vega-Lite specifications, which are data and need no library to write."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from minidw.reports.data import Rows
from minidw.reports.figures import month_name
from minidw.schema.vocabulary import FATES

Spec = dict[str, Any]

# Each at least 3:1 against the light page and the dark one, and told apart by colour-blind people.
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#3b82c4", "#c9730a", "#2e9e6b", "#9b6bd1", "#d1495b", "#7a828e"
FATE_COLOURS = dict(zip(FATES, (GREEN, BLUE, GREY, PURPLE, RED), strict=True))
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": GREY,
        "tickColor": GREY,
        "gridColor": GREY,
        "gridOpacity": 0.25,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
    },
}
MONEY, WHOLE, PERCENT = ",.2f", ",d", ".1f"


def revenue_per_day(days: Rows) -> Spec:
    """The revenue of each day, the mean of seven days, and the same weekday a year before."""
    series = {"revenue": "day", "mean_7_days": "mean of 7 days", "year_before": "a year before"}
    x = {"field": "order_date", "type": "temporal", "title": None, "scale": {"type": "utc"}}
    tooltip = [
        _tip("order_date_text", "day"),
        _tip("revenue", "revenue", MONEY),
        _tip("mean_7_days", "mean of 7 days", MONEY),
        _tip("year_before", "a year before", MONEY),
        _tip("order_lines", "order lines", WHOLE),
    ]
    colours = {"domain": list(series.values()), "range": [BLUE, ORANGE, GREY]}

    def line(field: str, **mark: Any) -> Spec:
        return {
            "mark": {"type": "line", "strokeWidth": 2, **mark},
            "encoding": {
                "x": x,
                "y": {"field": field, "type": "quantitative", "title": "revenue"},
                "color": {"datum": series[field], "scale": colours},
                "tooltip": tooltip,
            },
        }

    return _chart(
        [row | {"order_date_text": row["order_date"].isoformat()} for row in days],
        layer=[
            line("year_before", strokeWidth=1, strokeDash=[4, 3]),
            line("revenue", strokeWidth=1, opacity=0.75),
            line("mean_7_days"),
            {
                # A wide invisible mark per day, so that the pointer need not hit a line of one pixel.
                "mark": {"type": "rule", "opacity": 0, "strokeWidth": 6},
                "encoding": {"x": x, "tooltip": tooltip},
            },
        ],
        height=280,
    )


def customers_per_month(months: Rows) -> Spec:
    """New and returning customers per month."""
    rows = [
        {"month": month_name(row["month"]), "kind": kind, "customers": row[f"{kind}_customers"]}
        for row in months
        for kind in ("new", "returning")
    ]
    return _stacked(rows, "month", "kind", "customers", {"new": ORANGE, "returning": BLUE})


def average_order(months: Rows) -> Spec:
    """The average value of an order per month."""
    return _chart(
        [row | {"month": month_name(row["month"])} for row in months],
        mark={"type": "line", "point": True, "color": GREEN},
        encoding={
            "x": _discrete("month"),
            "y": {
                "field": "average_order",
                "type": "quantitative",
                "title": "average order",
                "scale": {"zero": False},
            },
            "tooltip": [
                _tip("month", "month"),
                _tip("average_order", "average order", MONEY),
                _tip("orders", "orders", WHOLE),
                _tip("revenue", "revenue", MONEY),
            ],
        },
    )


def cohorts(rows: Rows) -> Spec:
    """The share of each cohort's customers that ordered in each month since, and their revenue."""
    drawn = [row | {"cohort": month_name(row["cohort"])} for row in rows]
    return _heat_map(
        drawn,
        x={"field": "months_since", "type": "ordinal", "title": "months since the first order"},
        y={"field": "cohort", "type": "ordinal", "title": "first order"},
        colour={"field": "retention", "type": "quantitative", "title": "% of the cohort"},
        tooltip=[
            _tip("cohort", "first order in"),
            _tip("months_since", "months since"),
            _tip("retention", "% of customers", PERCENT),
            _tip("customers", "customers", WHOLE),
            _tip("revenue", "revenue", MONEY),
        ],
    )


def segment_shares(segments: Rows) -> Spec:
    """Each segment's share of the customers and of the revenue."""
    rows = [
        {"segment": row["segment"], "of": label, "share": row[f"{column}_share"]}
        for row in segments
        for column, label in (("customers", "of customers"), ("lifetime_value", "of revenue"))
    ]
    return _chart(
        rows,
        mark="bar",
        encoding={
            "y": {
                "field": "segment",
                "type": "nominal",
                "title": None,
                "sort": [row["segment"] for row in segments],
            },
            "yOffset": {"field": "of", "sort": ["of customers", "of revenue"]},
            "x": {"field": "share", "type": "quantitative", "title": "%"},
            "color": _colours("of", {"of customers": ORANGE, "of revenue": BLUE}),
            "tooltip": [_tip("segment", "segment"), _tip("share", "%", PERCENT), _tip("of", "of")],
        },
        height=44 * len(segments),
    )


def ranking(rows: Rows, names: Sequence[str], amount: str, title: str) -> Spec:
    """A bar per row in the order of the rows, named by one column or more."""
    drawn = [
        {"name": " · ".join(str(row[name]) for name in names), "amount": row[amount], "place": place}
        for place, row in enumerate(rows)
    ]
    return _chart(
        drawn,
        mark={"type": "bar", "color": BLUE},
        encoding={
            "y": {
                "field": "name",
                "type": "nominal",
                "title": None,
                "sort": {"field": "place"},
                "axis": {"labelLimit": 140},
            },
            "x": {"field": "amount", "type": "quantitative", "title": title},
            "tooltip": [_tip("name", "of"), _tip("amount", title, MONEY)],
        },
        height=22 * len(rows),
    )


def weekday_and_hour(hours: Rows) -> Spec:
    """Revenue per weekday and hour."""
    return _heat_map(
        [row | {"weekday": WEEKDAYS[row["weekday"] - 1]} for row in hours],
        x={"field": "hour", "type": "ordinal", "title": "hour"},
        y={"field": "weekday", "type": "ordinal", "title": None, "sort": list(WEEKDAYS)},
        colour={"field": "revenue", "type": "quantitative", "title": "revenue"},
        tooltip=[
            _tip("weekday", "weekday"),
            _tip("hour", "hour"),
            _tip("revenue", "revenue", MONEY),
            _tip("order_lines", "order lines", WHOLE),
        ],
    )


def batches_by_fate(batches: Rows) -> Spec:
    """What became of the rows of each batch."""
    rows = [
        {"batch": row["batch_id"], "fate": fate, "rows": row[fate], "file": row["file_name"]}
        for row in batches
        for fate in FATES
    ]
    return _stacked(rows, "batch", "fate", "rows", FATE_COLOURS, _tip("file", "file"))


def rejects_by_reason(rejects: Rows) -> Spec:
    """Rejected rows per day of the load and reason."""
    rows = [row | {"load_date": row["load_date"].isoformat()} for row in rejects]
    return _stacked(rows, "load_date", "reason", "rows", None)


def plain(value: Any) -> Any:
    """A value as JSON has it, for drawing alone: the tables have the exact one."""
    match value:
        case Decimal():
            return float(value)
        case date() | datetime():
            return value.isoformat()
        case _:
            return value


def _chart(rows: Rows, *, height: int = 240, **spec: Any) -> Spec:
    data = [{name: plain(value) for name, value in row.items()} for row in rows]
    return {"config": CONFIG, "width": "container", "height": height, "data": {"values": data}, **spec}


def _stacked(rows: Rows, x: str, kind: str, amount: str, colours: dict[str, str] | None, *tips: Spec) -> Spec:
    return _chart(
        rows,
        mark="bar",
        encoding={
            "x": _discrete(x),
            "y": {"field": amount, "type": "quantitative", "title": amount},
            "color": _colours(kind, colours),
            "tooltip": [_tip(x, x), *tips, _tip(kind, kind), _tip(amount, amount, WHOLE)],
        },
    )


def _heat_map(rows: Rows, *, x: Spec, y: Spec, colour: Spec, tooltip: list[Spec]) -> Spec:
    scale = {"scheme": "blues"}
    encoding = {"x": x, "y": y, "color": {**colour, "scale": scale}, "tooltip": tooltip}
    return _chart(rows, mark="rect", encoding=encoding, height=20 * len({row[y["field"]] for row in rows}))


def _discrete(field: str) -> Spec:
    return {
        "field": field,
        "type": "ordinal",
        "title": None,
        "axis": {"labelOverlap": True, "labelAngle": 0},
    }


def _colours(field: str, colours: dict[str, str] | None) -> Spec:
    if colours is None:
        return {"field": field, "type": "nominal", "scale": {"scheme": "tableau10"}}
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(colours), "range": list(colours.values())},
    }


def _tip(field: str, title: str, format: str | None = None) -> Spec:
    if format is None:
        return {"field": field, "title": title, "type": "nominal"}
    return {"field": field, "title": title, "type": "quantitative", "format": format}
