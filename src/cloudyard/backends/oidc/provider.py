"""One OpenID Connect provider behind the `IdentityProvider` port."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import quote_plus

import msgspec
import structlog

from cloudyard.backends.oidc.discovery import Discovery, Metadata
from cloudyard.backends.oidc.http import RETRY_SECONDS, ProviderHttp, decoded
from cloudyard.backends.oidc.id_tokens import Claims, UnknownKey, verified
from cloudyard.domains.identity import ExternalPerson, IdentityProviderRefused, IdentityProviderUnavailable
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.settings.sign_in import GOOGLE_ISSUER, SignInProviderSettings
from cloudyard.foundation.urls import with_parameters

log = structlog.get_logger(__name__)

BASIC, POST = "client_secret_basic", "client_secret_post"
CLIENT_TROUBLE = frozenset({"invalid_client", "unauthorized_client"})
GOOGLE_SHORT_ISSUER = "accounts.google.com"
"""What some of Google's ID tokens say (Google Identity, OpenID Connect, the claim `iss`)."""


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    error: str = "no reason given"
    error_description: str = ""


class OidcProvider:
    """Speaks the code flow with one provider. Each call ends within `timeout_seconds`, whatever the provider does."""

    def __init__(
        self, name: str, settings: SignInProviderSettings, http: ProviderHttp, clock: Clock, *, timeout_seconds: float
    ) -> None:
        self._name = name
        self._settings = settings
        self._http = http
        self._clock = clock
        self._timeout = timeout_seconds
        self._discovery = Discovery(http, clock, settings.issuer)

    @property
    def title(self) -> str:
        """What people call it."""
        return self._settings.title

    async def authorization_url(self, *, callback_url: str, state: str, nonce: str, code_challenge: str) -> str:
        """The provider's own page, told what we want of it."""
        async with self._in_time():
            metadata = await self._discovery.metadata()
        return with_parameters(
            metadata.authorization_endpoint,
            {
                "response_type": "code",
                "client_id": self._settings.client_id,
                "redirect_uri": callback_url,
                "scope": " ".join(self._settings.scopes),
                "state": state,
                "nonce": nonce,
                "code_challenge": code_challenge,
                "code_challenge_method": "S256",
            },
        )

    async def redeem(
        self, code: str, *, issuer: str | None, callback_url: str, nonce: str, code_verifier: str
    ) -> ExternalPerson:
        """Trade the code for an ID token, and read it."""
        async with self._in_time():
            metadata = await self._discovery.metadata()
            self._check_sender(metadata, issuer)
            tokens = await self._traded(metadata, code, callback_url, code_verifier)
            claims = await self._identified(tokens.id_token, nonce)
            if claims.email is None:
                claims = await self._user_info(metadata, tokens, claims)
        return _person(self._settings, claims)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            raise IdentityProviderUnavailable(
                f"{self.title} did not answer within {self._timeout:g} s. Try again shortly.",
                retry_after=RETRY_SECONDS,
            ) from error

    def _check_sender(self, metadata: Metadata, issuer: str | None) -> None:
        """Who sent the browser back must be whom it was sent to (RFC 9207, section 2.4)."""
        missing = issuer is None and metadata.authorization_response_iss_parameter_supported
        if missing or issuer not in (None, metadata.issuer):
            raise IdentityProviderRefused(f"The browser came back from somebody else than {self.title}. Start again.")

    async def _traded(self, metadata: Metadata, code: str, callback_url: str, code_verifier: str) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback_url,
            "code_verifier": code_verifier,
        }
        headers = self._client_authentication(metadata, form)
        status, body = await self._http.post(metadata.token_endpoint, form, headers=headers)
        if status != HTTPStatus.OK:
            raise self._refusal(status, body)
        return decoded(body, _Tokens, "token answer")

    def _client_authentication(self, metadata: Metadata, form: dict[str, str]) -> dict[str, str]:
        """The header that proves who we are, or the form's fields for it (RFC 6749, section 2.3.1)."""
        client_id, secret = self._settings.client_id, self._settings.client_secret
        if secret is not None and self._secret_in_header(metadata):
            pair = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        form["client_id"] = client_id
        if secret is not None:
            form["client_secret"] = secret.get_secret_value()
        return {}

    def _secret_in_header(self, metadata: Metadata) -> bool:
        """As the settings say, else in the header unless the provider takes it in the form alone (Core, section 9)."""
        place = self._settings.client_secret_in
        if place is not None:
            return place == "header"
        methods = metadata.token_endpoint_auth_methods_supported or [BASIC]
        return BASIC in methods or POST not in methods

    def _refusal(self, status: int, body: bytes) -> IdentityProviderRefused:
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = _Problem()
        said = (problem.error[:100], problem.error_description[:300])
        log.warning("identity provider refused a code", provider=self._name, status=status, said=said)
        if problem.error in CLIENT_TROUBLE or status == HTTPStatus.UNAUTHORIZED:
            return IdentityProviderRefused(
                f"{self.title} does not know this installation. Tell your administrator.",
                for_operators=f"check client_id, client_secret and client_secret_in of sign_in.providers.{self._name}",
            )
        return IdentityProviderRefused(f"{self.title} does not take back the code that it gave. Start again.")

    async def _identified(self, id_token: str, nonce: str) -> Claims:
        """The claims of the token; its keys are fetched anew where it is signed with one that is not known yet."""
        try:
            return await self._verified(id_token, nonce, anew=False)
        except UnknownKey:
            pass
        try:
            return await self._verified(id_token, nonce, anew=True)
        except UnknownKey as error:
            raise IdentityProviderRefused(
                f"{self.title} signed with a key that it does not publish. Start again; if it stays so, tell your "
                "administrator."
            ) from error

    async def _verified(self, id_token: str, nonce: str, *, anew: bool) -> Claims:
        issuer = self._settings.issuer
        return verified(
            id_token,
            await self._discovery.keys(anew=anew),
            issuers={issuer, GOOGLE_SHORT_ISSUER} if issuer == GOOGLE_ISSUER else {issuer},
            client_id=self._settings.client_id,
            nonce=nonce,
            now=self._clock.now(),
        )

    async def _user_info(self, metadata: Metadata, tokens: _Tokens, identified: Claims) -> Claims:
        """Claims that the ID token leaves out; they must be of the same person (Core, section 5.3.2)."""
        if metadata.userinfo_endpoint is None or tokens.access_token is None:
            return identified
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        status, body = await self._http.get(metadata.userinfo_endpoint, headers=headers)
        if status != HTTPStatus.OK:
            raise IdentityProviderRefused(f"{self.title} answers {status} when asked who signed in. Start again.")
        told = decoded(body, Claims, "userinfo")
        if told.sub != identified.sub:
            raise IdentityProviderRefused(f"{self.title} tells of two different people. Start again.")
        return told


def _person(settings: SignInProviderSettings, claims: Claims) -> ExternalPerson:
    vouched = claims.email_verified if claims.email_verified is not None else settings.trust_emails
    first, _, last = (claims.name or "").strip().partition(" ")
    if claims.given_name or claims.family_name:
        first, last = claims.given_name or "", claims.family_name or ""
    return ExternalPerson(
        issuer=settings.issuer,
        subject=claims.sub,
        email=claims.email,
        email_verified=vouched in (True, "true"),
        first_name=first,
        last_name=last,
    )
