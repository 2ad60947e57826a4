"""An OpenID Connect provider on the loopback that can be told to misbehave, which real ones cannot.

By itself it does what a provider must: it knows its client and where that may send people, checks the PKCE verifier,
gives out each code once, and signs with RS256 and a key that it publishes.
"""

import secrets
import ssl
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.settings.sign_in import SignInProviderSettings
from cloudyard.testing.live_server import serving

CLIENT_ID = "cloudyard"
CLIENT_SECRET = "a secret with ünusual: characters%"  # noqa: S105 - of a provider that lives as long as a test
MINUTE = 60

Claims = dict[str, Any]


@dataclass(frozen=True)
class SigningPair:
    """A private key, and its public half as the provider publishes it."""

    kid: str
    private: rsa.RSAPrivateKey

    def jwk(self) -> dict[str, Any]:
        """The public half (RFC 7517)."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": "RS256"}


def new_pair() -> SigningPair:
    """A new key under a new name."""
    return SigningPair(secrets.token_hex(4), rsa.generate_private_key(public_exponent=65537, key_size=2048))


@dataclass
class LoopbackProvider:
    """What it says and does; a test may change any of it.

    `person` is who signs in next. `sign` makes an ID token of claims. `answers` take the place of what a path
    (`/token`, `/jwks`, ...) would answer; `used` lists the paths that were asked.
    """

    now: Callable[[], float]
    pair: SigningPair
    issuer: str = ""
    person: Claims = field(default_factory=dict)
    sign: Callable[[Claims], str] = field(init=False)
    published: list[dict[str, Any]] = field(init=False)
    answers: dict[str, Callable[[], Response]] = field(default_factory=dict)
    extra_claims: Claims = field(default_factory=dict)
    in_id_token: bool = True
    tells_issuer: bool = False
    authentication: tuple[str, ...] = ("client_secret_basic",)
    used: list[str] = field(default_factory=list)
    codes: dict[str, tuple[dict[str, str], Claims]] = field(default_factory=dict)
    access_tokens: dict[str, Claims] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sign = self.signed
        self.published = [self.pair.jwk()]

    def start_over(self, clock: Clock) -> None:
        """Forget everything but its address and its key, and go by another clock."""
        self.__dict__.update(LoopbackProvider(_now_of(clock), self.pair, self.issuer).__dict__)
        self.__post_init__()

    def settings(self, **changes: Any) -> SignInProviderSettings:
        """How an installation that knows this provider names it."""
        named = {"issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "title": "Acme"}
        return SignInProviderSettings(**(named | changes))

    def signs_in(self, subject: str, email: str | None, *, verified: bool | str | None = True, **claims: Any) -> None:
        """Who sits at the browser from now on."""
        told = {"sub": subject, "email": email, "email_verified": verified, **claims}
        self.person = {name: value for name, value in told.items() if value is not None}

    def signed(self, claims: Claims, pair: SigningPair | None = None, algorithm: str = "RS256") -> str:
        """Claims signed with a key of its own."""
        used = pair or self.pair
        return jwt.encode(claims, used.private, algorithm=algorithm, headers={"kid": used.kid})

    def rotate(self) -> None:
        """Sign with another key from now on, and publish it beside the old one."""
        self.pair = new_pair()
        self.published.append(self.pair.jwk())

    def app(self) -> Starlette:
        """Its endpoints."""
        endpoints = {
            "/.well-known/openid-configuration": self._discovery,
            "/authorize": self._authorize,
            "/token": self._token,
            "/jwks": self._jwks,
            "/userinfo": self._userinfo,
        }
        return Starlette(
            routes=[
                Route(path, self._answering(path, usual), methods=["GET", "POST"]) for path, usual in endpoints.items()
            ]
        )

    def _answering(self, path: str, usual: Callable[[Request, dict[str, str]], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            self.used.append(path)
            form = {name: str(value) for name, value in (await request.form()).items()}
            answer = self.answers.get(path)
            return await run_in_threadpool(answer) if answer is not None else usual(request, form)

        return endpoint

    def _discovery(self, _request: Request, _form: dict[str, str]) -> Response:
        return JSONResponse(self.metadata())

    def metadata(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=acme",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": list(self.authentication),
            "authorization_response_iss_parameter_supported": self.tells_issuer,
        }

    def _authorize(self, request: Request, _form: dict[str, str]) -> Response:
        """The page where people sign in; here they already did."""
        asked = dict(request.query_params)
        faults = {
            "tenant": asked.get("tenant") != "acme",
            "client_id": asked.get("client_id") != CLIENT_ID,
            "response_type": asked.get("response_type") != "code",
            "scope": "openid" not in asked.get("scope", "").split(),
            "code_challenge": len(asked.get("code_challenge", "")) != 43,
            "code_challenge_method": asked.get("code_challenge_method") != "S256",
            "nonce": not asked.get("nonce"),
            "state": not asked.get("state"),
            "redirect_uri": not asked.get("redirect_uri", "").endswith("/callback"),
        }
        if any(faults.values()):
            return JSONResponse({"error": "invalid_request", "faults": [n for n, bad in faults.items() if bad]}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = (asked, {**self.person})
        back = {"code": code, "state": asked["state"]} | ({"iss": self.issuer} if self.tells_issuer else {})
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    def _token(self, request: Request, form: dict[str, str]) -> Response:
        if not self._is_client(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked, person = self.codes.pop(form.get("code", ""), ({}, {}))
        challenge = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if form.get("grant_type") != "authorization_code" or asked.get("code_challenge") != challenge:
            return JSONResponse({"error": "invalid_grant", "error_description": "PKCE verification failed"}, 400)
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant", "error_description": "another redirect_uri"}, 400)
        access_token = secrets.token_urlsafe(16)
        self.access_tokens[access_token] = person
        told = person if self.in_id_token else {"sub": person["sub"]}
        id_token = self.sign({**self._claims(asked["nonce"]), **told, **self.extra_claims})
        return JSONResponse(
            {"access_token": access_token, "token_type": "Bearer", "expires_in": MINUTE, "id_token": id_token}
        )

    def _claims(self, nonce: str) -> Claims:
        now = int(self.now())
        return {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + MINUTE, "nonce": nonce}

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic" and "client_secret_basic" in self.authentication:
            name, _, password = b64decode(encoded).decode().partition(":")
            return (unquote_plus(name), unquote_plus(password)) == (CLIENT_ID, CLIENT_SECRET)
        wanted = CLIENT_SECRET if "client_secret_post" in self.authentication else None
        by_form = wanted is not None or "none" in self.authentication
        return by_form and (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, wanted)

    def _jwks(self, _request: Request, _form: dict[str, str]) -> Response:
        return JSONResponse({"keys": self.published})

    def _userinfo(self, request: Request, _form: dict[str, str]) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        person = self.access_tokens.get(token)
        return JSONResponse(person) if person is not None else JSONResponse({"error": "invalid_token"}, 401)


@contextmanager
def loopback_provider(clock: Clock | None = None) -> Iterator[LoopbackProvider]:
    """A provider on a free port, which goes by the given clock or the machine's."""
    provider = LoopbackProvider(_now_of(clock) if clock is not None else time.time, new_pair())
    with serving(provider.app()) as url:
        provider.issuer = url
        yield provider


def _now_of(clock: Clock) -> Callable[[], float]:
    return lambda: clock.now().timestamp()


@asynccontextmanager
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    """A client that goes where it is sent one step at a time."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing here is https, and the default one reads every authority
    async with httpx2.AsyncClient(timeout=30, trust_env=False, verify=plain) as client:
        yield client


def query_of(url: str) -> dict[str, str]:
    """The parameters in a URL's query, each of which must be there once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}
