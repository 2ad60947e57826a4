"""Changing rows behind the back of the application, as an administrator of the database can."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import asyncpg


async def spoil(url: str, statements: Sequence[str]) -> None:
    """Run statements with triggers dropped, keys and checks switched off."""
    if url.startswith("sqlite"):
        _spoil_file(Path(url.removeprefix("sqlite:///")), statements)
    else:
        await _spoil_server(url, statements)


def _spoil_file(file: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)


async def _spoil_server(url: str, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        triggers = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
        rules = (
            "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype IN ('c', 'f') AND conrelid <> 0"
        )
        for name, table in await connection.fetch(triggers):
            await connection.execute(f"DROP TRIGGER {name} ON {table}")
        for name, table in await connection.fetch(rules):
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
