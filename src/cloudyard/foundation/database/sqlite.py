"""How connections to a SQLite file are opened and how their transactions begin."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cloudyard.foundation.places import needed

CHECKPOINT_PAGES = 4000
"""Pages in the write-ahead log before they are copied into the file: rare enough that a busy page is copied once for
many commits, often enough that the log stays at about 16 MB."""
NAMED_BY = "--data-dir or database.url"


def prepared_file(url: URL) -> URL:
    """Make the folder and the file, for nobody else to read. Raises `PlaceUnusable`."""
    file = Path(url.database or "")
    with needed(file.parent, named_by=NAMED_BY):
        file.parent.mkdir(parents=True, exist_ok=True)
    with needed(file, named_by=NAMED_BY), suppress(FileExistsError):
        file.touch(mode=0o600, exist_ok=False)
    return url


def writing_engine(url: URL, busy_timeout_ms: int) -> AsyncEngine:
    """Connections for one writer at a time."""
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=1)
    _configure(engine.sync_engine, busy_timeout_ms, begin="BEGIN IMMEDIATE")
    return engine


def reading_engine(url: URL, busy_timeout_ms: int, pool_size: int) -> AsyncEngine:
    """Connections that cannot write."""
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=pool_size)
    _configure(engine.sync_engine, busy_timeout_ms, begin="BEGIN", query_only=True)
    return engine


def thread_engine(url: URL, busy_timeout_ms: int, *, query_only: bool = False) -> Engine:
    """The one connection of a `UnitThread`, which says itself when its transactions begin and end."""
    engine = create_engine(url.set(drivername="sqlite"), pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT")
    _configure(engine, busy_timeout_ms, begin=None, query_only=query_only)
    return engine


def run_statement(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
    """Run a statement on the driver itself, which costs a fraction of SQLAlchemy's way; every row that it gives.

    Its failures are raised as SQLAlchemy raises them.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error, dialect=connection.dialect) from error
    finally:
        cursor.close()


def run_for_each(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each row, as `run_statement` does."""
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(statement, rows)
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error, dialect=connection.dialect) from error
    finally:
        cursor.close()


def _configure(engine: Engine, busy_timeout_ms: int, *, begin: str | None, query_only: bool = False) -> None:
    pragmas = (
        f"busy_timeout={busy_timeout_ms}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",  # else INSERT OR REPLACE deletes rows without asking their triggers
        "temp_store=MEMORY",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        f"query_only={int(query_only)}",
    )

    def connected(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to say, not the driver's
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", connected)
    if begin is not None:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
