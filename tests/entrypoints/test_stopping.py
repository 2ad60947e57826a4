"""What becomes of an answer under way when the server is told to stop."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cloudyard.testing.mortal_server import MortalServer, books_are_right, mortal_server, signed_in
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream, running_upstream

SETTINGS = """
[server]
drain_seconds = 3600

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
QUESTION = {"model": "parrot", "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 50, "stream": True}
SAID_FIRST = 3


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def data_dir(tmp_path: Path, upstream: Upstream) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "cloudyard.toml").write_text(SETTINGS.format(base_url=upstream.base_url))
    return directory


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[MortalServer]:
    async with mortal_server(data_dir) as server:
        yield server


async def pieces(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The words of a stream as they come, and its end mark."""
    async for line in lines:
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            yield data
        elif data != line:
            for choice in json.loads(data)["choices"]:
                yield choice["delta"].get("content") or ""


async def begun(words: AsyncIterator[str]) -> str:
    """The first words of an answer."""
    said = ""
    while said != "".join(PIECES[:SAID_FIRST]):
        said += await anext(words)
    return said


async def nobody_listens(url: str) -> None:
    """Wait until new visitors are turned away."""
    async with httpx2.AsyncClient() as client:
        while True:
            try:
                await client.get(f"{url}/health")
            except httpx2.TransportError:
                return
            await asyncio.sleep(0.05)


async def test_an_answer_under_way_is_finished_and_charged(
    server: MortalServer, data_dir: Path, upstream: Upstream
) -> None:
    go_on = asyncio.Event()
    upstream.behave(Behaviour(held=go_on, held_after=SAID_FIRST))
    async with (
        signed_in(server.url) as user,
        user.stream("POST", "/v1/chat/completions", json=QUESTION) as answer,
        asyncio.timeout(60),
    ):
        words = pieces(answer.aiter_lines())
        said = await begun(words)
        server.process.send_signal(signal.SIGTERM)
        await nobody_listens(server.url)
        go_on.set()
        said += "".join([word async for word in words])
    assert said == "".join(PIECES) + "[DONE]"
    assert await server.stop() == 0
    assert books_are_right(data_dir)
    assert await credits_left(data_dir) == (pytest.approx(100 - 0.1 * len(PIECES)), 0)


async def test_streams_that_never_end_by_themselves_hold_nothing_up(server: MortalServer, data_dir: Path) -> None:
    """Were it otherwise, this would wait for `drain_seconds`, an hour here."""
    async with (
        signed_in(server.url) as user,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=user)) as client,
        client.listen(resource_subscriptions=["cloudyard://wallet"]) as events,
        asyncio.timeout(60),
    ):
        server.process.send_signal(signal.SIGTERM)
        assert [event async for event in events] == []
        assert await server.stop() == 0


async def credits_left(data_dir: Path) -> tuple[float, float]:
    """Credits to spend, and set aside, as the next start finds them."""
    async with mortal_server(data_dir) as server, signed_in(server.url) as user:
        wallet = (await user.get("/neurogrid/api/wallet")).json()["data"]
        assert await server.stop() == 0
        return wallet["balance"] * 100, wallet["held"]


async def test_told_twice_it_ends_the_answer_and_charges_what_was_said(
    server: MortalServer, data_dir: Path, upstream: Upstream
) -> None:
    upstream.behave(Behaviour(held=asyncio.Event(), held_after=SAID_FIRST))
    async with (
        signed_in(server.url) as user,
        user.stream("POST", "/v1/chat/completions", json=QUESTION) as answer,
        asyncio.timeout(60),
    ):
        words = pieces(answer.aiter_lines())
        await begun(words)
        server.process.send_signal(signal.SIGTERM)
        await nobody_listens(server.url)
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(httpx2.TransportError):
            async for _ in words:
                pass
    await server.died()
    assert "the database is closed" not in server.log
    assert books_are_right(data_dir)
    left, held = await credits_left(data_dir)
    assert 100 - 0.1 * len(PIECES) < left < 100
    assert held == 0
