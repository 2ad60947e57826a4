"""Access and refresh tokens: signed JSON Web Tokens (RFC 7519), checked as RFC 8725 advises.

One algorithm (HS256) whatever the header says, a key by `kid`, and another audience and type for each use, so
that a refresh token is no access token and the other way round, and a token that an application was given for MCP
opens nothing else.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import jwt
import msgspec

from cloudyard.domains.identity.errors import InvalidToken, TokenExpired
from cloudyard.domains.identity.signing_keys import SigningKey, SigningKeys
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.security import SecuritySettings

ALGORITHM = "HS256"
DELEGATED_TYPE = "at+jwt"  # RFC 9068, section 2.1
LEEWAY = timedelta(seconds=5)  # the clocks of two machines
LONGEST_TOKEN = 2048
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515, section 7.1: no padding


class TokenUse(StrEnum):
    """What a token is for; the claim `typ`."""

    ACCESS = "access"
    REFRESH = "refresh"
    DELEGATED_ACCESS = "delegated_access"
    DELEGATED_REFRESH = "delegated_refresh"


class _Payload(msgspec.Struct, frozen=True):
    sub: str
    sid: str
    jti: str
    iat: int
    exp: int
    typ: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says. It is accepted until `accepted_until` (its expiry and the leeway)."""

    user_id: str
    session_id: str
    accepted_until: datetime


class Tokens:
    """Signs and reads tokens."""

    def __init__(self, keys: SigningKeys, clock: Clock, ids: Ids, settings: SecuritySettings) -> None:
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._issuer = settings.issuer
        self._audiences = {
            TokenUse.ACCESS: settings.audience,
            TokenUse.REFRESH: f"{settings.audience}/refresh",
            TokenUse.DELEGATED_ACCESS: f"{settings.audience}/mcp",
            TokenUse.DELEGATED_REFRESH: f"{settings.audience}/mcp/refresh",
        }
        access = timedelta(seconds=settings.access_token_seconds)
        refresh = timedelta(seconds=settings.refresh_token_seconds)
        self._lives = {
            TokenUse.ACCESS: access,
            TokenUse.REFRESH: refresh,
            TokenUse.DELEGATED_ACCESS: access,
            TokenUse.DELEGATED_REFRESH: refresh,
        }

    def life(self, use: TokenUse) -> timedelta:
        """How long a token of that use is good for."""
        return self._lives[use]

    async def key(self) -> SigningKey:
        """The key to `sign` with; fetched apart, because it may need the database and signing must not."""
        return await self._keys.current()

    def sign(self, key: SigningKey, use: TokenUse, *, user_id: str, session_id: str) -> str:
        """A new token, never the same twice."""
        now = self._clock.now()
        claims = {
            "iss": self._issuer,
            "aud": self._audiences[use],
            "sub": user_id,
            "sid": session_id,
            "jti": self._ids.new(),
            "iat": int(now.timestamp()),
            "exp": int((now + self._lives[use]).timestamp()),
            "typ": use.value,
        }
        kind = {"typ": DELEGATED_TYPE} if use is TokenUse.DELEGATED_ACCESS else {}
        return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid, **kind})

    async def read(self, token: str, use: TokenUse) -> Claims:
        """What the token says, if it is ours and meant for that use. Raises `InvalidToken` or `TokenExpired`."""
        key = await self._keys.find(_kid(token))
        if key is None:
            raise _invalid()
        payload = self._verified(token, key, use)
        now = self._clock.now()
        accepted_until = _moment(payload.exp) + LEEWAY
        if accepted_until <= now:
            raise TokenExpired(f"This {use} token has expired. Refresh the session, or log in again.")
        if _moment(payload.iat) > now + LEEWAY:
            raise _invalid()
        return Claims(payload.sub, payload.sid, accepted_until)

    def _verified(self, token: str, key: SigningKey, use: TokenUse) -> _Payload:
        try:
            claims = jwt.decode(
                token,
                key.secret,
                algorithms=[ALGORITHM],
                audience=self._audiences[use],
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "typ"],
                    "strict_aud": True,
                    "enforce_minimum_key_length": True,
                    "verify_exp": False,  # the three times are ours to compare, with our clock
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            payload = msgspec.convert(claims, _Payload)
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise _invalid() from error
        if payload.typ != use:
            raise _invalid()
        return payload


def says_it_is_delegated(token: str) -> bool:
    """Whether a token claims to be one that an application was given; only `Tokens.read` tells whether it is."""
    if len(token) > LONGEST_TOKEN or _COMPACT.fullmatch(token) is None:
        return False
    try:
        return bool(jwt.get_unverified_header(token).get("typ") == DELEGATED_TYPE)
    except jwt.PyJWTError:
        return False


def _kid(token: str) -> str:
    if len(token) > LONGEST_TOKEN or _COMPACT.fullmatch(token) is None:
        raise _invalid()
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as error:
        raise _invalid() from error
    if not isinstance(kid, str):
        raise _invalid()
    return kid


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _invalid() from error


def _invalid() -> InvalidToken:
    return InvalidToken("This token is not valid here. Log in again to get a new one.")
