"""Backends of identity's `IdentityProvider` port: OpenID Connect over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloudyard.backends.oidc.http import ProviderHttp
from cloudyard.backends.oidc.provider import OidcProvider
from cloudyard.domains.identity import IdentityProvider
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.settings.sign_in import SignInSettings


@dataclass(frozen=True, slots=True)
class IdentityProviders:
    """The providers of the settings, by name."""

    by_name: Mapping[str, IdentityProvider]
    http: ProviderHttp

    async def close(self) -> None:
        """Close every connection."""
        await self.http.close()


def open_identity_providers(settings: SignInSettings, clock: Clock) -> IdentityProviders:
    """What the settings name. No provider is asked anything yet."""
    http = ProviderHttp()
    by_name = {
        name: OidcProvider(name, provider, http, clock, timeout_seconds=settings.timeout_seconds)
        for name, provider in settings.providers.items()
    }
    return IdentityProviders(by_name, http)
