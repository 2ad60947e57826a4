"""`cloudyard version`."""

import platform

import typer

from cloudyard import __version__

app = typer.Typer(add_completion=False)


@app.command()
def version() -> None:
    """Show the version of Cloudyard and of Python."""
    typer.echo(f"cloudyard {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
