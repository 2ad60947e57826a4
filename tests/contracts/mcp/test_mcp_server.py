"""The MCP server as a process of its own, and what it makes of strangers, foreign pages and garbage."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_people import Person, both_revisions, called, connected, own_address
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from cloudyard.testing.installation import Installation
from cloudyard.testing.mortal_server import books_are_right, mortal_server, signed_in
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream, running_upstream

SETTINGS = """
[inference]
default_models = false
default_chat_model = "parrot"

[[inference.models.parrot.deployments]]
name = "upstream"
kind = "openai"
base_url = "{base_url}"

[billing]
welcome_credits = 100

[[billing.prices."model:parrot"]]
meter = "output_token"
usd = "0.001"
"""
COST_CREDITS = 0.1 * len(PIECES)
ACCEPTING = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    directory = tmp_path / "data"
    directory.mkdir()
    async with running_upstream() as upstream:
        (directory / "cloudyard.toml").write_text(SETTINGS.format(base_url=upstream.base_url))
        yield directory


async def test_a_server_process_serves_both_revisions_and_its_books_are_right(data_dir: Path) -> None:
    async with mortal_server(data_dir) as server:
        async with signed_in(server.url) as user:
            for mode, revision in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
                await _asks(server.url, user, mode, revision)
        assert await server.stop() == 0
    assert books_are_right(data_dir)


async def _asks(url: str, user: httpx2.AsyncClient, mode: Any, revision: str) -> None:
    async with Client(streamable_http_client(f"{url}/mcp", http_client=user), mode=mode) as client:
        assert client.protocol_version == revision
        before = (await called(client, "wallet"))["credits"]
        answer = await called(client, "chat", message="Where?", system="Be brief.", max_tokens=50)
        assert (answer["text"], answer["model"]) == ("".join(PIECES), "parrot")
        assert answer["completion_tokens"] == len(PIECES)
        assert answer["cost_usd"] == pytest.approx(COST_CREDITS / 100)
        assert (await called(client, "wallet"))["credits"] == pytest.approx(before - COST_CREDITS)


@both_revisions
async def test_what_goes_wrong_is_told_to_the_model_and_costs_nothing(
    mcp_server: Installation, ann: Person, upstream: Upstream, mode: Any, revision: str
) -> None:
    upstream.behave(Behaviour(status=500))
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        for arguments, said in (
            ({"message": "Where?", "max_tokens": 50}, "failed with 500"),
            ({"message": "Where?"}, "Not enough credits"),
            ({"message": "Where?", "model": "nobody"}, "nobody"),
            ({"message": ""}, "message"),
            ({"message": "Where?", "max_tokens": 10**9}, "context"),
        ):
            result = await client.call_tool("chat", arguments)
            assert result.is_error
            assert said in str(result.content)
        assert await called(client, "wallet") == {"credits": 100, "held": 0}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic bm9uc2Vuc2U="}, 401),
    ],
)
async def test_strangers_are_told_how_to_be_let_in(
    mcp_server: Installation, headers: dict[str, str], status: int
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address()) as http:
        answer = await http.post("/mcp", json=body, headers={**ACCEPTING, **headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("www-authenticate") == [answer.headers["www-authenticate"]]
    assert 'resource_metadata="' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://app.example"}, True),
        ({}, True),
    ],
)
async def test_pages_of_foreign_origins_are_refused(
    mcp_server: Installation, ann: Person, headers: dict[str, str], allowed: bool
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    bearer = {"Authorization": f"Bearer {ann.access_token}"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers={**bearer, **ACCEPTING}) as http:
        answer = await http.post("/mcp", json=body, headers=headers)
    assert (answer.status_code == 403) is not allowed


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_is_no_stream_to_get_and_no_session_to_delete(
    mcp_server: Installation, ann: Person, method: str
) -> None:
    bearer = {"Authorization": f"Bearer {ann.access_token}"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers={**bearer, **ACCEPTING}) as http:
        answer = await http.request(method, "/mcp")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_it_is_not_spoken_over_a_websocket(mcp_server: Installation, ann: Person) -> None:
    url = mcp_server.url.replace("http", "ws") + "/mcp"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers={"Authorization": f"Bearer {ann.access_token}"})
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"jsonrpc": "2.0", "id": 1, "method": "no/such"}', b"\xff" * 100, b"[" * 10_000, b"1" * 9999],
    ids=["empty", "open", "list", "unknown-method", "no-utf-8", "deep", "long-number"],
)
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25", "1999-01-01"])
async def test_garbage_is_refused_and_harms_nothing(
    mcp_server: Installation, ann: Person, body: bytes, revision: str
) -> None:
    headers = {"Authorization": f"Bearer {ann.access_token}", "MCP-Protocol-Version": revision, **ACCEPTING}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=headers) as http:
        assert (await http.post("/mcp", content=body)).status_code < 500
    async with connected(mcp_server, token=ann.access_token) as client:
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
