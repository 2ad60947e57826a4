"""`cloudyard models`."""

import typer

from cloudyard.entrypoints.lazy import lazy_group

COMMANDS = {
    "list": "Show every model with its prices and what serves it.",
    "fetch": "Get the default models and check them by hash.",
    "add": "Add a GGUF file of this machine, or a model of an OpenAI-compatible server.",
    "remove": "Remove a model that was added.",
}

app = typer.Typer(cls=lazy_group(__name__, COMMANDS), no_args_is_help=True, add_completion=False)


@app.callback()
def models() -> None:
    """List, fetch, add and remove models."""
