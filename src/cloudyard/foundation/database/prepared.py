"""Statements compiled once, for the few that run thousands of times a second.

SQLAlchemy's own way costs about ten microseconds a row in preparing parameters and as much as the statement itself
where there is one row. What is written here goes to the driver as it is, apart from the columns' own conversions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Connection,
    CursorResult,
    Dialect,
    Select,
    String,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.dml import Insert, Update

Convert = Callable[[Any], Any]
Row = tuple[Any, ...]

_DIALECTS: tuple[Dialect, ...] = (sqlite.dialect(), asyncpg.dialect())  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    conversions: tuple[tuple[int, Convert], ...]

    def row(self, given: Row) -> Row:
        values = list(given)
        for position, convert in self.conversions:
            values[position] = convert(values[position])
        return tuple(values)


class PreparedWrite:
    """An INSERT or UPDATE for many rows at a time; rows are tuples in the order of `names`.

    `names` are the columns of an INSERT, or the bind parameters of an UPDATE, in the order in which they stand in
    the statement (ValueError otherwise). Columns that are left out get the database's default, not SQLAlchemy's.
    """

    def __init__(self, statement: Insert | Update, names: Sequence[str]) -> None:
        self._by_dialect = {dialect.name: _compiled(statement, names, dialect) for dialect in _DIALECTS}

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Write every row; no statement is run where there is none."""
        compiled = self._by_dialect[connection.dialect.name]
        values = [compiled.row(row) for row in rows] if compiled.conversions else list(rows)
        if values:
            connection.exec_driver_sql(compiled.text, values)


class KeyedRead:
    """A SELECT of the rows with given text keys. Its text is the same for any number of keys, so that it is parsed and
    planned once."""

    def __init__(self, query: Select[Any], key: Column[str]) -> None:
        listed = func.json_each(bindparam("keys", type_=JSON)).table_valued(named("value", String))
        self._by_dialect = {
            "sqlite": query.where(key.in_(select(listed.c.value))),
            "postgresql": query.where(key == any_(bindparam("keys", type_=ARRAY(String)))),
        }

    def run(self, connection: Connection, keys: Iterable[str]) -> CursorResult[Any]:
        """The rows that exist."""
        return connection.execute(self._by_dialect[connection.dialect.name], {"keys": list(keys)})


def _compiled(statement: Insert | Update, names: Sequence[str], dialect: Dialect) -> _Compiled:
    if isinstance(statement, Insert):
        compiled = statement.inline().compile(dialect=dialect, column_keys=list(names))
    else:
        compiled = statement.compile(dialect=dialect)
    if tuple(compiled.positiontup or ()) != tuple(names):
        raise ValueError(f"the statement takes its values in the order {compiled.positiontup}, not {list(names)}")
    conversions = []
    for position, name in enumerate(names):
        convert = compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None:
            conversions.append((position, convert))
    return _Compiled(str(compiled), tuple(conversions))
