"""`cloudyard models remove`."""

import asyncio
from typing import Annotated

import typer

from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The model's name.")], data_dir: DataDir = None) -> None:
    """Remove a model that was added with `cloudyard models add`; its file stays."""
    asyncio.run(_remove(settings_for(data_dir), name))
    typer.echo(f"{name} was removed. A server that is running drops it within seconds.")


async def _remove(settings: Settings, name: str) -> None:
    async with services_of(settings) as services:
        await services.catalogue.remove(name)
