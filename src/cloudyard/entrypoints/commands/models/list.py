"""`cloudyard models list`."""

import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal

import typer
from rich.console import Console
from rich.table import Table

from cloudyard.domains.billing import Meter, PriceBook, PriceMissing
from cloudyard.domains.inference import Deployment, Model
from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.money import usd_from_nanos
from cloudyard.foundation.settings import Settings

MILLION = 1_000_000
PIPED_WIDTH = 160

app = typer.Typer(add_completion=False)


@app.command("list")
def list_models(data_dir: DataDir = None) -> None:
    """Show every model with its prices (dollars for a million tokens) and what serves it."""
    rows, aliases = asyncio.run(_read(settings_for(data_dir)))
    table = Table("model", "kind", "context", "in", "out", "served by", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table, highlight=False)
    for alias in aliases:
        console.print(alias, highlight=False)


async def _read(settings: Settings) -> tuple[Sequence[Sequence[str]], Sequence[str]]:
    async with services_of(settings) as services:
        rows = [_row(model, services.prices) for model in services.catalogue.models()]
        aliases = [f"{alias} stands for {name}" for alias, name in services.catalogue.aliases().items()]
    return rows, aliases


def _row(model: Model, prices: PriceBook) -> Sequence[str]:
    served = ", ".join(map(_served_by, model.deployments))
    price = (_price(model, prices, Meter.INPUT_TOKEN), _price(model, prices, Meter.OUTPUT_TOKEN))
    return (model.name, model.kind.value, str(model.context_length), *price, served)


def _price(model: Model, prices: PriceBook, meter: Meter) -> str:
    try:
        line = prices.current(model.sku).line(meter)
    except PriceMissing:
        return "no price"
    return f"{usd_from_nanos(line.nanos) * MILLION / line.per:f}" if line else str(Decimal(0))


def _served_by(deployment: Deployment) -> str:
    if deployment.local is not None:
        missing = "" if deployment.local.path.is_file() else " (missing)"
        return f"{deployment.local.path.name}{missing}"
    return deployment.endpoint.base_url if deployment.endpoint else "nothing"
