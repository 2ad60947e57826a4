"""`cloudyard admin`."""

import asyncio
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from cloudyard.domains.identity import Link
from cloudyard.domains.ledger import Wallet
from cloudyard.entrypoints.commands.opening import services_of
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.money import CreditRate, plain_number
from cloudyard.foundation.settings import Settings

PASSWORD_BYTES = 18

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def admin() -> None:
    """Make administrators, give credits, help users back in."""


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="The administrator's e-mail address.")], data_dir: DataDir = None
) -> None:
    """Create an administrator. The password is CLOUDYARD_ADMIN_PASSWORD, or else made up and shown this once.

    An account that exists is left as it is.
    """
    settings = settings_for(data_dir)
    given = settings.admin_password
    password = given.get_secret_value() if given else SystemIds().token(PASSWORD_BYTES)
    if not asyncio.run(_create(settings, email, password)):
        typer.echo(f"The administrator {email} exists already; nothing was changed.")
        return
    shown = "the one in CLOUDYARD_ADMIN_PASSWORD" if given else f"{password}   (shown this once: keep it)"
    typer.echo(f"Administrator: {email}\nPassword:      {shown}")


async def _create(settings: Settings, email: str, password: str) -> bool:
    async with services_of(settings) as services:
        return await services.users.ensure_admin(email, password)


@app.command(context_settings={"ignore_unknown_options": True})
def grant(
    user: Annotated[str, typer.Argument(help="E-mail address, username or id.")],
    credits: Annotated[str, typer.Argument(help="How many credits; a negative number takes them away.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the history and the audit log.")],
    data_dir: DataDir = None,
) -> None:
    """Add credits to a wallet by hand."""
    settings = settings_for(data_dir)
    rate = CreditRate(settings.billing.credits_per_usd)
    wallet = asyncio.run(_grant(settings, user, _nanos(credits, rate), reason))
    typer.echo(f"{user} has {plain_number(rate.credits(wallet.available))} credits to spend.")


def _nanos(credits: str, rate: CreditRate) -> int:
    try:
        amount = Decimal(credits)
    except InvalidOperation as error:
        raise _no_amount(credits) from error
    if not amount.is_finite():
        raise _no_amount(credits)
    try:
        return rate.nanos(amount)
    except ValueError as error:
        raise InvalidInput(f"The amount is too fine: {error}. Write fewer decimals.") from error


def _no_amount(credits: str) -> InvalidInput:
    return InvalidInput(f"{credits!r} is no number of credits. Write it like 250 or 0.5.")


@app.command("reset-link")
def reset_link(
    user: Annotated[str, typer.Argument(help="E-mail address, username or id.")], data_dir: DataDir = None
) -> None:
    """Make a link for a user who forgot the password. Hand it over yourself: whoever has it sets the password."""
    settings = settings_for(data_dir)
    link = asyncio.run(_reset_link(settings, user))
    typer.echo(f"{link.url}\nIt works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC.")
    if settings.server.public_url is None:
        typer.echo("Set server.public_url if people reach the server under another address.")


async def _reset_link(settings: Settings, identifier: str) -> Link:
    async with services_of(settings) as services:
        user = await services.users.find(identifier)
        return await services.recovery.reset_link(user.id)


async def _grant(settings: Settings, identifier: str, nanos: int, reason: str) -> Wallet:
    async with services_of(settings) as services:
        user = await services.users.find(identifier)
        await services.ledger.adjust(user.id, nanos, reason=reason, actor=None)
        return await services.ledger.wallet(user.id)
