"""`cloudyard models add`."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import SecretStr

from cloudyard.domains.billing import Meter, PriceLine
from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import nanos_from_usd
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.inference import DeploymentSettings, ModelSettings

MILLION = 1_000_000
KEY_VARIABLE = "CLOUDYARD_UPSTREAM_API_KEY"

app = typer.Typer(add_completion=False)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name that callers use.")],
    input_usd: Annotated[str, typer.Option(help="Price of a million prompt tokens, in dollars; may be 0.")],
    output_usd: Annotated[str, typer.Option(help="Price of a million answer tokens, in dollars; may be 0.")] = "0",
    gguf: Annotated[Path | None, typer.Option(help="A GGUF file of this machine.", metavar="FILE")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server, ending in /v1.", metavar="URL")
    ] = None,
    upstream_model: Annotated[
        str | None, typer.Option(help="The model's name on that server.  [default: NAME]")
    ] = None,
    kind: Annotated[Literal["chat", "embedding"], typer.Option(help="What the model does.")] = "chat",
    context_length: Annotated[int, typer.Option(min=1, help="Tokens of prompt and answer together.")] = 2048,
    api_key: Annotated[
        str | None,
        typer.Option(envvar=KEY_VARIABLE, help="The server's key; better given in the environment.", metavar="KEY"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a model, or replace one that was added before: a GGUF file, or a model of an OpenAI-compatible server.

    A running server serves it within seconds. Its key is stored encrypted.
    """
    deployment = _deployment(gguf, base_url, upstream_model, api_key)
    model = ModelSettings(kind=kind, context_length=context_length, deployments=[deployment], provider=deployment.name)
    prices = [_price(Meter.INPUT_TOKEN, input_usd), _price(Meter.OUTPUT_TOKEN, output_usd)]
    asyncio.run(_add(settings_for(data_dir), name, model, prices))
    typer.echo(f"{name} was added. A server that is running serves it within seconds.")


def _deployment(
    gguf: Path | None, base_url: str | None, upstream_model: str | None, api_key: str | None
) -> DeploymentSettings:
    if gguf is not None and base_url is None:
        if not gguf.is_file():
            raise InvalidInput(f"There is no file {gguf}. Name a GGUF file that is there.", field="gguf")
        return DeploymentSettings(name="local", kind="local", path=gguf.resolve())
    if base_url is not None and gguf is None:
        key = SecretStr(api_key) if api_key else None
        return DeploymentSettings(
            name="upstream", kind="openai", base_url=base_url, upstream_model=upstream_model, api_key=key
        )
    raise InvalidInput("Name what serves the model: either --gguf FILE or --base-url URL.")


def _price(meter: Meter, usd: str) -> PriceLine:
    try:
        amount = Decimal(usd)
        if amount.is_finite() and amount >= 0:
            return PriceLine(meter, nanos_from_usd(amount), MILLION)
    except (InvalidOperation, ValueError):
        pass
    raise InvalidInput(f"{usd!r} is no price. Write dollars for a million tokens, like 0.15.")


async def _add(settings: Settings, name: str, model: ModelSettings, prices: Sequence[PriceLine]) -> None:
    async with services_of(settings) as services:
        added = await services.catalogue.add(name, model)
        await services.prices.publish(added.sku, prices)
