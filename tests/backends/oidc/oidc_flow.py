"""One installation's use of a provider on the loopback."""

from typing import Any

from cloudyard.backends.oidc import open_identity_providers
from cloudyard.domains.identity import ExternalPerson
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.oidc_provider import (
    LoopbackProvider,
    browser,
    query_of,
)

CALLBACK = "http://127.0.0.1/aihub/api/auth/oidc/acme/callback"
VERIFIER = "v" * 43
NONCE = "a-nonce"
EMAIL = "ada@example.com"


class Flow:
    """One installation's use of the provider."""

    def __init__(self, acme: LoopbackProvider, clock: ManualClock, **changes: Any) -> None:
        timeout = changes.pop("timeout_seconds", 10)
        settings = SignInSettings(providers={"acme": acme.settings(**changes)}, timeout_seconds=timeout)
        self._opened = open_identity_providers(settings, clock)
        self.provider = self._opened.by_name["acme"]

    async def url(self, *, nonce: str = NONCE) -> str:
        return await self.provider.authorization_url(
            callback_url=CALLBACK, state="a-state", nonce=nonce, code_challenge=code_challenge(VERIFIER)
        )

    async def code(self, *, nonce: str = NONCE) -> str:
        async with browser() as client:
            back = await client.get(await self.url(nonce=nonce))
        assert back.status_code == 302, back.text
        return query_of(back.headers["location"])["code"]

    async def redeem(self, code: str, **changes: Any) -> ExternalPerson:
        wanted: dict[str, Any] = {"issuer": None, "callback_url": CALLBACK, "nonce": NONCE, "code_verifier": VERIFIER}
        return await self.provider.redeem(code, **(wanted | changes))

    async def person(self, **changes: Any) -> ExternalPerson:
        return await self.redeem(await self.code(), **changes)

    async def close(self) -> None:
        await self._opened.close()
