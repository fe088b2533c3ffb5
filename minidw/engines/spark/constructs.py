"""The named constructs in Spark SQL. The session is in UTC, so that a TIMESTAMP is a UTC time."""

import string
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from minidw.schema.words import local_day
from minidw.transforms import constructs


def _parts(element: Any, compiler: SQLCompiler, **kw: Any) -> list[str]:
    return [compiler.process(part, **kw) for part in element.clauses]


@compiles(constructs.safe_cast, "spark")
def _safe_cast(element: constructs.safe_cast, compiler: SQLCompiler, **kw: Any) -> str:
    (value,) = _parts(element, compiler, **kw)
    type_ = compiler.dialect.type_compiler_instance.process(element.type)
    if isinstance(element.type, DateTime):  # Spark has a year 0
        value = f"CASE WHEN {value} NOT LIKE '0000%' THEN {value} END"
    return f"TRY_CAST({value} AS {type_})"


@compiles(constructs.utc_time, "spark")
def _utc_time(element: constructs.utc_time, compiler: SQLCompiler, **kw: Any) -> str:
    """Spark knows no offset after hours and minutes alone, and knows offsets beyond those of PostgreSQL."""
    (value,) = _parts(element, compiler, **kw)
    whole = f"regexp_replace({value}, r'^(.{{13}}:[0-9]{{2}})([Z+-])', r'$1:00$2')"
    sound = rf"{value} RLIKE r'(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)$' AND {value} NOT LIKE '0000%'"
    return f"CASE WHEN {sound} THEN CAST(TRY_CAST({whole} AS TIMESTAMP) AS TIMESTAMP_NTZ) END"


@compiles(constructs.local_time, "spark")
def _local_time(element: constructs.local_time, compiler: SQLCompiler, **kw: Any) -> str:
    """Of a time shown twice Spark takes the earlier: the offset of a day later gives the other."""
    value, zone = _parts(element, compiler, **kw)
    local, day = f"CAST({value} AS TIMESTAMP)", "INTERVAL '1' DAY"
    later = f"(to_utc_timestamp({local} + {day}, {zone}) - {day})"
    read = (
        f"CASE WHEN from_utc_timestamp({later}, {zone}) = {local} THEN {later}"
        f" ELSE to_utc_timestamp({local}, {zone}) END"
    )
    return f"CAST({read} AS TIMESTAMP_NTZ)"


@compiles(constructs.after_milliseconds, "spark")
def _after_milliseconds(element: constructs.after_milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    day, milliseconds = _parts(element, compiler, **kw)
    time = f"timestamp_millis(unix_millis(CAST({day} AS TIMESTAMP)) + TRY_CAST({milliseconds} AS BIGINT))"
    return f"date_format({time}, 'yyyy-MM-dd HH:mm:ss.SSSSSS')"


@compiles(constructs.rounded_milliseconds, "spark")
def _rounded_milliseconds(element: constructs.rounded_milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    (days,) = _parts(element, compiler, **kw)
    return f"CAST(CAST(round(TRY_CAST({days} AS DECIMAL(38, 32)) * 86400000) AS DECIMAL(20, 0)) AS STRING)"


@compiles(constructs.nfc, "spark")
def _nfc(element: constructs.nfc, compiler: SQLCompiler, **kw: Any) -> str:
    """By the ICU that is among Spark's own jars."""
    (value,) = _parts(element, compiler, **kw)
    composed = f"reflect('com.ibm.icu.text.Normalizer', 'compose', {value}, false)"
    return f"CASE WHEN octet_length({value}) = length({value}) THEN {value} ELSE {composed} END"


@compiles(constructs.btrim, "spark")
def _btrim(element: constructs.btrim, compiler: SQLCompiler, **kw: Any) -> str:
    value, characters = _parts(element, compiler, **kw)
    return f"TRIM(BOTH {characters} FROM {value})"


@compiles(constructs.ascii_lower, "spark")
def _ascii_lower(element: constructs.ascii_lower, compiler: SQLCompiler, **kw: Any) -> str:
    """``lower()`` would fold É and İ too."""
    (value,) = _parts(element, compiler, **kw)
    return f"translate({value}, '{string.ascii_uppercase}', '{string.ascii_lowercase}')"


@compiles(constructs.starts_with_digit, "spark")
def _starts_with_digit(element: constructs.starts_with_digit, compiler: SQLCompiler, **kw: Any) -> str:
    (value,) = _parts(element, compiler, **kw)
    return f"{value} BETWEEN '0' AND ':'"


@compiles(constructs.code_list, "spark")
def _code_list(element: constructs.code_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"array_compact(array({', '.join(_parts(element, compiler, **kw))}))"


@compiles(local_day, "spark")
def _local_day(element: local_day, compiler: SQLCompiler, **kw: Any) -> str:
    time, zone = _parts(element, compiler, **kw)
    return f"CAST(from_utc_timestamp(CAST({time} AS TIMESTAMP), {zone}) AS DATE)"
