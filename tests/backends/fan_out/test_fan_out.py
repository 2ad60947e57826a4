"""Both backends of the fan-out port."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.backends.fan_out.valkey import CHANNEL, ValkeyFanOut
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.fan_out import MOST_WAITING, FanOut

SOON = 10.0


@pytest.fixture(params=["memory", "valkey"])
async def fan_out(request: pytest.FixtureRequest) -> AsyncIterator[FanOut]:
    if request.param == "memory":
        yield MemoryFanOut()
        return
    valkey = ValkeyFanOut(request.getfixturevalue("valkey_url"), SystemClock())
    async with valkey.listen("anything"):
        await asyncio.wait_for(valkey.subscribed(), SOON)
        yield valkey
    await valkey.close()


async def test_everyone_who_listens_to_a_topic_hears_it(fan_out: FanOut) -> None:
    async with fan_out.listen("mine") as one, fan_out.listen("mine") as two, fan_out.listen("yours") as other:
        for number in range(3):
            await fan_out.publish("mine", b"%d\x00" % number)
        for listener in (one, two):
            assert [await listener.next(SOON) for _ in range(3)] == [b"0\x00", b"1\x00", b"2\x00"]
        assert await other.next(0.05) is None


async def test_who_listens_no_longer_hears_nothing_and_costs_nothing(fan_out: FanOut) -> None:
    async with fan_out.listen("mine") as before:
        pass
    async with fan_out.listen("mine") as after:
        await fan_out.publish("mine", b"x")
        assert await after.next(SOON) == b"x"
    assert await before.next(0.01) is None


async def test_a_slow_listener_is_told_that_it_missed_something(fan_out: FanOut) -> None:
    async with fan_out.listen("mine") as slow, fan_out.listen("mine") as quick:
        for number in range(MOST_WAITING + 1):
            await fan_out.publish("mine", b"%d" % number)
            assert await quick.next(SOON) == b"%d" % number
        assert await slow.next(SOON) is None
        await fan_out.publish("mine", b"now")
        assert await slow.next(SOON) == b"now"


async def test_what_others_say_on_the_same_server_stops_nobody(valkey_url: str) -> None:
    fan_out = ValkeyFanOut(valkey_url, SystemClock())
    stranger = redis.Redis.from_url(valkey_url)
    async with fan_out.listen("mine") as listener:
        await asyncio.wait_for(fan_out.subscribed(), SOON)
        assert await listener.next(SOON) is None, "it begins by looking at the rows"
        await stranger.publish(CHANNEL, b"\xff\xfe")
        await fan_out.publish("mine", b"heard")
        assert await listener.next(SOON) == b"heard"
    await stranger.aclose()
    await fan_out.close()


async def test_processes_hear_each_other_through_valkey(valkey_url: str) -> None:
    here, there = ValkeyFanOut(valkey_url, SystemClock()), ValkeyFanOut(valkey_url, SystemClock())
    async with here.listen("mine") as listener:
        await asyncio.wait_for(here.subscribed(), SOON)
        assert await listener.next(SOON) is None, "it begins by looking at the rows"
        await there.publish("mine", b"from there")
        assert await listener.next(SOON) == b"from there"
    await here.close()
    await there.close()


async def test_without_its_server_this_process_hears_itself(free_tcp_port: int) -> None:
    alone = ValkeyFanOut(f"redis://127.0.0.1:{free_tcp_port}/0", SystemClock())
    async with alone.listen("mine") as listener:
        await alone.publish("mine", b"x")
        assert await listener.next(SOON) == b"x"
    await alone.close()
