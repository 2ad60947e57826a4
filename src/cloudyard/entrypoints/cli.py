"""The command line: `cloudyard COMMAND`."""

import sys

import typer

from cloudyard.entrypoints.lazy import lazy_group
from cloudyard.foundation.errors import DomainError

COMMANDS = {
    "serve": "Run the server, in the production profile unless told otherwise.",
    "tour": "Show a running server by using it, and check every charge on the way.",
    "models": "List, fetch, add and remove models.",
    "admin": "Make administrators, and give credits.",
    "ledger": "Check the books.",
    "keys": "Look after the keys that sign and encrypt.",
    "database": "Bring the database up to date.",
    "settings": "Write the reference of all settings.",
    "openapi": "Write the OpenAPI documents of all surfaces.",
    "version": "Show the version.",
}

app = typer.Typer(
    cls=lazy_group("cloudyard.entrypoints.commands", COMMANDS), no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def cloudyard() -> None:
    """Cloudyard: the AI cloud that a team runs itself."""


def main() -> None:
    """Run the command that the arguments name; an expected failure is one line and exit status 1."""
    try:
        app()
    except DomainError as error:
        sys.exit(f"cloudyard: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
