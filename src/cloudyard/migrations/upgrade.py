"""Bringing a database up to date at start, all in one transaction: a failed migration changes nothing."""

from importlib import import_module

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cloudyard.foundation.database import Database
from cloudyard.migrations.errors import failed
from cloudyard.migrations.revisions import applied_revision, newest_revision


async def is_current(database: Database) -> bool:
    """Whether every migration was applied."""
    async with database.reading() as tx:
        return await tx.run_sync(_is_current)


async def upgrade(database: Database) -> bool:
    """Apply what is missing; whether there was anything. Raises `MigrationFailed`."""
    try:
        return await database.run(_upgrade)
    except DBAPIError as error:
        raise failed(error.orig) from error


def _is_current(connection: Connection) -> bool:
    return applied_revision(connection) == newest_revision()


def _upgrade(connection: Connection) -> bool:
    if _is_current(connection):
        return False
    import_module("cloudyard.migrations.applying").apply_all(connection)
    return True
