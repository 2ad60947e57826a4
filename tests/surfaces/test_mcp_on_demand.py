"""Opening the MCP server when it is first asked for: once, whoever asks, leaves, fails or stops meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from cloudyard.surfaces.mcp import McpServices, on_demand
from cloudyard.surfaces.mcp.on_demand import ServerOnDemand, ServerStopping

SERVICES = cast(McpServices, None)  # handed on, and not looked at here


class Protocol:
    """Takes as long to be built as the test wants, and fails as often."""

    def __init__(self, *, failures: int = 0) -> None:
        self.may_end = threading.Event()
        self.may_end.set()
        self.failures = failures
        self.built = 0
        self.breaks = asyncio.Event()

    def build(self, _services: McpServices) -> "Protocol":
        self.may_end.wait(10)
        self.built += 1
        if self.built <= self.failures:
            raise ImportError("no such library")
        return self

    async def app(self, *_: Any) -> None:
        """An ASGI app."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            breaking = group.create_task(self._break())
            yield
            breaking.cancel()

    async def _break(self) -> None:
        await self.breaks.wait()
        raise OSError("broken")


def given(monkeypatch: pytest.MonkeyPatch, protocol: Protocol) -> ServerOnDemand:
    monkeypatch.setattr(on_demand, "_build", protocol.build)
    return ServerOnDemand(SERVICES)


async def test_it_is_opened_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    server = given(monkeypatch, protocol)
    async with asyncio.timeout(10), server.running():
        assert protocol.built == 0
        assert set(await asyncio.gather(*(server.app() for _ in range(5)))) == {protocol.app}
        assert await server.app() == protocol.app
    assert protocol.built == 1


async def test_one_who_leaves_while_it_opens_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    protocol.may_end.clear()
    server = given(monkeypatch, protocol)
    async with asyncio.timeout(10), server.running():
        leaves, stays = asyncio.create_task(server.app()), asyncio.create_task(server.app())
        await asyncio.sleep(0)
        leaves.cancel()
        protocol.may_end.set()
        assert await stays == protocol.app
        assert leaves.cancelled()


async def test_a_failure_is_told_and_the_next_request_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = given(monkeypatch, Protocol(failures=1))
    async with asyncio.timeout(10), server.running():
        with pytest.raises(ImportError, match="no such library"):
            await server.app()
        assert await server.app()


async def test_one_that_broke_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    server = given(monkeypatch, protocol)
    async with asyncio.timeout(10), server.running():
        await server.app()
        protocol.breaks.set()
        await asyncio.wait([server._serving])
        protocol.breaks.clear()
        assert await server.app() == protocol.app
    assert protocol.built == 2


async def test_one_who_waits_when_it_stops_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    protocol.may_end.clear()
    server = given(monkeypatch, protocol)
    async with asyncio.timeout(10):
        async with server.running():
            asking = asyncio.create_task(server.app())
            await asyncio.sleep(0.01)
        with pytest.raises(ServerStopping):
            await asking
        protocol.may_end.set()


async def test_nothing_is_opened_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol()
    async with asyncio.timeout(10), given(monkeypatch, protocol).running():
        await asyncio.sleep(0.01)
    assert protocol.built == 0
