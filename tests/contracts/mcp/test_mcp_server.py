"""MCP as the official client uses it, by both revisions of the specification, against a server process of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cloudyard.testing.mortal_server import MortalServer, books_are_right, mortal_server, signed_in
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

[server]
cors_origins = ["https://app.example"]
"""
COST_CREDITS = 0.1 * len(PIECES)
TOOLS = {"list_models", "chat", "wallet", "credit_history", "chat_history"}

both_revisions = pytest.mark.parametrize(("mode", "revision"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def server(tmp_path: Path, upstream: Upstream) -> AsyncIterator[MortalServer]:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "cloudyard.toml").write_text(SETTINGS.format(base_url=upstream.base_url))
    async with mortal_server(directory) as server:
        yield server
        assert await server.stop() == 0
    assert books_are_right(directory)


@pytest.fixture
async def user(server: MortalServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with signed_in(server.url) as client:
        yield client


def connected(server: MortalServer, user: httpx2.AsyncClient, mode: Any = "auto") -> Client:
    return Client(streamable_http_client(f"{server.url}/mcp", http_client=user), mode=mode)


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found = result.structured_content
    return found["result"] if found is not None and found.keys() == {"result"} else found


@both_revisions
async def test_the_official_client_lists_calls_and_is_charged(
    server: MortalServer, user: httpx2.AsyncClient, mode: Any, revision: str
) -> None:
    async with connected(server, user, mode) as client:
        assert client.protocol_version == revision
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        assert [model["name"] for model in await called(client, "list_models")] == ["parrot"]
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
        answer = await called(client, "chat", message="Where?", system="Be brief.", max_tokens=50)
        assert (answer["text"], answer["model"]) == ("".join(PIECES), "parrot")
        assert answer["completion_tokens"] == len(PIECES)
        assert answer["cost_usd"] == pytest.approx(COST_CREDITS / 100)
        assert (await called(client, "wallet"))["credits"] == pytest.approx(100 - COST_CREDITS)
        newest = (await called(client, "credit_history", limit=1))[0]
        assert (newest["kind"], newest["amount"]) == ("usage", pytest.approx(-COST_CREDITS))


async def test_what_goes_wrong_is_told_to_the_model_and_costs_nothing(
    server: MortalServer, user: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave(Behaviour(status=500))
    async with connected(server, user) as client:
        for arguments, said in (
            ({"message": "Where?", "max_tokens": 50}, "scripted 500"),
            ({"message": "Where?"}, "Not enough credits"),
            ({"message": "Where?", "model": "nobody"}, "nobody"),
            ({"message": ""}, "message"),
            ({"message": "Where?", "max_tokens": 10**9}, "context"),
        ):
            result = await client.call_tool("chat", arguments)
            assert result.is_error
            assert said in str(result.content)
        assert await called(client, "wallet") == {"credits": 100, "held": 0}


async def test_a_key_reaches_as_far_as_its_scopes(server: MortalServer, user: httpx2.AsyncClient) -> None:
    made = await user.post("/neurogrid/api/users/api-keys", json={"name": "agent", "scopes": ["inference"]})
    assert made.status_code in (200, 201), made.text
    key = made.json()["data"]["key"]
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as agent,
        connected(server, agent) as client,
    ):
        assert (await called(client, "chat", message="Where?", max_tokens=50))["text"] == "".join(PIECES)
        refused = await client.call_tool("wallet", {})
        assert refused.is_error


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
async def test_strangers_and_foreign_pages_are_refused(
    server: MortalServer, user: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepting = {"Accept": "application/json, text/event-stream", **headers}
    answer = await user.post("/mcp", json=body, headers=accepting)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc": "2.0", "id": 1, "method": "no/such"}', b"\xff" * 100])
async def test_garbage_is_refused_and_harms_nothing(
    server: MortalServer, user: httpx2.AsyncClient, body: bytes
) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    answer = await user.post("/mcp", content=body, headers=headers)
    assert answer.status_code < 500
    async with connected(server, user) as client:
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
