"""Tokens that were not signed here, or not for this: each is refused."""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudyard.domains.identity import InvalidToken, RefreshTokenReused, TokenExpired, TokenPair, User
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

Forge = Callable[..., Awaitable[str]]


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """What is refused here is refused before any database is asked."""
    return sqlite_database


@pytest.fixture
async def pair(identity: IdentityParts, ada: User) -> TokenPair:
    return await identity.sessions.login("ada_l", "correct horse")


@pytest.fixture
def forge(identity: IdentityParts, pair: TokenPair) -> Forge:
    """Sign ada's claims anew with the real key, with some of them altered (None leaves one out)."""

    async def forge(header: dict[str, Any] | None = None, **altered: Any) -> str:
        key = await identity.tokens.key()
        claims = _part(pair.access_token, 1) | altered
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key.secret, algorithm="HS256", headers={"kid": key.kid} | (header or {}))

    return forge


def _part(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _signed(header: dict[str, Any], token: str, secret: bytes, digest: str = "sha256") -> str:
    """The claims of a token under another header and an HMAC with another secret."""
    signed = f"{_encoded(header)}.{token.split('.')[1]}"
    signature = hmac.digest(secret, signed.encode(), digest)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def _refused(identity: IdentityParts, token: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        await identity.sessions.authenticate(token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(token)
    assert identity.sessions.cached(token) is None
    return caught.value


async def test_the_unaltered_copy_passes_so_that_the_alterations_are_what_is_refused(
    identity: IdentityParts, forge: Forge, ada: User
) -> None:
    assert (await identity.sessions.authenticate(await forge())).user_id == ada.id


async def test_what_the_tokens_say(identity: IdentityParts, pair: TokenPair, ada: User, clock: ManualClock) -> None:
    access, refresh = _part(pair.access_token, 1), _part(pair.refresh_token, 1)
    assert set(access) == set(refresh) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "typ"}
    assert (access["iss"], access["sub"], access["sid"]) == ("cloudyard", ada.id, refresh["sid"])
    assert (access["typ"], refresh["typ"]) == ("access", "refresh")
    assert access["aud"] != refresh["aud"]
    assert access["exp"] - access["iat"] == 3600
    assert _part(pair.access_token, 0)["alg"] == "HS256"


async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(
    identity: IdentityParts, pair: TokenPair
) -> None:
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(pair.refresh_token)
    with pytest.raises(InvalidToken) as caught:
        await identity.sessions.refresh(pair.access_token)
    assert not isinstance(caught.value, RefreshTokenReused)
    await identity.sessions.authenticate(pair.access_token)


@pytest.mark.parametrize(
    "altered",
    [
        {"aud": "another"},
        {"aud": "cloudyard/refresh"},
        {"aud": ["cloudyard", "another"]},
        {"aud": None},
        {"iss": "another"},
        {"iss": None},
        {"typ": "refresh"},
        {"typ": "id"},
        {"typ": None},
        {"sub": "another-user"},
        {"sub": None},
        {"sid": "another-session"},
        {"sid": None},
        {"jti": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 1e300},
        {"exp": 10**18},
        {"exp": True},
        {"iat": None},
        {"iat": 4102444800},
        {"iat": -(10**18)},
    ],
    ids=str,
)
async def test_wrong_claims_with_a_right_signature(
    identity: IdentityParts, forge: Forge, altered: dict[str, Any]
) -> None:
    await _refused(identity, await forge(**altered))


@pytest.mark.parametrize("header", [{"kid": "unknown"}, {"kid": ""}, {"kid": "../../dev/null"}, {"crit": ["exp"]}])
async def test_wrong_headers_with_a_right_signature(
    identity: IdentityParts, forge: Forge, header: dict[str, Any]
) -> None:
    await _refused(identity, await forge(header))


async def test_an_expired_token_says_so(identity: IdentityParts, forge: Forge, clock: ManualClock) -> None:
    token = await forge(exp=int(clock.now().timestamp()) - 6)
    with pytest.raises(TokenExpired) as caught:
        await identity.sessions.authenticate(token)
    assert caught.value.code == "token_expired"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "RS256", "", None])
async def test_another_algorithm_in_the_header_of_a_good_token(
    identity: IdentityParts, pair: TokenPair, algorithm: str | None
) -> None:
    header, payload, signature = pair.access_token.split(".")
    altered = _encoded(_part(pair.access_token, 0) | {"alg": algorithm})
    await _refused(identity, f"{altered}.{payload}.{signature}")
    await _refused(identity, f"{altered}.{payload}.")
    await _refused(identity, f"{header}.{payload}.")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_hash_with_the_right_key(identity: IdentityParts, pair: TokenPair, algorithm: str) -> None:
    key = await identity.tokens.key()
    good = _signed(_part(pair.access_token, 0), pair.access_token, key.secret.encode())
    await identity.sessions.authenticate(good)
    header = _part(pair.access_token, 0) | {"alg": algorithm}
    await _refused(identity, _signed(header, pair.access_token, key.secret.encode(), algorithm.replace("HS", "sha")))


async def test_keys_of_the_attacker(identity: IdentityParts, pair: TokenPair) -> None:
    claims, header = _part(pair.access_token, 1), _part(pair.access_token, 0)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = {"kid": header["kid"]}
    await _refused(identity, jwt.encode(claims, private, algorithm="RS256", headers=kid))
    for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM):
        public = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        for algorithm in ("HS256", "RS256"):
            await _refused(identity, _signed(header | {"alg": algorithm}, pair.access_token, public))
    for secret in (b"", b"x" * 43, header["kid"].encode()):
        await _refused(identity, _signed(header, pair.access_token, secret))
    embedded = header | {"jwk": {"kty": "oct", "k": "eHh4eA"}, "jku": "http://127.0.0.1/keys"}
    await _refused(identity, _signed(embedded, pair.access_token, b"xxxx"))


async def test_another_users_claims_under_a_good_signature(identity: IdentityParts, pair: TokenPair) -> None:
    header, _, signature = pair.access_token.split(".")
    payload = _encoded(_part(pair.access_token, 1) | {"sub": "root"})
    await _refused(identity, f"{header}.{payload}.{signature}")


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "..",
        "...",
        "garbage",
        "a.b.c",
        "s%3Agarbage",
        "\x00",
        "\ud800.\ud800.\ud800",
        "é.é.é",
        "x" * 100_000,
        "[" * 1000 + "." + "[" * 1000 + ".",
        "nk_",
        "nk_" + "0" * 32,
        "nk_" + "Z" * 32,
        "NK_" + "0" * 32,
        "nk_" + "0" * 33,
        "nk_" + "0" * 32 + "\n",
        "nk_" + "\u0660" * 32,
    ],
)
async def test_garbage(identity: IdentityParts, ada: User, garbage: str) -> None:
    await _refused(identity, garbage)


async def test_headers_that_are_no_objects(identity: IdentityParts, pair: TokenPair) -> None:
    _, payload, signature = pair.access_token.split(".")
    deep = base64.urlsafe_b64encode(b"[" * 1400).decode().rstrip("=")
    for header in (_encoded([]), _encoded("x"), _encoded(None), _encoded({"kid": 7, "alg": "HS256"}), "e30", deep):
        await _refused(identity, f"{header}.{payload}.{signature}")


async def test_a_token_with_anything_appended(identity: IdentityParts, pair: TokenPair) -> None:
    for tail in ("x", ".", ".x", "=", "==", " ", "\n"):
        await _refused(identity, pair.access_token + tail)


@given(position=st.floats(0, 1, exclude_max=True), letter=st.sampled_from("ABCabc019_-."))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_changed_character_of_header_or_payload_goes_unnoticed(
    identity: IdentityParts, pair: TokenPair, position: float, letter: str
) -> None:
    signed = pair.access_token.rpartition(".")[0]
    index = int(position * len(signed))
    altered = pair.access_token[:index] + letter + pair.access_token[index + 1 :]
    if altered == pair.access_token:
        return
    await _refused(identity, altered)
