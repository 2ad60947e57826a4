"""Applying migrations by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from cloudyard.migrations.errors import failed


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def apply_all(connection: Connection) -> None:
    """Apply what is missing. Raises `MigrationFailed`, or what the database raises."""
    try:
        command.upgrade(migration_config(connection), "head")
    except CommandError as error:
        raise failed(error) from error
