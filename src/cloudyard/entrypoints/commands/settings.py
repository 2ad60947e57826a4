"""`cloudyard settings`."""

from pathlib import Path
from typing import Annotated

import typer

from cloudyard.entrypoints.settings_reference import settings_reference

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def settings() -> None:
    """Write the reference of all settings."""


@app.command()
def reference(
    output: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = Path(
        "docs/reference/settings.md"
    ),
) -> None:
    """Write the reference page of all settings from their definitions."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(settings_reference(), encoding="utf-8")
    typer.echo(f"{output} was written.")
