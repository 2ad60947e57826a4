"""Statements prepared once, for the few that run thousands of times a second.

SQLAlchemy's own way costs about ten microseconds a row in preparing parameters, and as much as the statement itself
where there is one row. What is written here goes to SQLite's driver as it is, apart from the columns' own conversions,
and to PostgreSQL as one statement with an array for each column, since every row by itself would cost the server a
round through its executor.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    String,
    Table,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg

from cloudyard.foundation.database.sqlite import run_for_each, run_statement

Convert = Callable[[Any], Any]
Row = tuple[Any, ...]


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


ROWS_AT_ONCE = (32, 8)
"""On SQLite every step of a statement gives the interpreter's lock away and has to get it back from a busy event loop.
So rows go in with as few steps as there can be, by statements for a few numbers of rows, which stay prepared."""

_ROWS = msgspec.json.Decoder(list[tuple[Any, ...]])
_SQLITE: Dialect = sqlite.dialect(json_serializer=_as_json)
_POSTGRESQL: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Conversions:
    """Of a row's values: from Python to the driver, or back. Most columns need none."""

    places: tuple[tuple[int, Convert], ...]

    def of(self, rows: Iterable[Row]) -> list[Row]:
        return [self._converted(row) for row in rows] if self.places else list(rows)

    def _converted(self, row: Row) -> Row:
        values = list(row)
        for place, convert in self.places:
            values[place] = convert(values[place])
        return tuple(values)


class _PreparedWrite:
    def __init__(self, columns: Sequence[Column[Any]], for_sqlite: Callable[[int], str], for_postgresql: str) -> None:
        self._many_for_sqlite = tuple((count, for_sqlite(count)) for count in ROWS_AT_ONCE)
        self._one_for_sqlite = for_sqlite(1)
        self._to_sqlite = _to_driver(columns, _SQLITE)
        self._for_postgresql = for_postgresql
        self._to_postgresql = _to_driver(columns, _POSTGRESQL)

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write every row; no statement is run where there is none."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            arrays = zip(*self._to_postgresql.of(rows), strict=True)
            connection.exec_driver_sql(self._for_postgresql, tuple(arrays))
        else:
            self._run_on_sqlite(connection, self._to_sqlite.of(rows))

    def _run_on_sqlite(self, connection: Connection, rows: Sequence[Row]) -> None:
        left = rows
        for count, statement in self._many_for_sqlite:
            while len(left) >= count:
                run_statement(connection, statement, tuple(chain.from_iterable(left[:count])))
                left = left[count:]
        if left:
            run_for_each(connection, self._one_for_sqlite, left)


class PreparedInsert(_PreparedWrite):
    """An INSERT of many rows, given as tuples of these columns.

    A column that is left out gets the database's default, not SQLAlchemy's.
    """

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        columns = [table.c[name] for name in names]
        listed = ", ".join(names)
        super().__init__(
            columns,
            lambda count: f"INSERT INTO {table.name} ({listed}) {_values(columns, count)}",
            f"INSERT INTO {table.name} ({listed}) SELECT * FROM {_arrays(columns)}",  # noqa: S608 - our names
        )


class PreparedUpdate(_PreparedWrite):
    """An UPDATE of many rows by their key, given as tuples of these columns and then the key."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        (key,) = table.primary_key.columns
        columns = [*(table.c[name] for name in names), key]
        taken = ", ".join(f"{name} = given.{name}" for name in names)
        listed = ", ".join(column.name for column in columns)
        by_key = f"{table.name}.{key.name} = given.{key.name}"

        def for_sqlite(count: int) -> str:
            if count == 1:
                asked = ", ".join(f"{name} = ?" for name in names)
                return f"UPDATE {table.name} SET {asked} WHERE {key.name} = ?"  # noqa: S608 - our own names
            given = f"WITH given({listed}) AS ({_values(columns, count)})"
            return f"{given} UPDATE {table.name} SET {taken} FROM given WHERE {by_key}"  # noqa: S608 - our own names

        super().__init__(
            columns,
            for_sqlite,
            f"UPDATE {table.name} SET {taken} FROM {_arrays(columns)} AS given({listed}) WHERE {by_key}",  # noqa: S608
        )


class KeyedRead:
    """A SELECT of the rows with given text keys. Its text is the same for any number of keys, so that it is parsed and
    planned once. What is selected is text or a number."""

    def __init__(self, query: Select[Any], key: Column[str]) -> None:
        listed = func.json_each(bindparam("keys")).table_valued(named("value", String))
        found = query.where(key.in_(select(listed.c.value))).subquery()
        as_json = select(func.json_group_array(func.json_array(*found.c)))
        self._for_sqlite = str(as_json.compile(dialect=_SQLITE))
        self._from_sqlite = _from_driver(list(query.selected_columns), _SQLITE)
        self._for_postgresql = query.where(key == any_(bindparam("keys", type_=ARRAY(String))))

    def run(self, connection: Connection, keys: Iterable[str]) -> Sequence[Row]:
        """The rows that exist, each with the selected columns in their order."""
        if connection.dialect.name == "postgresql":
            return [tuple(row) for row in connection.execute(self._for_postgresql, {"keys": list(keys)})]
        ((rows,),) = run_statement(connection, self._for_sqlite, (_as_json(list(keys)),))
        return self._from_sqlite.of(_ROWS.decode(rows))


def _values(columns: Sequence[Column[Any]], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"VALUES {', '.join([row] * rows)}"


def _arrays(columns: Sequence[Column[Any]]) -> str:
    """One array for each column. Texts go in without a length: a cast would cut them, the column refuses them."""
    kinds = (
        "TEXT" if isinstance(column.type, String) else column.type.compile(dialect=_POSTGRESQL) for column in columns
    )
    return f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(kinds, 1))})"


def _to_driver(columns: Sequence[Column[Any]], dialect: Dialect) -> _Conversions:
    found = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]
    return _Conversions(tuple((place, convert) for place, convert in enumerate(found) if convert is not None))


def _from_driver(columns: Sequence[ColumnElement[Any]], dialect: Dialect) -> _Conversions:
    found = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Conversions(tuple((place, convert) for place, convert in enumerate(found) if convert is not None))
