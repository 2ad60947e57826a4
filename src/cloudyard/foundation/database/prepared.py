"""Statements prepared once, for the few that run thousands of times a second.

SQLAlchemy's own way costs about ten microseconds a row in preparing parameters, and as much as the statement itself
where there is one row. What is written here goes to the driver as it is, apart from the columns' own conversions:
row by row to SQLite, and to PostgreSQL as one statement with an array for each column, since every row by itself
would cost the server a round through its executor.
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
    Table,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg

Convert = Callable[[Any], Any]
Row = tuple[Any, ...]

_SQLITE: Dialect = sqlite.dialect()
_POSTGRESQL: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Prepared:
    text: str
    conversions: tuple[tuple[int, Convert], ...]

    def converted(self, rows: Iterable[Row]) -> list[Row]:
        return [self._row(row) for row in rows] if self.conversions else list(rows)

    def _row(self, given: Row) -> Row:
        values = list(given)
        for position, convert in self.conversions:
            values[position] = convert(values[position])
        return tuple(values)


class _PreparedWrite:
    def __init__(self, columns: Sequence[Column[Any]], for_sqlite: str, for_postgresql: str) -> None:
        self._for_sqlite = _Prepared(for_sqlite, _conversions(columns, _SQLITE))
        self._for_postgresql = _Prepared(for_postgresql, _conversions(columns, _POSTGRESQL))

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Write every row; no statement is run where there is none."""
        if connection.dialect.name == "postgresql":
            self._run_with_arrays(connection, self._for_postgresql.converted(rows))
        elif values := self._for_sqlite.converted(rows):
            connection.exec_driver_sql(self._for_sqlite.text, values)

    def _run_with_arrays(self, connection: Connection, rows: list[Row]) -> None:
        if rows:
            connection.exec_driver_sql(self._for_postgresql.text, tuple(zip(*rows, strict=True)))


class PreparedInsert(_PreparedWrite):
    """An INSERT of many rows, given as tuples of these columns.

    A column that is left out gets the database's default, not SQLAlchemy's.
    """

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        columns = [table.c[name] for name in names]
        listed = ", ".join(names)
        super().__init__(
            columns,
            f"INSERT INTO {table.name} ({listed}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - our names
            f"INSERT INTO {table.name} ({listed}) SELECT * FROM {_arrays(columns)}",  # noqa: S608 - our names
        )


class PreparedUpdate(_PreparedWrite):
    """An UPDATE of many rows by their key, given as tuples of these columns and then the key."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        (key,) = table.primary_key.columns
        columns = [*(table.c[name] for name in names), key]
        asked = ", ".join(f"{name} = ?" for name in names)
        taken = ", ".join(f"{name} = given.{name}" for name in names)
        listed = ", ".join(column.name for column in columns)
        super().__init__(
            columns,
            f"UPDATE {table.name} SET {asked} WHERE {key.name} = ?",  # noqa: S608 - our own names
            f"UPDATE {table.name} SET {taken} FROM {_arrays(columns)} AS given({listed}) "  # noqa: S608 - our own names
            f"WHERE {table.name}.{key.name} = given.{key.name}",
        )


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


def _arrays(columns: Sequence[Column[Any]]) -> str:
    """One array for each column. Texts go in without a length: a cast would cut them, the column refuses them."""
    kinds = (
        "TEXT" if isinstance(column.type, String) else column.type.compile(dialect=_POSTGRESQL) for column in columns
    )
    return f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(kinds, 1))})"


def _conversions(columns: Sequence[Column[Any]], dialect: Dialect) -> tuple[tuple[int, Convert], ...]:
    found = []
    for position, column in enumerate(columns):
        convert = column.type.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None:
            found.append((position, convert))
    return tuple(found)
