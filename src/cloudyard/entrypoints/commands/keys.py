"""`cloudyard keys`."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from cloudyard.domains.inference import UpstreamKey
from cloudyard.domains.webhooks import Webhook
from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.settings import Settings

UPSTREAM_KEY_DISCARDED = "upstream_key.discarded"

app = typer.Typer(no_args_is_help=True, add_completion=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What no encryption key at hand can decrypt."""

    signing_keys: Sequence[str]
    upstream_keys: Sequence[UpstreamKey]
    webhooks: Sequence[Webhook]
    push_key: bool

    def lines(self) -> Iterator[str]:
        """Each secret, and what its loss means."""
        for kid in self.signing_keys:
            yield f"signing key {kid}: every session ends, and everybody logs in again"
        for key in self.upstream_keys:
            yield (
                f"key of the model {key.model}, deployment {key.deployment}: enter it again, with "
                f"`cloudyard models add {key.model} ... --api-key KEY`"
            )
        for webhook in self.webhooks:
            yield f"secret of the webhook {webhook.id} to {webhook.url}: it is disabled until you give it a new secret"
        if self.push_key:
            yield "key of web push: every browser has to subscribe to notices again"


@app.callback()
def keys() -> None:
    """Look after the keys that sign and encrypt."""


@app.command()
def discard_unreadable(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Discard what cannot be decrypted, after the encryption key was lost. It is shown first.

    The server does not start while there are signing or upstream keys among them. Signing keys make themselves anew;
    keys of upstream servers are to be entered again; webhooks are disabled until they have a new secret; browsers
    subscribe to notices again; mails that were waiting are not sent. Passwords and API keys are not concerned. It is
    recorded in the audit log.
    """
    settings = settings_for(data_dir)
    found = asyncio.run(_find(settings))
    if not any(found.lines()):
        typer.echo("Every stored secret can be decrypted. Nothing was discarded.")
        return
    typer.echo(f"With {_key_at_hand(settings)} these cannot be decrypted:")
    for line in found.lines():
        typer.echo(f"  {line}")
    if not yes:
        typer.echo("If the server runs with another key, or the lost one may turn up, stop here and put it back.")
        typer.confirm("Discard them for good?", abort=True)
    discarded = asyncio.run(_discard(settings))
    typer.echo(
        f"Discarded: {len(discarded.signing_keys)} signing keys, {len(discarded.upstream_keys)} upstream keys, "
        f"{len(discarded.webhooks)} webhook secrets, {int(discarded.push_key)} push keys."
    )


def _key_at_hand(settings: Settings) -> str:
    if settings.security.encryption_key is not None:
        return "the setting security.encryption_key"
    return f"the key in {settings.data_dir / 'encryption.key'}"


async def _find(settings: Settings) -> Unreadable:
    async with services_of(settings, load=False) as services:
        signing_keys = await services.signing_keys.unreadable()
        async with services.database.reading() as tx:
            return Unreadable(
                signing_keys,
                await services.catalogue.unreadable_keys(tx),
                await services.lost_webhook_secrets.unreadable(tx),
                await services.push_keys.unreadable(tx),
            )


async def _discard(settings: Settings) -> Unreadable:
    async with services_of(settings, load=False) as services, services.database.transaction() as tx:
        signing_keys = await services.signing_keys.discard_unreadable(tx)
        upstream_keys = await services.catalogue.unreadable_keys(tx)
        await services.catalogue.discard_keys(tx, upstream_keys)
        for key in upstream_keys:
            details = {"model": key.model, "deployment": key.deployment}
            await services.audit.record(tx, None, UPSTREAM_KEY_DISCARDED, "catalogue", details)
        webhooks = await services.lost_webhook_secrets.discard_unreadable(tx)
        push_key = await services.push_keys.discard_unreadable(tx)
        return Unreadable(signing_keys, upstream_keys, webhooks, push_key)
