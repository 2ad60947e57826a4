"""ID tokens of a provider on the loopback: which are believed, and which are not."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from oidc_flow import Flow

from cloudyard.domains.identity import IdentityProviderRefused
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    LoopbackProvider,
    SigningPair,
    new_pair,
)


async def test_a_new_key_is_looked_for(flow: Flow, acme: LoopbackProvider) -> None:
    await flow.person()
    acme.rotate()
    assert (await flow.person()).subject == "ada-1"
    assert acme.used.count("/jwks") == 2


async def test_a_key_that_is_not_published_proves_nothing(flow: Flow, acme: LoopbackProvider) -> None:
    stranger = new_pair()
    acme.sign = lambda claims: acme.signed(claims, stranger)
    with pytest.raises(IdentityProviderRefused, match="does not publish"):
        await flow.person()
    assert acme.used.count("/jwks") == 2


async def test_another_key_under_a_known_name_proves_nothing(flow: Flow, acme: LoopbackProvider) -> None:
    forged = SigningPair(acme.pair.kid, new_pair().private)
    acme.sign = lambda claims: acme.signed(claims, forged)
    with pytest.raises(IdentityProviderRefused, match="Signature verification failed"):
        await flow.person()


def _unsigned(claims: dict[str, Any], acme: LoopbackProvider) -> str:
    return jwt.encode(claims, None, algorithm="none", headers={"kid": acme.pair.kid})


def _with_our_secret(claims: dict[str, Any], acme: LoopbackProvider) -> str:
    return jwt.encode(claims, CLIENT_SECRET, algorithm="HS256", headers={"kid": acme.pair.kid})


def _with_the_public_key_as_secret(claims: dict[str, Any], acme: LoopbackProvider) -> str:
    """The confusion of RFC 8725, section 2.1, made by hand, since PyJWT refuses to take part in it."""
    pem = acme.pair.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    head = _b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": acme.pair.kid}).encode())
    body = f"{head}.{_b64(json.dumps(claims).encode())}"
    return f"{body}.{_b64(hmac.sign(body.encode(), pem))}"


def _altered(claims: dict[str, Any], acme: LoopbackProvider) -> str:
    head, _, signature = acme.signed(claims).split(".")
    return f"{head}.{_b64(json.dumps({**claims, 'sub': 'somebody else'}).encode())}.{signature}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_unsigned, "signed with 'none'"),
        (_with_our_secret, "signed with 'HS256'"),
        (_with_the_public_key_as_secret, "signed with 'HS256'"),
        (_altered, "Signature verification failed"),
        (lambda _claims, _acme: "garbage", "ID token is refused"),
        (lambda _claims, _acme: "a.b.c", "ID token is refused"),
        (lambda claims, acme: acme.signed({**claims, "pad": "x" * 40_000}), "too long"),
    ],
)
async def test_forged_tokens_are_refused(
    flow: Flow, acme: LoopbackProvider, forge: Callable[[dict[str, Any], LoopbackProvider], str], words: str
) -> None:
    acme.sign = lambda claims: forge(claims, acme)
    with pytest.raises(IdentityProviderRefused, match=words):
        await flow.person()


NOW = int(ManualClock().now().timestamp())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"iss": "https://evil.example"}, "Invalid issuer"),
        ({"iss": None}, 'missing the "iss" claim'),
        ({"aud": "somebody-else"}, "Audience doesn't match"),
        ({"aud": ["somebody-else"]}, "Audience doesn't match"),
        ({"aud": [CLIENT_ID, "somebody-else"]}, "azp"),
        ({"aud": [CLIENT_ID, "somebody-else"], "azp": "somebody-else"}, "azp"),
        ({"azp": "somebody-else"}, "azp"),
        ({"aud": None}, 'missing the "aud" claim'),
        ({"nonce": "of another sign-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": NOW - 31}, "has expired"),
        ({"exp": None}, 'missing the "exp" claim'),
        ({"exp": "tomorrow"}, "ID token is refused"),
        ({"exp": 1e300}, "a time that cannot be"),
        ({"iat": NOW + 40}, "from the future"),
        ({"nbf": NOW + 40}, "from the future"),
        ({"sub": None}, 'missing the "sub" claim'),
        ({"sub": 42}, "ID token is refused"),
        ({"email": ["ada@example.com"]}, "ID token is refused"),
    ],
)
async def test_tokens_that_say_the_wrong_thing_are_refused(
    flow: Flow, acme: LoopbackProvider, wrong: dict[str, Any], words: str
) -> None:
    def sign(claims: dict[str, Any]) -> str:
        return acme.signed({name: value for name, value in (claims | wrong).items() if value is not None})

    acme.sign = sign
    with pytest.raises(IdentityProviderRefused, match=words):
        await flow.person()


@pytest.mark.parametrize(
    "right",
    [
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "project"], "azp": CLIENT_ID},
        {"azp": CLIENT_ID},
        {"exp": NOW - 20},
        {"iat": NOW + 20},
        {"exp": NOW + 60.5},
    ],
)
async def test_tokens_that_are_unusual_and_right_are_taken(
    flow: Flow, acme: LoopbackProvider, right: dict[str, Any]
) -> None:
    acme.extra_claims = right
    assert (await flow.person()).subject == "ada-1"


async def test_other_signatures_are_taken_where_the_key_is_for_them(flow: Flow, acme: LoopbackProvider) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    acme.published.append({**public, "kid": "curve"})
    acme.sign = lambda claims: jwt.encode(claims, private, algorithm="ES256", headers={"kid": "curve"})
    assert (await flow.person()).subject == "ada-1"


async def test_a_key_is_for_its_own_algorithm(flow: Flow, acme: LoopbackProvider) -> None:
    acme.sign = lambda claims: acme.signed(claims, algorithm="PS256")
    with pytest.raises(IdentityProviderRefused, match="does not publish"):
        await flow.person()


async def test_a_token_without_a_key_name_needs_an_only_key(flow: Flow, acme: LoopbackProvider) -> None:
    acme.sign = lambda claims: jwt.encode(claims, acme.pair.private, algorithm="RS256")
    assert (await flow.person()).subject == "ada-1"
    acme.published.append({**new_pair().jwk(), "use": "enc"})
    assert (await flow.person()).subject == "ada-1"


async def test_a_token_without_a_key_name_is_refused_among_several_keys(flow: Flow, acme: LoopbackProvider) -> None:
    acme.sign = lambda claims: jwt.encode(claims, acme.pair.private, algorithm="RS256")
    acme.published.append(new_pair().jwk())
    with pytest.raises(IdentityProviderRefused, match="which of several keys"):
        await flow.person()


async def test_a_weak_key_is_refused(flow: Flow, acme: LoopbackProvider) -> None:
    weak = SigningPair("weak", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    acme.published.append(weak.jwk())

    def sign(claims: dict[str, Any]) -> str:
        with pytest.warns(jwt.InsecureKeyLengthWarning):
            return acme.signed(claims, weak)

    acme.sign = sign
    with pytest.raises(IdentityProviderRefused, match="2048"):
        await flow.person()


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "n": "!!", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {},
    ],
)
async def test_a_published_key_may_be_garbage(flow: Flow, acme: LoopbackProvider, key: dict[str, Any]) -> None:
    acme.published = [{**key, "kid": acme.pair.kid}]
    with pytest.raises(IdentityProviderRefused):
        await flow.person()
