"""A user's feed: numbered without gaps, each event once, followed live and from where it was left."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.domains.live import LiveConsumer, LiveEvent, LiveFeed
from cloudyard.domains.live.service import AT_ONCE, KEPT_FOR
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered
from cloudyard.testing.clock import ManualClock

ANN, BEN = "ann", "ben"


@pytest.fixture
def fan_out() -> MemoryFanOut:
    return MemoryFanOut()


@pytest.fixture
def feed(database: Database, clock: ManualClock, fan_out: MemoryFanOut) -> LiveFeed:
    return LiveFeed(database, clock, fan_out)


def happened(number: int, clock: ManualClock, kind: str = "credit.purchased") -> Delivered:
    return Delivered(number, kind, f"user:{ANN}", {"amount": number}, clock.now())


async def heard(feed: LiveFeed, user: str, after: int, count: int) -> list[LiveEvent]:
    found: list[LiveEvent] = []
    async with asyncio.timeout(20), aclosing(feed.follow(user, after)) as events:
        async for event in events:
            if event is not None:
                found.append(event)
            if len(found) == count:
                break
    return found


async def test_events_are_numbered_for_each_user_and_kept_once(feed: LiveFeed, clock: ManualClock) -> None:
    for number in (11, 12, 12, 11, 13):
        await feed.add(ANN, happened(number, clock), {"amount": number})
    await feed.add(BEN, happened(12, clock), {"amount": 12})
    found = await feed.after(ANN, 0)
    assert [(event.number, event.payload["amount"]) for event in found] == [(1, 11), (2, 12), (3, 13)]
    assert (await feed.newest(ANN), await feed.newest(BEN), await feed.newest("nobody")) == (3, 1, 0)
    assert [event.number for event in await feed.after(ANN, 2)] == [3]


async def test_who_follows_hears_what_was_and_what_comes(feed: LiveFeed, clock: ManualClock) -> None:
    for number in range(3):
        await feed.add(ANN, happened(number, clock), {})
    following = asyncio.create_task(heard(feed, ANN, 1, 4))
    for number in range(3, 5):
        await asyncio.sleep(0.01)
        await feed.add(ANN, happened(number, clock), {})
        await feed.add(BEN, happened(number, clock), {})
    assert [event.number for event in await following] == [2, 3, 4, 5]


async def test_what_was_lost_on_the_way_is_made_up_for(
    feed: LiveFeed, database: Database, clock: ManualClock, fan_out: MemoryFanOut
) -> None:
    """Another process wrote it, and its message never came; the next one shows the gap."""
    silent = LiveFeed(database, clock, MemoryFanOut())
    following = asyncio.create_task(heard(feed, ANN, 0, 5))
    await asyncio.sleep(0.05)
    for number in range(3):
        await silent.add(ANN, happened(number, clock), {})
    await feed.add(ANN, happened(3, clock), {})
    await silent.add(ANN, happened(4, clock), {})
    fan_out.missed()
    assert [event.number for event in await following] == [1, 2, 3, 4, 5]


async def test_more_than_is_read_at_once(feed: LiveFeed, clock: ManualClock) -> None:
    count = AT_ONCE + 3
    for number in range(count):
        await feed.add(ANN, happened(number, clock), {})
    assert [event.number for event in await heard(feed, ANN, 0, count)] == list(range(1, count + 1))


async def test_events_added_at_once_are_all_there(feed: LiveFeed, clock: ManualClock) -> None:
    await asyncio.gather(*(feed.add(ANN, happened(number, clock), {}) for number in range(20)))
    assert [event.number for event in await feed.after(ANN, 0)] == list(range(1, 21))


async def test_old_events_are_forgotten_and_numbers_go_on(feed: LiveFeed, clock: ManualClock) -> None:
    await feed.add(ANN, happened(1, clock), {})
    clock.advance((KEPT_FOR + timedelta(seconds=1)).total_seconds())
    await feed.add(ANN, happened(2, clock), {})
    await feed.prune()
    assert [event.number for event in await feed.after(ANN, 0)] == [2]


async def test_the_consumer_finds_the_user_of_an_event(feed: LiveFeed, clock: ManualClock) -> None:
    consumer = LiveConsumer(feed, frozenset({"credit.purchased"}))
    await consumer.handle(happened(1, clock))
    await consumer.handle(Delivered(2, "payment.failed", "payment:9", {"user_id": BEN}, clock.now()))
    assert [event.kind for event in await feed.after(ANN, 0)] == ["credit.purchased"]
    assert [event.kind for event in await feed.after(BEN, 0)] == ["payment.failed"]
