"""`cloudyard ledger`."""

import asyncio
from collections.abc import Sequence

import typer
from rich.console import Console

from cloudyard.domains.billing import verify as verify_books
from cloudyard.domains.ledger import Discrepancy
from cloudyard.domains.payments import verify_payments
from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def ledger() -> None:
    """Check the books."""


@app.command()
def verify(data_dir: DataDir = None) -> None:
    """Recompute every balance, hold and charge from postings and usage records, and compare every purchase, refund and
    dispute with them; fail on any difference.

    Changes nothing, and may run beside the server.
    """
    found = asyncio.run(_verify(settings_for(data_dir)))
    console = Console(soft_wrap=True)
    for discrepancy in found:
        details = ", ".join(f"{name} {value}" for name, value in discrepancy.details.items())
        console.print(f"{discrepancy.subject}: {discrepancy.problem} ({details})", markup=False, highlight=False)
    if found:
        console.print(f"The books are wrong in {len(found)} places. Nothing was changed.", style="bold red")
        raise typer.Exit(1)
    console.print(
        "The books are right: every balance, hold and charge follows from postings and usage records, and every "
        "purchase has its posting."
    )


async def _verify(settings: Settings) -> Sequence[Discrepancy]:
    async with services_of(settings, patient=True) as services, services.database.reading() as tx:
        return [*await tx.run_sync(verify_books), *await tx.run_sync(verify_payments)]
