"""What a provider says about itself (OpenID Connect Discovery 1.0), and the keys that it signs with."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cloudyard.backends.oidc.http import ProviderHttp, decoded
from cloudyard.domains.identity import IdentityProviderRefused
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.urls import is_private

WELL_KNOWN = "/.well-known/openid-configuration"
REMEMBERED_SECONDS = 3600.0

Jwk = dict[str, Any]


class Metadata(msgspec.Struct, frozen=True):
    """The part of a discovery document that signing in needs (section 3). What it leaves out has the default there."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[Jwk]


class Discovery:
    """Knows one provider's endpoints and keys, each for an hour at a time."""

    def __init__(self, http: ProviderHttp, clock: Clock, issuer: str) -> None:
        self._http = http
        self._clock = clock
        self._issuer = issuer
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[list[Jwk], float] | None = None

    async def metadata(self) -> Metadata:
        """The provider's endpoints. Raises `IdentityProviderUnavailable`, `IdentityProviderRefused`."""
        if self._metadata is None or self._metadata[1] <= self._clock.monotonic():
            body = await self._fetched(self._issuer.rstrip("/") + WELL_KNOWN, "discovery document")
            found = self._trusted(decoded(body, Metadata, "discovery document"))
            self._metadata = (found, self._clock.monotonic() + REMEMBERED_SECONDS)
        return self._metadata[0]

    async def keys(self, *, anew: bool = False) -> list[Jwk]:
        """The provider's public keys (RFC 7517). Raises what `metadata` raises."""
        if anew or self._keys is None or self._keys[1] <= self._clock.monotonic():
            body = await self._fetched((await self.metadata()).jwks_uri, "key set")
            found = decoded(body, _KeySet, "key set").keys
            self._keys = (found, self._clock.monotonic() + REMEMBERED_SECONDS)
        return self._keys[0]

    async def _fetched(self, url: str, what: str) -> bytes:
        status, body = await self._http.get(url)
        if status != HTTPStatus.OK:
            raise IdentityProviderRefused(
                f"The identity provider answers {status} for its {what}. Tell your administrator.",
                for_operators=f"at {url}; check the provider's issuer in sign_in.providers",
            )
        return body

    def _trusted(self, found: Metadata) -> Metadata:
        """The document, if it is this issuer's (section 4.3) and nothing in it leads over an open road."""
        if found.issuer != self._issuer:
            raise IdentityProviderRefused(
                "The identity provider is not the one that the settings name. Tell your administrator.",
                for_operators=f"it calls itself {found.issuer[:255]!r}, and the settings call it {self._issuer!r}: "
                "set the issuer in sign_in.providers to the very same text",
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            url = getattr(found, name)
            if url is not None and not self._may_lead_to(url):
                raise IdentityProviderRefused(f"The identity provider's {name} is no https address. Report it there.")
        return found

    def _may_lead_to(self, url: str) -> bool:
        """Like the issuer itself: https, or where the issuer is on this machine and by http, there too."""
        try:
            return is_private(url) and (urlsplit(url).scheme == "https" or urlsplit(self._issuer).scheme == "http")
        except ValueError:
            return False
