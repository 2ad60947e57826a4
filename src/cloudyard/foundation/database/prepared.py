"""Statements prepared once, for the few that run thousands of times a second.

SQLAlchemy's own way costs about ten microseconds a row in preparing parameters, and as much as the statement itself
where there is one row. What is written here goes to SQLite's driver as it is, apart from the columns' own conversions,
and to PostgreSQL as one statement with an array for each column, since every row by itself would cost the server a
round through its executor.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

Convert = Callable[[Any], Any]
Row = tuple[Any, ...]

_SQLITE: Dialect = sqlite.dialect()
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
    def __init__(self, columns: Sequence[Column[Any]], for_sqlite: str, for_postgresql: str) -> None:
        self._for_sqlite = for_sqlite
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
            with _cursor(connection, self._for_sqlite) as cursor:
                cursor.executemany(self._for_sqlite, self._to_sqlite.of(rows))


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
        listed = func.json_each(bindparam("keys")).table_valued(named("value", String))
        self._for_sqlite = str(query.where(key.in_(select(listed.c.value))).compile(dialect=_SQLITE))
        self._from_sqlite = _from_driver(list(query.selected_columns), _SQLITE)
        self._for_postgresql = query.where(key == any_(bindparam("keys", type_=ARRAY(String))))

    def run(self, connection: Connection, keys: Iterable[str]) -> Sequence[Row]:
        """The rows that exist, each with the selected columns in their order."""
        if connection.dialect.name == "postgresql":
            return [tuple(row) for row in connection.execute(self._for_postgresql, {"keys": list(keys)})]
        with _cursor(connection, self._for_sqlite) as cursor:
            cursor.execute(self._for_sqlite, (json.dumps(list(keys)),))
            return self._from_sqlite.of(cursor.fetchall())


@contextmanager
def _cursor(connection: Connection, statement: str) -> Iterator[DBAPICursor]:
    """The driver's own cursor, whose failures are raised as SQLAlchemy raises them."""
    driver = connection.dialect.loaded_dbapi
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except driver.Error as error:
        raise DBAPIError.instance(statement, None, error, driver.Error, dialect=connection.dialect) from error
    finally:
        cursor.close()


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
