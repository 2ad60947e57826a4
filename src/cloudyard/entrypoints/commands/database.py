"""`cloudyard database`."""

import asyncio

import typer

from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.database import Database
from cloudyard.foundation.settings import Settings
from cloudyard.migrations.upgrade import upgrade

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def database() -> None:
    """Bring the database up to date."""


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Apply the migrations that are missing, all or none. `cloudyard serve` does the same at its start."""
    changed = asyncio.run(_migrate(settings_for(data_dir)))
    typer.echo("The database was brought up to date." if changed else "The database is up to date.")


async def _migrate(settings: Settings) -> bool:
    database = Database(settings.database_url)
    try:
        return await upgrade(database)
    finally:
        await database.close()
