"""Spark SQL as a dialect that only compiles; what Spark says otherwise than PostgreSQL is refused by name."""

from typing import Any, NoReturn

from sqlalchemy import Cast, Extract, Integer, Numeric, String
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import GenericTypeCompiler, IdentifierPreparer, SQLCompiler

WIDE = "DECIMAL(37, 26)"
"""A number while it is judged: 11 digits before the point, 26 after it, and one to round into."""
_BEYOND, _TINY = "99999999999", "1E-26"

FUNCTIONS = {
    *("abs", "coalesce", "concat_ws", "count", "date_trunc", "first_value", "greatest", "lag", "lead"),
    *("least", "length", "lpad", "max", "min", "nullif", "octet_length", "replace", "round", "row_number"),
    *("current_date", "split_part", "substr", "sum", "translate"),
}
"""The functions that mean the same on both; ``lower``, say, folds other letters."""
FIELDS = {"year", "quarter", "month", "week", "day", "hour", "minute"}
"""What ``extract`` gives alike."""


class SparkTypes(GenericTypeCompiler):
    """The types of PostgreSQL in Spark's words."""

    def visit_text(self, type_: Any, **kw: Any) -> str:
        return "STRING"

    visit_unicode_text = visit_string = visit_VARCHAR = visit_UUID = visit_uuid = visit_text

    def visit_datetime(self, type_: Any, **kw: Any) -> str:
        return "TIMESTAMP" if type_.timezone else "TIMESTAMP_NTZ"

    visit_TIMESTAMP = visit_datetime

    def visit_numeric(self, type_: Any, **kw: Any) -> str:
        return WIDE if type_.precision is None else f"DECIMAL({type_.precision}, {type_.scale or 0})"

    visit_NUMERIC = visit_numeric

    def visit_float(self, type_: Any, **kw: Any) -> NoReturn:
        raise CompileError("a floating number is not rounded alike on Spark")

    visit_double = visit_FLOAT = visit_double_precision = visit_DOUBLE_PRECISION = visit_REAL = visit_float

    def visit_integer(self, type_: Any, **kw: Any) -> str:
        return "INT"

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:
        return f"ARRAY<{self.process(type_.item_type)}>"

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        return "MAP<STRING, STRING>"

    visit_JSONB = visit_JSON


class SparkCompiler(SQLCompiler):
    """Statements of plain Core."""

    def visit_function(self, func: Any, add_to_result_map: Any = None, **kw: Any) -> str:
        name = func.name.lower()
        if name not in FUNCTIONS and not hasattr(self, f"visit_{name}_func"):
            raise CompileError(f"{name}() is not known to mean the same on Spark")
        return str(super().visit_function(func, add_to_result_map, **kw))

    def visit_extract(self, extract: Extract, **kw: Any) -> str:
        if extract.field.lower() not in FIELDS:
            raise CompileError(f"extract({extract.field}) is not known to mean the same on Spark")
        return str(super().visit_extract(extract, **kw))  # type: ignore[no-untyped-call]

    def visit_ltrim_func(self, func: Any, **kw: Any) -> str:
        return self._trim("LEADING", func, **kw)

    def visit_rtrim_func(self, func: Any, **kw: Any) -> str:
        return self._trim("TRAILING", func, **kw)

    def visit_left_func(self, func: Any, **kw: Any) -> str:
        """A length below zero leaves so many characters out, where Spark would give nothing."""
        value, length = (self.process(part, **kw) for part in func.clauses)
        return f"substr({value}, 1, CASE WHEN {length} < 0 THEN length({value}) + {length} ELSE {length} END)"

    def visit_right_func(self, func: Any, **kw: Any) -> str:
        value, length = (self.process(part, **kw) for part in func.clauses)
        return f"right({value}, {length})"

    def visit_cast(self, cast: Cast[Any], **kw: Any) -> str:
        """Of a text, NULL where an error would stop all the rows: what is cast was looked at before."""
        value, type_ = self.process(cast.clause, **kw), self.process(cast.typeclause, **kw)
        if isinstance(cast.type, Integer) and isinstance(cast.clause.type, Numeric):
            return f"CAST(round({value}) AS {type_})"  # Spark cuts the decimals off
        if not isinstance(cast.clause.type, String):
            return f"CAST({value} AS {type_})"
        if isinstance(cast.type, Numeric) and cast.type.precision is None:
            return _saturated(value, type_)
        return f"TRY_CAST({value} AS {type_})"

    def visit_truediv_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """With 14 digits after the point, or 18: Spark would give so few that rounding them rounds twice."""
        above, below = (self.process(side, **kw) for side in (binary.left, binary.right))
        scale = 0 if isinstance(binary.right.type, Integer) else 4
        return f"(CAST({above} AS DECIMAL(24, 4)) / CAST({below} AS DECIMAL(20, {scale})))"

    def visit_floordiv_binary(self, binary: Any, operator: Any, **kw: Any) -> NoReturn:
        raise CompileError("// is not known to mean the same on Spark")

    def visit_json_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"{self.process(binary.left, **kw)}[{self.process(binary.right, **kw)}]"

    def _trim(self, side: str, func: Any, **kw: Any) -> str:
        value, characters, *_ = (*(self.process(part, **kw) for part in func.clauses), "' '")
        return f"TRIM({side} {characters} FROM {value})"


def _saturated(value: str, type_: str) -> str:
    """A text of decimal shape as a number: too large, it is beyond every limit; too small, it is not 0.

    Every branch is of one type: over several, CASE gives up digits after the point.
    """
    read, negative = f"TRY_CAST({value} AS {type_})", f"{value} LIKE '-%'"

    def signed(number: str) -> str:
        below, above = (f"CAST('{sign}{number}' AS {type_})" for sign in ("-", ""))
        return f"CASE WHEN {negative} THEN {below} ELSE {above} END"

    return (
        f"CASE WHEN translate({value}, '+-0.', '') = '' OR {read} <> 0 THEN {read}"
        f" WHEN {read} = 0 THEN {signed(_TINY)} ELSE {signed(_BEYOND)} END"
    )


class SparkPreparer(IdentifierPreparer):
    """Names without a schema: the tables are the views of a session."""

    schema_for_object: Any = staticmethod(lambda _: None)

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect, initial_quote="`", final_quote="`")


class SparkDialect(DefaultDialect):
    """What ``compiled`` compiles by. There is nothing to connect to."""

    name = "spark"
    default_paramstyle = "named"
    statement_compiler, type_compiler_cls = SparkCompiler, SparkTypes
    preparer: Any = SparkPreparer
    supports_statement_cache = True
    supports_native_boolean = supports_native_decimal = True
