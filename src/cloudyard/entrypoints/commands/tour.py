"""`cloudyard tour`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cloudyard.entrypoints.tour import Administrator, TourOptions, take_tour
from cloudyard.entrypoints.tour.route import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.foundation.ids import SystemIds

app = typer.Typer(add_completion=False)


@app.command()
def tour(
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    model: Annotated[str, typer.Option(help="Chat model to use.")] = DEFAULT_MODEL,
    embedding_model: Annotated[str, typer.Option(help="Embedding model to use.")] = DEFAULT_EMBEDDING_MODEL,
    data_dir: Annotated[
        Path | None, typer.Option(help="The server's data, where it is on this machine: to verify its ledger.")
    ] = None,
    admin_email: Annotated[
        str | None,
        typer.Option(envvar="CLOUDYARD_ADMIN_EMAIL", help="An administrator, to show webhooks; see --admin-password."),
    ] = None,
    admin_password: Annotated[
        str | None, typer.Option(envvar="CLOUDYARD_ADMIN_PASSWORD", help="Better given in the environment.")
    ] = None,
) -> None:
    """Show a running server by using it as a new user would, through its public APIs, and check every charge.

    Every request is printed as a curl command that can be pasted. Fails if a single figure does not add up.
    """
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # whoever is told to go tidies up
    administrator = Administrator(admin_email, admin_password) if admin_email and admin_password else None
    options = TourOptions(url, data_dir, model, embedding_model, administrator)
    screen = Screen(Console(highlight=False))
    if not take_tour(options, screen, SystemIds()):
        typer.echo(f"\ncloudyard: {screen.wrong} figures were wrong; they are marked WRONG above.", err=True)
        raise typer.Exit(1)
    typer.echo("\nEverything on this tour added up.")
