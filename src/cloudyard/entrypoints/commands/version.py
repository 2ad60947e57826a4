"""`cloudyard version`."""

import platform

import typer

from cloudyard import __version__

app = typer.Typer(add_completion=False)


@app.command()
def version() -> None:
    """Show the version of Cloudyard and of Python."""
    python, machine = platform.python_version(), f"{platform.system()} {platform.machine()}"
    typer.echo(f"cloudyard {__version__} (Python {python}, {machine})")
