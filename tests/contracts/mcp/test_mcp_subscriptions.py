"""Hearing of changes, as the official client listens for them."""

import asyncio
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_people import Person, called, connected

from cloudyard.foundation.errors import DomainError
from cloudyard.testing.installation import Installation
from cloudyard.testing.upstream import Behaviour, Upstream

WALLET = "cloudyard://wallet"
PATIENCE = 60


@pytest.fixture(autouse=True)
def well_behaved(upstream: Upstream) -> None:
    upstream.behave(Behaviour())


async def next_of(events: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await anext(aiter(events))


async def spend(server: Installation, person: Person) -> None:
    async with connected(server, token=person.access_token) as client:
        await called(client, "chat", message="Where?", max_tokens=50)


async def test_changes_of_credits_and_files_are_heard_of(mcp_server: Installation, ann: Person, bob: Person) -> None:
    async with connected(mcp_server, token=ann.access_token) as client:
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe is True
        async with client.listen(resource_subscriptions=[WALLET]) as events:
            await spend(mcp_server, bob)
            await spend(mcp_server, ann)
            assert await next_of(events) == ResourceUpdated(WALLET)
        async with client.listen(resources_list_changed=True) as events:
            await called(client, "upload_file", filename="new.txt", text="x")
            assert await next_of(events) == ResourcesListChanged()


async def test_a_stream_ends_with_its_credential(mcp_server: Installation, ann: Person) -> None:
    created, key = mcp_server.run(mcp_server.services.api_keys.create(ann.id, name="agent"))
    async with connected(mcp_server, token=key) as client, client.listen(resource_subscriptions=[WALLET]) as events:
        mcp_server.run(mcp_server.services.api_keys.revoke(ann.id, created.id))
        async with asyncio.timeout(PATIENCE):
            assert [event async for event in events] == []


async def test_nothing_is_heard_that_may_not_be_read(mcp_server: Installation, ann: Person) -> None:
    _, key = mcp_server.run(mcp_server.services.api_keys.create(ann.id, name="agent", scopes=["files"]))
    async with (
        connected(mcp_server, token=key) as client,
        client.listen(resource_subscriptions=[WALLET], resources_list_changed=True) as events,
    ):
        await spend(mcp_server, ann)
        await called(client, "upload_file", filename="new.txt", text="x")
        assert await next_of(events) == ResourcesListChanged()


async def test_streams_of_a_user_are_bounded(mcp_server: Installation, ann: Person, bob: Person) -> None:
    async with connected(mcp_server, token=ann.access_token) as client:
        opened = [client.listen(resource_subscriptions=[WALLET]) for _ in range(8)]
        for stream in opened:
            await stream.__aenter__()
        with pytest.raises((MCPError, DomainError, ConnectionError), match="Too many streams"):
            async with client.listen(resource_subscriptions=[WALLET]):
                pass
        async with connected(mcp_server, token=bob.access_token) as other:
            await _listens(other)
        for stream in opened:
            await stream.__aexit__(None, None, None)
        await _listens_at_last(client)


async def _listens(client: Client) -> None:
    async with client.listen(resource_subscriptions=[WALLET]):
        pass


async def _listens_at_last(client: Client) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await _listens(client)
            except MCPError:
                await asyncio.sleep(0.05)
            else:
                return
