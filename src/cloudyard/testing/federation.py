"""Signing in through a provider on the loopback, over the services of a test's own database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloudyard.backends.oidc import open_identity_providers
from cloudyard.domains.identity import (
    AccountMail,
    Arrival,
    Attempt,
    ExternalAccounts,
    Federation,
    ProviderAnswer,
    SignInAttempts,
    Wish,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.identity import LINK_BASE, IdentityParts
from cloudyard.testing.oidc_provider import LoopbackProvider, browser, query_of

APP = "https://your-app.com/auth/callback"
CALLBACK = f"{LINK_BASE}/aihub/api/auth/oidc/acme/callback"
WISH = Wish(APP, CALLBACK)


@dataclass(frozen=True, slots=True)
class SigningIn:
    """The service, and the way of a browser through it."""

    federation: Federation

    async def came_back(self, wish: Wish = WISH) -> tuple[str, str, ProviderAnswer]:
        """A browser that went to the provider and back: its state, its secret, and what it brings."""
        departure = await self.federation.begin("acme", wish)
        async with browser() as client:
            back = await client.get(departure.url)
        assert back.status_code == 302, back.text
        found = query_of(back.headers["location"])
        assert found["state"] == departure.state
        return departure.state, departure.secret, ProviderAnswer(found["code"], issuer=found.get("iss"))

    async def resumed(self, wish: Wish = WISH) -> tuple[Attempt, ProviderAnswer]:
        """A sign-in that is known again."""
        state, secret, answer = await self.came_back(wish)
        return await self.federation.resume("acme", state, secret), answer

    async def arrives(self, wish: Wish = WISH) -> Arrival:
        """Whoever sits at the provider signs in."""
        return await self.federation.complete(*await self.resumed(wish))


@asynccontextmanager
async def signing_in(
    parts: IdentityParts, database: Database, clock: Clock, ids: Ids, outbox: Outbox, acme: LoopbackProvider
) -> AsyncIterator[SigningIn]:
    """The service with one provider. A second one over the same database and parts acts as another process."""
    settings = SignInSettings(providers={"acme": acme.settings()}, redirect_uris=[APP])
    mail = AccountMail(outbox, clock, ids, parts.box, parts.settings, link_base=LINK_BASE)
    providers = open_identity_providers(settings, clock)
    yield SigningIn(
        Federation(
            database,
            clock,
            ids,
            parts.audit,
            SignInAttempts(clock, ids, parts.box),
            ExternalAccounts(clock, ids, outbox, parts.audit, mail),
            parts.sessions,
            providers.by_name,
            settings.redirect_uris,
        )
    )
    await providers.close()
