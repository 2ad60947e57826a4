"""`cloudyard openapi`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cloudyard.entrypoints.openapi_documents import openapi_documents

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def openapi() -> None:
    """Write the OpenAPI documents of all surfaces."""


@app.command()
def export(
    folder: Annotated[Path, typer.Option(help="Where to write them.", metavar="DIR")] = Path("contracts"),
) -> None:
    """Write each surface's document as FOLDER/SURFACE.openapi.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in asyncio.run(openapi_documents()).items():
        (folder / name).write_text(content, encoding="utf-8")
        typer.echo(f"{folder / name} was written.")
