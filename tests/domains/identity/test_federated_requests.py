"""What an app may ask of a sign-in. What is refused leaves no trace."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloudyard.domains.identity import (
    RedirectUriNotAllowed,
    SignInNotConfigured,
)
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.domains.identity.models import sign_in_attempts
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.federation import APP, CALLBACK, WISH, SigningIn, signing_in
from cloudyard.testing.identity import identity_parts
from cloudyard.testing.oidc_provider import LoopbackProvider

EMAIL = "ada@example.com"
VERIFIER = "v" * 43


@pytest.fixture
async def sign_in(
    sqlite_database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    acme: LoopbackProvider,
    tmp_path: Path,
) -> AsyncIterator[SigningIn]:
    parts = identity_parts(sqlite_database, clock, ids, outbox, tmp_path / "mail")
    async with signing_in(parts, sqlite_database, clock, ids, outbox, acme) as made:
        yield made


async def attempts(database: Database) -> list[Any]:
    async with database.reading() as tx:
        return await tx.all(select(sign_in_attempts))


async def test_a_provider_that_nobody_configured(sign_in: SigningIn) -> None:
    with pytest.raises(SignInNotConfigured, match=r"sign_in\.providers\.google\.client_id"):
        await sign_in.federation.begin("google", WISH)
    assert [(line.name, line.title) for line in sign_in.federation.providers()] == [("acme", "Acme")]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        APP + "/",
        APP + "?next=/",
        APP + "#",
        APP + "x",
        APP.upper(),
        "https://your-app.com/auth",
        "https://your-app.com/auth/callback/../callback",
        "https://your-app.com/auth//callback",
        "https://your-app.com/auth/%63allback",
        "https://your-app.com:443/auth/callback",
        "https://your-app.com:8443/auth/callback",
        "https://your-app.com@evil.example/auth/callback",
        "https://your-app.com.evil.example/auth/callback",
        "https://evil.example/https://your-app.com/auth/callback",
        "https://evil.example\\@your-app.com/auth/callback",
        "http://your-app.com/auth/callback",
        "//your-app.com/auth/callback",
        "javascript:alert(1)",
        APP + "\x00",
        APP + "\n",
        " " + APP,
    ],
)
async def test_users_go_back_to_listed_addresses_alone(sign_in: SigningIn, uri: str, sqlite_database: Database) -> None:
    with pytest.raises(RedirectUriNotAllowed) as caught:
        await sign_in.federation.begin("acme", replace(WISH, redirect_uri=uri))
    assert caught.value.field == "redirect_uri"
    assert await attempts(sqlite_database) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"state": "x" * 1001}, "state"),
        ({"state": "nul\x00"}, "state"),
        ({"challenge": "short"}, "code_challenge"),
        ({"challenge": "=" * 43}, "code_challenge"),
    ],
)
async def test_what_the_app_says_beside_it_is_checked(sign_in: SigningIn, wrong: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await sign_in.federation.begin("acme", replace(WISH, **wrong))
    assert caught.value.field == field


async def test_the_wish_of_the_app_comes_back(sign_in: SigningIn) -> None:
    wish = replace(WISH, state="the app's own \u00e4", challenge=code_challenge(VERIFIER))
    attempt, _answer = await sign_in.resumed(wish)
    assert attempt.wish == wish
    assert attempt.wish.callback_url == CALLBACK
