"""Resources as the official client lists and reads them, by both revisions."""

import json
from base64 import b64decode
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_people import Person, both_revisions, called, connected
from mcp_types import INTERNAL_ERROR, BlobResourceContents, TextResourceContents
from structlog.testing import capture_logs

from cloudyard.foundation.database import Database
from cloudyard.testing.installation import Installation
from cloudyard.testing.upstream import Behaviour, Upstream

NOT_FOUND = {"2026-07-28": -32602, "2025-11-25": -32002}


@pytest.fixture(autouse=True)
def well_behaved(upstream: Upstream) -> None:
    upstream.behave(Behaviour())


async def text_of(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    return content.text


def keep(server: Installation, person: Person, name: str, raw: bytes, kind: str | None = None) -> str:
    async def chunks() -> Any:
        yield raw

    upload = server.services.files.upload(person.id, filename=name, content_type=kind, chunks=chunks())
    file_id: str = server.run(upload).id
    return file_id


@both_revisions
async def test_resources_are_listed_and_read(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        assert client.server_capabilities.resources is not None
        listed = {resource.uri: resource for resource in (await client.list_resources()).resources}
        assert listed.keys() == {
            "cloudyard://models",
            "cloudyard://wallet",
            "cloudyard://chat-history",
            "cloudyard://models/parrot",
        }
        templates = (await client.list_resource_templates()).resource_templates
        assert {t.uri_template for t in templates} == {"cloudyard://models/{name}", "cloudyard://files/{id}"}
        assert json.loads(await text_of(client, "cloudyard://wallet")) == {"credits": 100, "held": 0}
        (model,) = json.loads(await text_of(client, "cloudyard://models"))
        assert model == json.loads(await text_of(client, "cloudyard://models/parrot"))
        assert model["name"] == "parrot"
        await called(client, "chat", message="Where?", max_tokens=50)
        (turn,) = json.loads(await text_of(client, "cloudyard://chat-history"))
        assert turn["question"] == "Where?"


@both_revisions
async def test_files_are_text_or_bytes(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    note = keep(mcp_server, ann, "note.txt", "Grüße".encode(), "text/plain")
    raw = keep(mcp_server, ann, "raw.bin", bytes(range(256)))
    liar = keep(mcp_server, ann, "liar.txt", b"\xff\xfe\x80", "text/plain")
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        listed = {r.uri: r for r in (await client.list_resources()).resources}
        assert (listed[f"cloudyard://files/{note}"].size, listed[f"cloudyard://files/{note}"].name) == (7, "note.txt")
        assert await text_of(client, f"cloudyard://files/{note}") == "Grüße"
        for id, expected in ((raw, bytes(range(256))), (liar, b"\xff\xfe\x80")):
            (content,) = (await client.read_resource(f"cloudyard://files/{id}")).contents
            assert isinstance(content, BlobResourceContents)
            assert b64decode(content.blob) == expected


@both_revisions
async def test_pages_follow_one_another(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    kept = {keep(mcp_server, ann, f"{number}.txt", b"x") for number in range(103)}
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        first = await client.list_resources()
        assert first.next_cursor is not None
        second = await client.list_resources(cursor=first.next_cursor)
        assert second.next_cursor is None
        assert len(second.resources) == 3
        uris = [resource.uri for page in (first, second) for resource in page.resources]
        assert {uri.removeprefix("cloudyard://files/") for uri in uris if "/files/" in uri} == kept
        assert len(uris) == len(set(uris)) == 107
        with pytest.raises(MCPError) as refused:
            await client.list_resources(cursor="no cursor/of ours")
        assert refused.value.error.code == -32602


async def test_a_failure_to_list_is_not_told_as_a_bad_cursor(
    mcp_server: Installation, ann: Person, unreachable_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(mcp_server, token=ann.access_token) as client:
        monkeypatch.setattr(mcp_server.services.files, "_database", unreachable_database)
        for cursor in (None, "file-018f6f6e-0000-7000-8000-000000000000"):
            with pytest.raises(MCPError, match="The database cannot be used") as failed, capture_logs() as logs:
                await client.list_resources(cursor=cursor)
            assert failed.value.error.code == INTERNAL_ERROR
            assert failed.value.error.data == {"code": "database_unavailable"}
            assert "Errno" not in failed.value.error.message
            [withheld] = [entry for entry in logs if entry["event"] == "request failed"]
            assert "Errno" in withheld["reason"]


@both_revisions
async def test_what_is_not_there_is_told_by_the_code_of_the_revision(
    mcp_server: Installation, ann: Person, bob: Person, mode: Any, revision: str
) -> None:
    bobs = keep(mcp_server, bob, "bobs.txt", b"secret")
    missing = (
        "cloudyard://nothing",
        "cloudyard://models/",
        "cloudyard://models/nobody",
        "cloudyard://files/",
        "cloudyard://files/file-x",
        "cloudyard://files/%2e%2e%2fetc",
        f"cloudyard://files/{bobs}",
        "file:///etc/passwd",
        "",
    )
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        for uri in missing:
            with pytest.raises(MCPError) as refused:
                await client.read_resource(uri)
            assert refused.value.error.code == NOT_FOUND[revision], uri
            assert refused.value.error.data == {"uri": uri}


async def test_a_file_that_is_too_large_is_not_sent(mcp_server: Installation, ann: Person) -> None:
    large = keep(mcp_server, ann, "large.txt", b"x" * (1024 * 1024 + 1))
    async with connected(mcp_server, token=ann.access_token) as client:
        with pytest.raises(MCPError, match="piece by piece"):
            await client.read_resource(f"cloudyard://files/{large}")


async def test_a_key_sees_as_far_as_its_scopes_and_models(mcp_server: Installation, ann: Person) -> None:
    note = keep(mcp_server, ann, "note.txt", b"x")
    create = mcp_server.services.api_keys.create
    _, key = mcp_server.run(create(ann.id, name="agent", scopes=["wallet"], allowed_models=["other"]))
    async with connected(mcp_server, token=key) as client:
        listed = {resource.uri for resource in (await client.list_resources()).resources}
        assert listed == {"cloudyard://models", "cloudyard://wallet"}
        assert json.loads(await text_of(client, "cloudyard://models")) == []
        for uri in (f"cloudyard://files/{note}", "cloudyard://chat-history"):
            with pytest.raises(MCPError, match="may not be used for"):
                await client.read_resource(uri)
        with pytest.raises(MCPError) as refused:
            await client.read_resource("cloudyard://models/parrot")
        assert refused.value.error.code == -32602
