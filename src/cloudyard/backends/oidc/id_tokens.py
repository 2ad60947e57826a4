"""Checking ID tokens: OpenID Connect Core, section 3.1.3.7, and RFC 8725."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec

from cloudyard.backends.oidc.discovery import Jwk
from cloudyard.domains.identity import IdentityProviderRefused

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures by a private key of the provider's. `none` proves nothing, and HS256 only that somebody has our secret."""
LEEWAY = timedelta(seconds=30)  # the clocks of two machines
LONGEST_TOKEN = 32 * 1024


class Claims(msgspec.Struct, frozen=True):
    """What an ID token or the userinfo endpoint says of a person (Core, section 5.1). Some say "true" for true."""

    sub: str
    email: str | None = None
    email_verified: bool | str | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None


class _Token(Claims, frozen=True, kw_only=True):
    aud: str | list[str]
    exp: int | float
    iat: int | float
    nbf: int | float | None = None
    nonce: str | None = None
    azp: str | None = None


class UnknownKey(Exception):
    """No key at hand has the id that the token names."""


def verified(
    token: str,
    keys: Sequence[Jwk],
    *,
    issuers: Collection[str],
    client_id: str,
    nonce: str,
    now: datetime,
) -> Claims:
    """What the token says, if it is for us, from that issuer, about this sign-in, and good now.

    Raises `IdentityProviderRefused`, and `UnknownKey` where newer keys may help.
    """
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise _refused(f"it is signed with {str(algorithm)[:20]!r}, which is not accepted")
    found = _signed_claims(token, _key(keys, header.get("kid"), algorithm), issuers, client_id)
    _check_audience(found, client_id)
    _check_times(found, now)
    if found.nonce != nonce:
        raise _refused("it belongs to another sign-in (nonce)")
    return found


def _header(token: str) -> dict[str, Any]:
    if len(token) > LONGEST_TOKEN:
        raise _refused("it is too long")
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise _refused(str(error)) from error


def _key(keys: Sequence[Jwk], kid: object, algorithm: str) -> jwt.PyJWK:
    """The key that the token names, bound to the algorithm. One that names none needs an only key."""
    fitting = [key for key in keys if _fits(key, kid, algorithm)]
    if not fitting:
        raise UnknownKey
    if len(fitting) > 1:
        raise _refused("it does not tell which of several keys signed it")
    try:
        return jwt.PyJWK(fitting[0], algorithm)
    except jwt.PyJWTError as error:
        raise _refused(f"its key cannot be used: {error}") from error


def _fits(key: Jwk, kid: object, algorithm: str) -> bool:
    return (
        (kid is None or key.get("kid") == kid)
        and key.get("kty") != "oct"
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _signed_claims(token: str, key: jwt.PyJWK, issuers: Collection[str], client_id: str) -> _Token:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=client_id,
            issuer=frozenset(issuers),
            options={
                "require": ["iss", "sub", "aud", "exp", "iat"],
                "enforce_minimum_key_length": True,
                "verify_exp": False,  # the three times are ours to compare, with our clock
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        return msgspec.convert(claims, _Token)
    except (jwt.PyJWTError, msgspec.ValidationError) as error:
        raise _refused(str(error)) from error


def _check_audience(token: _Token, client_id: str) -> None:
    """A token for several parties must say that it was issued to us (3.1.3.7, numbers 4 and 5)."""
    several = isinstance(token.aud, list) and len(token.aud) > 1
    if token.azp != client_id and (several or token.azp is not None):
        raise _refused("it was issued to another party (azp)")


def _check_times(token: _Token, now: datetime) -> None:
    if _moment(token.exp) + LEEWAY <= now:
        raise _refused("it has expired")
    if max(_moment(token.iat), _moment(token.nbf or 0)) > now + LEEWAY:
        raise _refused("it is from the future: check this machine's clock")


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _refused("it names a time that cannot be") from error


def _refused(why: str) -> IdentityProviderRefused:
    return IdentityProviderRefused(
        f"The identity provider's ID token is refused: {why}. Start again; if it stays so, tell your administrator."
    )
