"""What a file is, and the feed that would read it: what its evidence settles, and what it leaves open."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minidw.errors import printable
from minidw.feed import evidence, meaning, names, writing
from minidw.feed.column import Column, fold
from minidw.feed.declaration import from_dict, to_dict
from minidw.feed.evidence import Finding
from minidw.feed.feed import Feed
from minidw.feed.given import Input
from minidw.feed.known import known_feed, known_names, known_text, recognised
from minidw.feed.sample import Sample, look_at
from minidw.schema.vocabulary import CONTRACT_COLUMNS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS, STATUSES

MOST_STATUSES = 40


@dataclass(frozen=True)
class Inspection:
    """What a file is, and the feed that would read it.

    file: its name
    encoding, delimiter, line_end: of the file, as far as it can be told; findings say where it cannot
    header: its columns
    rows: how many it has after the header
    looked_at: of how many of them every value was looked at
    fault: the first fault of its structure, for which a load would refuse it
    known: the known feed that recognises its header
    statuses: the statuses met, and how many rows have each
    findings: by key, such as ``values.dates``: what to declare, why, and what is open
    toml: the feed, with what is open as questions: each is to be answered before the feed is read

    Example:
        >>> found = minidw.inspect("orders.csv")
        >>> found.known, found.rows, found.statuses["pending"]
        (None, 5, 2)
        >>> [finding.key for finding in found.questions]
        ['values.decimal']
    """

    file: str
    encoding: str
    delimiter: str
    line_end: str
    header: tuple[str, ...]
    rows: int
    looked_at: int
    fault: str | None
    known: str | None
    statuses: dict[str, int]
    findings: dict[str, Finding]
    toml: str

    @property
    def questions(self) -> list[Finding]:
        """What the file leaves open."""
        return [finding for finding in self.findings.values() if finding.is_question]

    def as_dict(self) -> dict[str, Any]:
        """The inspection as plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "findings"}
        return plain | {
            "header": list(self.header),
            "findings": [vars(finding) for finding in self.findings.values()],
            "questions": [finding.key for finding in self.questions],
        }


def inspect(source: Input, feed: Feed | None = None) -> Inspection:
    """Look at a file: what it is, and which feed would read it. No database is needed, and nothing is loaded.

    What the evidence of the values settles is in the findings with its reason; what it does not settle is a
    question there, and in the TOML, which cannot be used before it is answered.

    Args:
        source: what ``run`` loads: the path of a CSV file, packed or not, ``-``, a URL, bytes, rows, a frame
        feed: what is known of it already; beside that, of an export that is recognised its feed

    Returns:
        What was found, settled and open; with no open question its TOML is a feed.

    Raises:
        BadFileError: the file cannot be read or is no table

    Example:
        >>> print(minidw.inspect("orders.csv").findings["values.decimal"].why)
        no way reads all of them: ...'40,00' is read by , only
        >>> minidw.inspect("orders.csv", minidw.Feed(decimal=",")).questions[0].key
        'values.decimal'
    """
    feed = feed or Feed()
    sample = look_at(source, feed)
    known = None if feed.name else recognised(sample.header)
    base = _beside(known, feed) if known else feed
    findings = [*_of_file(sample, base), *_of_columns(sample, base)]
    columns = dict(base.columns) | {
        finding.key.removeprefix("columns."): Column.of(finding.value)
        for finding in findings
        if finding.key.startswith("columns.") and finding.value is not None
    }
    texts = {ours: _texts(column, sample) for ours, column in columns.items()}
    findings += _of_values(texts, sample, base, columns)
    by_key = {finding.key: finding for finding in findings}
    return Inspection(
        file=sample.name,
        encoding=sample.encoding,
        delimiter="tab" if sample.delimiter == "\t" else sample.delimiter,
        line_end=sample.line_end,
        header=sample.header,
        rows=sample.count,
        looked_at=len(sample.rows),
        fault=None if sample.fault is None else str(sample.fault),
        known=known.name if known else None,
        statuses=dict(Counter(filter(None, texts.get("status", ()))).most_common(MOST_STATUSES)),
        findings=by_key,
        toml=writing.toml(sample.name, base, by_key),
    )


def _beside(known: Feed, said: Feed) -> Feed:
    """A known feed, and what is said beside it, which goes first."""
    tables = to_dict(known)
    for key, inner in to_dict(said).items():
        tables[key] = {**tables.get(key, {}), **inner} if isinstance(inner, dict) else inner
    return from_dict(tables)


def _of_file(sample: Sample, base: Feed) -> list[Finding]:
    """What a file is, where a feed has to say it."""
    found = []
    if sample.foreign is not None:
        why = f"it is not UTF-8; {sample.encoding} reads {printable(sample.foreign)!r}: is that right?"
        found.append(Finding.open("file.encoding", why))
    elif sample.encoding != base.encoding:
        found.append(Finding("file.encoding", sample.encoding, "by its first bytes"))
    if sample.delimiter != base.delimiter and not sample.says_sep:
        delimiter = "tab" if sample.delimiter == "\t" else sample.delimiter
        found.append(Finding("file.delimiter", delimiter, "it parts the lines most evenly"))
    if sample.skip_lines != base.skip_lines:
        why = f"the table begins with line {sample.skip_lines + 1}: those before have other columns"
        found.append(Finding("file.skip_lines", sample.skip_lines, why))
    return found


def _of_columns(sample: Sample, base: Feed) -> list[Finding]:
    """Which column is which by their names, where no feed says it."""
    there = set(sample.names)
    found: dict[str, Finding | None] = {}
    for ours in CONTRACT_COLUMNS:
        column = base.columns.get(ours)
        if column is None:
            found[ours] = None if base.name else names.column_of(ours, sample.header)
    declared = {fold(name) for column in base.columns.values() for name in column.names}
    used = {fold(finding.value) for finding in found.values() if finding and finding.value} | declared
    unused = [name for name in sample.header if name and fold(name) not in used]
    for ours in REQUIRED_COLUMNS:
        column = base.columns.get(ours)
        if (column is None and not found[ours]) or (column is not None and not _is_fed(ours, column, there)):
            found[ours] = names.unmatched(ours, unused)
    return [finding for finding in found.values() if finding]


def _is_fed(ours: str, column: Column, there: set[str]) -> bool:
    by_name = bool(there & set(map(fold, column.names)))
    return by_name or (column.constant is not None and (not column.names or ours in OPTIONAL_COLUMNS))


def _texts(column: Column, sample: Sample) -> list[str]:
    folded = Column(tuple(map(fold, column.names)), column.constant, column.join)
    return [folded.text(row) for row in sample.rows]


def _of_values(
    texts: Mapping[str, Sequence[str]], sample: Sample, base: Feed, columns: Mapping[str, Column]
) -> list[Finding]:
    """How the values are to be read, where no feed says it."""
    declared = {**to_dict(base).get("values", {}), **_said_by_known(base)}
    contract = not base.columns and names.is_contract(sample.header, REQUIRED_COLUMNS)
    fill = meaning.fill_down(texts)
    texts = meaning.filled(texts, declared.get("fill_down", fill.value) or ())
    times = texts.get("order_timestamp")
    numbers = [text for name in ("price", "quantity", "discount") for text in texts.get(name, ())]
    dates = evidence.dates(times, declared.get("dates"))
    decimal = evidence.decimal(numbers if "price" in texts else None, declared.get("decimal"))
    way = dates.value or declared.get("dates", None if dates.is_question else "iso")
    mark = decimal.value or declared.get("decimal", "." if decimal.is_question else None)
    found = [
        evidence.time_zone(times or (), way, contract=contract),
        fill,
        meaning.lines(texts),
        meaning.price_is(texts, _others(sample, columns), mark, contract=contract),
        meaning.returns(texts, mark),
        meaning.free(texts, mark),
    ]
    ours = {"price_is"} if base.name else set()  # which a feed means, where it does not say it
    undeclared = [f for f in found if f.key.removeprefix("values.") not in declared.keys() | ours]
    discount = None if "discount" in base.columns else meaning.discount(texts, mark)
    further = [discount] if discount else []
    if "currency" in texts:
        further.append(_with_value(evidence.currency(texts["currency"]), columns["currency"]))
    return [dates, decimal, *undeclared, *further, *_of_statuses(texts, base)]


def _with_value(finding: Finding, column: Column) -> Finding:
    return replace(finding, value=column.declared())


def _said_by_known(base: Feed) -> dict[str, Any]:
    """What a known feed declares of values, where it is the default too: then it is no question."""
    if base.name not in known_names():
        return {}
    declared: dict[str, Any] = tomllib.loads(known_text(base.name)).get("values", {})
    return declared


def _others(sample: Sample, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    """The values of the columns that none of ours is made of."""
    used = {fold(name) for column in columns.values() for name in column.names}
    left = [name for name in sample.names if name and name not in used]
    return {name: [row[name].strip() for row in sample.rows] for name in left}


def _of_statuses(texts: Mapping[str, Sequence[str]], base: Feed) -> list[Finding]:
    """Each status that nothing says the meaning of."""
    ours = {*STATUSES, "canceled"}
    theirs = {fold(text) for text in base.status}
    counts = Counter(text for text in texts.get("status", ()) if fold(text) not in ours | theirs)
    counts = Counter({text: rows for text, rows in counts.items() if text})
    if len(counts) > MOST_STATUSES:
        return [
            Finding.open("columns.status", f"is this the status? It has {len(counts)} values that are none")
        ]
    one_of_ours = f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}"
    folded: dict[str, tuple[str, int]] = {}
    for text, rows in counts.items():
        spelled, before = folded.get(fold(text), (text, 0))
        folded[fold(text)] = (spelled, before + rows)
    return [
        Finding.open(
            f"status.{text}",
            f"{evidence.rows(rows)}: {one_of_ours}?{_elsewhere(text)}",
        )
        for text, rows in folded.values()
    ]


def _elsewhere(status: str) -> str:
    """What the known feeds say that a status means."""
    said: dict[str, list[str]] = {}
    for name in known_names():
        for theirs, ours in known_feed(name).status.items():
            if fold(theirs) == fold(status):
                said.setdefault(ours, []).append(name)
    return "".join(f" To {' and '.join(feeds)} it is {ours}." for ours, feeds in said.items())
