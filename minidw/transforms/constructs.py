"""The few idioms that standard SQL lacks, one named construct each, compiled per dialect."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from operator import add
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    ColumnElement,
    Executable,
    FromClause,
    Insert,
    ScalarSelect,
    Select,
    Subquery,
    TableClause,
    Text,
    TextClause,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import BigInteger, Boolean, DateTime, Float, TypeEngine

Query: TypeAlias = Select[*tuple[Any, ...]]
ASCII_WHITESPACE = " \t\n\r\f\v"


class safe_cast(FunctionElement[Any]):  # noqa: N801 - reads as the function it compiles to
    """A cast that yields NULL instead of an error."""

    inherit_cache = True
    name = "safe_cast"

    def __init__(self, value: ColumnElement[str], type_: TypeEngine[Any]) -> None:
        super().__init__(value)
        self.type = type_


@compiles(safe_cast, "postgresql")
def _safe_cast(element: safe_cast, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    type_ = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CASE WHEN pg_input_is_valid({value}, '{type_}') THEN CAST({value} AS {type_}) END"


class utc_time(FunctionElement[Any]):  # noqa: N801
    """The UTC time of a timestamp text that carries an offset; NULL where it is not a time."""

    inherit_cache = True
    name = "utc_time"
    type = DateTime()

    def __init__(self, value: ColumnElement[str]) -> None:
        super().__init__(value)


@compiles(utc_time, "postgresql")
def _utc_time(element: utc_time, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    zoned = "TIMESTAMP WITH TIME ZONE"
    local = f"CAST({value} AS {zoned}) AT TIME ZONE 'UTC'"
    return f"CASE WHEN pg_input_is_valid({value}, '{zoned}') THEN {local} END"


class local_time(FunctionElement[Any]):  # noqa: N801
    """The UTC time of a time on the clocks of a zone.

    One that a clock never showed counts on from before it was put forward; one that it showed twice is the
    later, by the time of the winter.
    """

    inherit_cache = True
    name = "local_time"
    type = DateTime()

    def __init__(self, value: ColumnElement[Any], zone: str) -> None:
        super().__init__(value, literal(zone))


@compiles(local_time, "postgresql")
def _local_time(element: local_time, compiler: SQLCompiler, **kw: Any) -> str:
    value, zone = (compiler.process(part, **kw) for part in element.clauses)
    return f"(CAST({value} AS TIMESTAMP) AT TIME ZONE CAST({zone} AS TEXT) AT TIME ZONE 'UTC')"


class after_milliseconds(FunctionElement[str]):  # noqa: N801
    """The ISO text of the time that is so many milliseconds, a text of digits, after the start of a day."""

    inherit_cache = True
    name = "after_milliseconds"
    type = Text()

    def __init__(self, day: str, milliseconds: ColumnElement[str]) -> None:
        super().__init__(literal(day), milliseconds)


@compiles(after_milliseconds, "postgresql")
def _after_milliseconds(element: after_milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    day, milliseconds = (compiler.process(part, **kw) for part in element.clauses)
    time = f"CAST({day} AS TIMESTAMP) + CAST({milliseconds} AS BIGINT) * INTERVAL '1 millisecond'"
    return f"to_char({time}, 'YYYY-MM-DD HH24:MI:SS.US')"


class rounded_milliseconds(FunctionElement[str]):  # noqa: N801
    """A text that is a number of days → a text of digits, the nearest number of milliseconds."""

    inherit_cache = True
    name = "rounded_milliseconds"
    type = Text()

    def __init__(self, days: ColumnElement[str]) -> None:
        super().__init__(days)


@compiles(rounded_milliseconds, "postgresql")
def _rounded_milliseconds(element: rounded_milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST(round(CAST({compiler.process(element.clauses, **kw)} AS NUMERIC) * 86400000) AS TEXT)"


class nfc(FunctionElement[str]):  # noqa: N801
    """Text in Unicode normal form C; ASCII text, the common case, is passed through."""

    inherit_cache = True
    name = "nfc"
    type = Text()

    def __init__(self, value: ColumnElement[str]) -> None:
        super().__init__(value)


@compiles(nfc, "postgresql")
def _nfc(element: nfc, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return f"CASE WHEN octet_length({value}) = length({value}) THEN {value} ELSE normalize({value}, NFC) END"


class btrim(FunctionElement[str]):  # noqa: N801
    """Text without any of the characters at its ends."""

    inherit_cache = True
    name = "btrim"
    type = Text()

    def __init__(self, value: Any, characters: str) -> None:
        super().__init__(value, characters)


@compiles(btrim, "postgresql")
def _btrim(element: btrim, compiler: SQLCompiler, **kw: Any) -> str:
    return f"btrim({compiler.process(element.clauses, **kw)})"


class ascii_lower(FunctionElement[str]):  # noqa: N801
    """Lower case of ASCII letters only: the same on every server, whatever its locale."""

    inherit_cache = True
    name = "ascii_lower"
    type = Text()

    def __init__(self, value: ColumnElement[str]) -> None:
        super().__init__(value)


@compiles(ascii_lower, "postgresql")
def _ascii_lower(element: ascii_lower, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "C")'


class starts_with_digit(FunctionElement[bool]):  # noqa: N801
    """Whether the first character is 0 to 9, whatever the server's collation."""

    inherit_cache = True
    name = "starts_with_digit"
    type = Boolean()

    def __init__(self, value: ColumnElement[str]) -> None:
        super().__init__(value)


@compiles(starts_with_digit, "postgresql")
def _starts_with_digit(element: starts_with_digit, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return f"{value} COLLATE \"C\" BETWEEN '0' AND ':'"


class hash_fraction(FunctionElement[float]):  # noqa: N801
    """A number from 0 up to 1 that follows from a text and a salt, evenly spread."""

    inherit_cache = True
    name = "hash_fraction"
    type = Float()

    def __init__(self, value: ColumnElement[str], salt: ColumnElement[int]) -> None:
        super().__init__(value, salt)


@compiles(hash_fraction, "postgresql")
def _hash_fraction(element: hash_fraction, compiler: SQLCompiler, **kw: Any) -> str:
    return f"((hashtextextended({compiler.process(element.clauses, **kw)}) & 1048575) / 1048576.0)"


class code_list(FunctionElement[Any]):  # noqa: N801
    """The list of those codes that are not NULL."""

    inherit_cache = True
    name = "code_list"
    type = ARRAY(Text)

    def __init__(self, *codes: ColumnElement[Any]) -> None:
        super().__init__(*codes)


@compiles(code_list, "postgresql")
def _code_list(element: code_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"array_remove(ARRAY[{compiler.process(element.clauses, **kw)}], NULL)"


def trimmed(value: Any) -> ColumnElement[str]:
    """Text without ASCII whitespace around it; '' where it was NULL."""
    return func.coalesce(btrim(value, ASCII_WHITESPACE), "")


def without(value: ColumnElement[str], characters: str) -> ColumnElement[str]:
    """Text with every one of the characters taken out."""
    return func.translate(value, characters, "", type_=Text)


def in_sample(*keys: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a row's keys fall into the random part bound as ``fraction``, drawn by ``salt``."""
    text_of_keys = reduce(add, (cast(key, Text) + "/" for key in keys))
    return hash_fraction(text_of_keys, bindparam("salt", type_=BigInteger)) < bindparam(
        "fraction", type_=Float
    )


def codes_where(conditions: Sequence[tuple[str, ColumnElement[bool]]]) -> ColumnElement[list[str]]:
    """The codes whose condition holds, in order."""
    return code_list(*(case((condition, literal(code))) for code, condition in conditions))


def evaluated_once(statement: Query) -> Query:
    """A subquery that PostgreSQL evaluates before the query around it, not once per mention.

    A zero that is no bigint yet would keep the query around it on one core.
    """
    return statement.suffix_with(text("OFFSET bigint '0'"), dialect="postgresql")


def both_ways(held: Query, due: Query, *, key: Sequence[str]) -> Query:
    """Rows that only one of two queries has: ``side`` is held for what is stored, due for what should be.

    Both queries have the same columns, and one row per key. They are read once, and whatever differs is kept
    by the server.
    """
    names = [column.name for column in held.selected_columns]
    sides = {"held": held.subquery("held"), "due": due.subquery("due")}
    ours, theirs = sides.values()
    pairs = (
        select(*(rows.c[name].label(f"{side}_{name}") for side, rows in sides.items() for name in names))
        .join_from(ours, theirs, and_(*(ours.c[name] == theirs.c[name] for name in key)), full=True)
        .where(
            or_(
                *(rows.c[key[0]].is_(None) for rows in sides.values()),
                *(ours.c[name].is_distinct_from(theirs.c[name]) for name in names if name not in key),
            )
        )
        .cte("pairs")
    )
    both = union_all(
        *(
            select(literal(side).label("side"), *(pairs.c[f"{side}_{name}"].label(name) for name in names))
            .where(pairs.c[f"{side}_{key[0]}"].is_not(None))
            for side in sides
        )
    ).subquery("difference")  # fmt: skip
    return select(both).order_by(*(both.c[name] for name in key), both.c.side)


def insert_from(table: TableClause | type[Any], query: Query) -> Insert:
    """INSERT … SELECT whose target columns are the labels of the query, never their positions."""
    return insert(table).from_select([column.name for column in query.selected_columns], query)


class CreateTemporary(Executable, ClauseElement):
    """CREATE TEMPORARY TABLE … AS: unlike that of INSERT … SELECT, its query may run on several cores."""

    # What SQLAlchemy keeps the compiled statement by, as for its own constructs.
    inherit_cache = True
    _traverse_internals = [
        ("name", InternalTraversal.dp_string),
        ("query", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, name: str, query: Query) -> None:
        self.name, self.query = name, query


@compiles(CreateTemporary)
def _create_temporary(create: CreateTemporary, compiler: SQLCompiler, **kw: Any) -> str:
    name = compiler.preparer.quote(create.name)
    return f"CREATE TEMPORARY TABLE {name} AS {compiler.process(create.query, **kw)}"


class Merge(Executable, ClauseElement):
    """MERGE: bring the rows of a query into a table, by key.

    ``update`` maps column names to new values, ``delete_when`` and ``insert_when`` limit the rows that
    are deleted and inserted; a matched row is deleted, or else updated where ``update_when`` holds.
    """

    inherit_cache = True
    _traverse_internals = [
        ("target", InternalTraversal.dp_clauseelement),
        ("source", InternalTraversal.dp_clauseelement),
        ("on", InternalTraversal.dp_string_list),
        ("update", InternalTraversal.dp_string_clauseelement_dict),
        ("delete_when", InternalTraversal.dp_clauseelement),
        ("update_when", InternalTraversal.dp_clauseelement),
        ("insert_when", InternalTraversal.dp_clauseelement),
        ("insert", InternalTraversal.dp_string_list),
    ]

    def __init__(
        self,
        target: FromClause,
        source: Subquery,
        *,
        on: Sequence[str],
        update: Mapping[str, ColumnElement[Any]],
        delete_when: ColumnElement[bool] | None = None,
        update_when: ColumnElement[bool] | None = None,
        insert_when: ColumnElement[bool] | None = None,
        insert: Sequence[str],
    ) -> None:
        self.target, self.source, self.on = target, source, on
        self.update, self.insert = update, insert
        self.delete_when, self.update_when, self.insert_when = delete_when, update_when, insert_when


@compiles(Merge)
def _merge(merge: Merge, compiler: SQLCompiler, **kw: Any) -> str:
    def render(element: ClauseElement, **extra: Any) -> str:
        return compiler.process(element, **kw, **extra)

    def when(matched: str, condition: ColumnElement[bool] | None, action: str) -> str:
        extra = "" if condition is None else f" AND {render(condition)}"
        return f"WHEN {matched}{extra} THEN {action}"

    name = compiler.preparer.quote
    join = and_(*(merge.target.c[key] == merge.source.c[key] for key in merge.on))
    lines = [
        f"MERGE INTO {render(merge.target, asfrom=True)}",
        f"USING {render(merge.source, asfrom=True)}",
        f"ON {render(join)}",
    ]
    if merge.delete_when is not None:
        lines.append(when("MATCHED", merge.delete_when, "DELETE"))
    if merge.update:
        assignments = ", ".join(f"{name(column)} = {render(new)}" for column, new in merge.update.items())
        lines.append(when("MATCHED", merge.update_when, f"UPDATE SET {assignments}"))
    columns = ", ".join(name(column) for column in merge.insert)
    values = ", ".join(render(merge.source.c[column]) for column in merge.insert)
    lines.append(when("NOT MATCHED", merge.insert_when, f"INSERT ({columns}) VALUES ({values})"))
    return "\n".join(lines)


def digest(query: Query, rules: Mapping[str, Any], more: str = "") -> str:
    """SHA-256 of a query and of the rules it binds: it changes when the definition does."""
    sql, parameters = _compiled(query)
    bound = {name: repr(rules.get(name, default)) for name, default in sorted(parameters.items())}
    return hashlib.sha256(f"{sql} {bound} {more}".encode()).hexdigest()


@cache
def _compiled(query: Query) -> tuple[str, dict[str, Any]]:
    compiled = query.compile(dialect=PGDialect())  # type: ignore[no-untyped-call]
    return str(compiled), dict(compiled.params)


def analyze(target: FromClause) -> TextClause:
    """Statistics of a table before autovacuum comes to it; skipped where somebody holds it."""
    return text(f"ANALYZE (SKIP_LOCKED) {target}")


def next_id(identifier: Any) -> ScalarSelect[int]:
    """The next number of a table whose rows are numbered without gaps; only for the holder of the lock.

    A sequence would move even where the transaction is rolled back.
    """
    return select(func.coalesce(func.max(identifier), 0) + 1).scalar_subquery()
