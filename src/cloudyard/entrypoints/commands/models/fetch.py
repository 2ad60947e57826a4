"""`cloudyard models fetch`."""

import typer

from cloudyard.backends.model_store.fetch import fetch_models
from cloudyard.entrypoints.commands.options import DataDir, settings_for

app = typer.Typer(add_completion=False)


@app.command()
def fetch(data_dir: DataDir = None) -> None:
    """Get the two default models and check them by hash; what is there and right is left alone."""
    folder = settings_for(data_dir).data_dir / "models"
    names = ", ".join(fetch_models(folder))
    typer.echo(f"Models in {folder}: {names}")
