"""Which applications there are, and where they may have people sent."""

import json
from typing import Any

import pytest

from cloudyard.domains.identity import (
    ClientDocumentUnavailable,
    Consent,
    InvalidClient,
    InvalidClientMetadata,
    InvalidRedirectUri,
    Scope,
    User,
    may_return_to,
)
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

DAY = 86400
URL = "https://app.example/oauth/client.json"
BACK = "https://app.example/callback"
VERIFIER = "v" * 43


async def test_a_registered_application_is_found(identity: IdentityParts) -> None:
    client = await identity.clients.register("  My \n tool ", [BACK, "cursor://anysphere.cursor-mcp/oauth/callback"])
    assert await identity.clients.find(client.id) == client
    assert (client.name, client.host) == ("My tool", None)
    assert (await identity.clients.register(None, [BACK])).name == "An application without a name"


@pytest.mark.parametrize("id", ["", "nobody", "x" * 5000, "a\x00b", "\ud800", "' OR 1=1"])
async def test_an_unknown_application_is_refused(identity: IdentityParts, id: str) -> None:
    with pytest.raises(InvalidClient):
        await identity.clients.find(id)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [BACK] * 11,
        ["https://app.example/#part"],
        ["https://app.example/#"],
        ["https://me:secret@app.example/"],
        ["http://app.example/callback"],
        ["http://127.0.0.1.evil.example/"],
        ["https:///callback"],
        ["javascript:alert(1)"],
        ["JavaScript:alert(1)"],
        ["data:text/html,hello"],
        ["file:///etc/passwd"],
        ["/callback"],
        [""],
        ["https://app.example/a b"],
        ["https://app.example/\r\nSet-Cookie: x=1"],
        ["https://app.example/é"],
        ["https://[broken/"],
        ["https://app.example:99999/"],
        ["https://app.example/;script-src 'unsafe-inline'"],
        ["https://app.example/" + "x" * 2000],
        [BACK, "javascript:alert(1)"],
    ],
)
async def test_addresses_that_may_not_be_returned_to(identity: IdentityParts, uris: list[str]) -> None:
    with pytest.raises(InvalidRedirectUri):
        await identity.clients.register("tool", uris)


@pytest.mark.parametrize("name", ["x" * 101, "bad\x07name", "\u202eevil"])
async def test_names_that_cannot_be_shown(identity: IdentityParts, name: str) -> None:
    with pytest.raises(InvalidClientMetadata):
        await identity.clients.register(name, [BACK])


@pytest.mark.parametrize(
    ("registered", "asked", "same"),
    [
        (BACK, BACK, True),
        (BACK, BACK + "/", False),
        (BACK, BACK + "?x=1", False),
        (BACK, BACK.replace("https", "http"), False),
        (BACK, "https://app.example:443/callback", False),
        (BACK, "https://APP.example/callback", False),
        (BACK, "https://app.example.evil.example/callback", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb", True),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:51234/cb", True),
        ("http://[::1]:1/cb", "http://[::1]:2/cb", True),
        ("http://localhost:1/cb", "http://localhost:2/cb", True),
        ("http://localhost:1/cb", "http://127.0.0.1:2/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb2", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb?x=1", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb#x", False),
        ("http://127.0.0.1/cb", "http://me@127.0.0.1:51234/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:x/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1\\@evil.example/cb", False),
        ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb", False),
        ("http://127.0.0.1/cb", "", False),
    ],
)
def test_an_address_is_compared_letter_by_letter_but_for_a_loopback_port(
    registered: str, asked: str, same: bool
) -> None:
    assert may_return_to([registered], asked) is same


async def test_registrations_that_nobody_uses_are_forgotten(identity: IdentityParts, clock: ManualClock) -> None:
    unused = await identity.clients.register("unused", [BACK])
    used = await identity.clients.register("used", [BACK])
    clock.advance(10)
    await identity.clients.used(used.id)
    clock.advance(DAY)
    await identity.cleanup.run()
    with pytest.raises(InvalidClient):
        await identity.clients.find(unused.id)
    clock.advance(89 * DAY)
    await identity.cleanup.run()
    assert await identity.clients.find(used.id)
    clock.advance(DAY)
    await identity.cleanup.run()
    with pytest.raises(InvalidClient):
        await identity.clients.find(used.id)


async def test_a_registration_that_acts_for_a_user_is_kept(
    identity: IdentityParts, ada: User, clock: ManualClock
) -> None:
    client = await identity.clients.register("in use", [BACK])
    consent = Consent(client, frozenset({Scope.WALLET}), BACK, code_challenge(VERIFIER))
    code = await identity.delegations.grant(ada, consent)
    await identity.clients.used(client.id)
    tokens = await identity.delegations.exchange(code, client_id=client.id, redirect_uri=BACK, verifier=VERIFIER)
    for _ in range(5):
        clock.advance(20 * DAY)
        tokens = await identity.delegations.refresh(tokens.refresh_token, client_id=client.id)
        await identity.cleanup.run()
    assert await identity.clients.find(client.id) == client
    await identity.delegations.revoke_token(tokens.refresh_token, client_id=client.id)
    await identity.cleanup.run()
    with pytest.raises(InvalidClient):
        await identity.clients.find(client.id)


def document(**changes: Any) -> bytes:
    return json.dumps({"client_id": URL, "client_name": "Tool", "redirect_uris": [BACK], **changes}).encode()


async def test_an_application_is_what_its_document_says(identity: IdentityParts, clock: ManualClock) -> None:
    identity.documents.at[URL] = document(logo_uri="https://app.example/logo.png")
    client = await identity.clients.find(URL)
    assert (client.id, client.name, client.redirect_uris, client.host) == (URL, "Tool", (BACK,), "app.example")
    identity.documents.at[URL] = document(client_name="New name")
    assert await identity.clients.find(URL) == client
    assert identity.documents.reads == 1
    clock.advance(301)
    assert (await identity.clients.find(URL)).name == "New name"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"client_id": 5}',
        document(client_id="https://app.example/other.json"),
        document(client_id="https://evil.example/oauth/client.json"),
        document(token_endpoint_auth_method="client_secret_basic"),
        document(redirect_uris="https://app.example/callback"),
        document(client_name="x" * 101),
    ],
)
async def test_documents_that_are_not_accepted(identity: IdentityParts, raw: bytes) -> None:
    identity.documents.at[URL] = raw
    with pytest.raises(InvalidClientMetadata):
        await identity.clients.find(URL)


async def test_documents_with_bad_addresses_or_missing(identity: IdentityParts) -> None:
    identity.documents.at[URL] = document(redirect_uris=["javascript:alert(1)"])
    with pytest.raises(InvalidRedirectUri):
        await identity.clients.find(URL)
    with pytest.raises(ClientDocumentUnavailable):
        await identity.clients.find(URL + "x")


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example",
        "https://app.example/",
        "https://app.example/a#b",
        "https://app.example/a/../b",
        "https://me@app.example/a",
        "https:///a",
        "https://[broken/a",
        "https://app.example/a b",
        "https://app.example/" + "x" * 2048,
    ],
)
async def test_addresses_that_are_no_client_ids_are_not_read(identity: IdentityParts, url: str) -> None:
    with pytest.raises(InvalidClient):
        await identity.clients.find(url)
    assert identity.documents.reads == 0


async def test_only_so_many_documents_are_remembered(identity: IdentityParts) -> None:
    for number in range(300):
        url = f"{URL}?{number}"
        identity.documents.at[url] = document(client_id=url)
        await identity.clients.find(url)
    assert identity.documents.reads == 300
    await identity.clients.find(f"{URL}?299")
    assert identity.documents.reads == 300
    await identity.clients.find(f"{URL}?0")
    assert identity.documents.reads == 301
