"""Bringing a database up to date at start, all in one transaction: a failed migration changes nothing."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError, ErrorKind


class MigrationFailed(DomainError):
    """The database could not be brought up to date; it is as it was before."""

    code = "migration_failed"
    kind = ErrorKind.UNAVAILABLE


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def is_current(database: Database) -> bool:
    """Whether every migration was applied."""
    async with database.reading() as tx:
        return await tx.run_sync(_is_current)


async def upgrade(database: Database) -> bool:
    """Apply what is missing; whether there was anything. Raises `MigrationFailed`."""
    try:
        return await database.run(_upgrade)
    except (DBAPIError, CommandError) as error:
        reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise MigrationFailed(
            f"The database could not be brought up to date: {reason}. Nothing was changed and the server does not "
            "start. Restore the version that wrote this database, or mend the cause and start again."
        ) from error


def _is_current(connection: Connection) -> bool:
    newest = ScriptDirectory.from_config(migration_config(connection)).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest


def _upgrade(connection: Connection) -> bool:
    if _is_current(connection):
        return False
    command.upgrade(migration_config(connection), "head")
    return True
