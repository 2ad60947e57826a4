"""Events: none without its change, every one delivered, in order for each subject and consumer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import BackgroundWork, Delivered, Dispatcher, Event, Outbox
from cloudyard.foundation.durable.outbox import ATTEMPTS_BEFORE_DEAD, BATCH, LEASE, outbox_deliveries, outbox_events
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until, until_after

LONGEST_PAUSE = 300


@dataclass
class Listener:
    """Keeps what it hears; a payload with `fail` makes it fail that many times."""

    name: str = "listener"
    kinds: frozenset[str] = frozenset({"changed"})
    heard: list[Any] = field(default_factory=list)
    failures: dict[Any, int] = field(default_factory=dict)

    async def handle(self, event: Delivered) -> None:
        number = event.payload["number"]
        left = self.failures.setdefault(number, event.payload.get("fail", 0))
        if left:
            self.failures[number] = left - 1
            raise RuntimeError(f"not yet \x00 {number}")
        self.heard.append(number)


def changed(number: int, subject: str = "thing:1", **payload: object) -> Event:
    return Event("changed", subject, {"number": number, **payload})


async def emit(database: Database, outbox: Outbox, *events: Event) -> None:
    async with database.transaction() as tx:
        await outbox.emit(tx, *events)


async def deliver(dispatcher: Dispatcher, clock: ManualClock | None = None) -> None:
    """Deliver until nothing is due; with a clock also what comes due again later."""
    for _ in range(1000):
        if await dispatcher.deliver_due() == 0:
            if clock is None:
                return
            clock.advance(LONGEST_PAUSE)
            if await dispatcher.deliver_due() == 0:
                return
    raise AssertionError("the outbox is never empty")


async def count(database: Database, table: Any, *conditions: Any) -> int:
    async with database.reading() as tx:
        return int(await tx.scalar(select(func.count()).select_from(table).where(*conditions)))


@pytest.fixture
def listener(outbox: Outbox) -> Listener:
    listener = Listener()
    outbox.subscribe(listener)
    return listener


@pytest.fixture
def dispatcher(database: Database, outbox: Outbox, clock: ManualClock) -> Dispatcher:
    return Dispatcher(database, outbox, clock, poll_seconds=0.02)


async def test_an_event_arrives_as_it_was_written(
    database: Database, outbox: Outbox, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    arrived: list[Delivered] = []

    @dataclass
    class Keeper:
        name: str = "keeper"
        kinds: frozenset[str] = frozenset({"changed"})

        async def handle(self, event: Delivered) -> None:
            arrived.append(event)

    outbox.subscribe(Keeper())
    written = clock.now()
    await emit(database, outbox, changed(1, word="é", nested={"list": [1, None]}))
    clock.advance(5)
    assert await dispatcher.deliver_due() == 1
    (event,) = arrived
    assert (event.kind, event.subject, event.created_at) == ("changed", "thing:1", written)
    assert event.payload == {"number": 1, "word": "é", "nested": {"list": [1, None]}}
    assert await dispatcher.deliver_due() == 0


async def test_a_change_that_is_rolled_back_emits_nothing(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher
) -> None:
    with pytest.raises(RuntimeError, match="afterwards"):
        async with database.transaction() as tx:
            await outbox.emit(tx, changed(1))
            raise RuntimeError("afterwards")
    await deliver(dispatcher)
    assert listener.heard == []
    assert await count(database, outbox_events) == 0


async def test_what_nobody_wants_is_not_stored(database: Database, outbox: Outbox, listener: Listener) -> None:
    await emit(database, outbox, Event("ignored", "thing:1", {}))
    assert await count(database, outbox_events) == 0


async def test_every_consumer_gets_it(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher
) -> None:
    other = Listener("other", frozenset({"changed", "removed"}))
    outbox.subscribe(other)
    await emit(database, outbox, changed(1), Event("removed", "thing:1", {"number": 2}))
    await deliver(dispatcher)
    assert (listener.heard, other.heard) == ([1], [1, 2])


async def test_a_subjects_events_keep_their_order_under_failure(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1), changed(2, fail=3), changed(3))
    await emit(database, outbox, changed(4, fail=1))
    await emit(database, outbox, changed(5))
    await deliver(dispatcher)
    assert listener.heard == [1]
    await deliver(dispatcher, clock)
    assert listener.heard == [1, 2, 3, 4, 5]


async def test_a_failing_subject_holds_back_no_other(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher
) -> None:
    await emit(database, outbox, changed(1, "thing:1", fail=99), changed(2, "thing:2"), changed(3, "thing:1"))
    await deliver(dispatcher)
    assert listener.heard == [2]


async def test_a_failing_consumer_holds_back_no_other(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher
) -> None:
    broken = Listener("broken", failures={1: 99})
    outbox.subscribe(broken)
    await emit(database, outbox, changed(1), changed(2))
    await deliver(dispatcher)
    assert (listener.heard, broken.heard) == ([1, 2], [])


async def test_retries_wait_longer_and_longer(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1, fail=3))
    tried = []
    for second in range(10):
        if await dispatcher.deliver_due():
            tried.append(second)
        clock.advance(1)
    assert tried == [0, 1, 3, 7]
    assert listener.heard == [1]


async def test_what_never_succeeds_is_put_aside_and_blocks_nobody_any_more(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1, fail=10_000), changed(2))
    for _ in range(ATTEMPTS_BEFORE_DEAD):
        assert await dispatcher.deliver_due() == 1
        assert listener.heard == []
        clock.advance(LONGEST_PAUSE)
    await deliver(dispatcher, clock)
    assert listener.heard == [2]
    async with database.reading() as tx:
        dead = await tx.first(select(outbox_deliveries).where(outbox_deliveries.c.state == "dead"))
    assert dead is not None
    assert (dead.attempts, dead.last_error) == (ATTEMPTS_BEFORE_DEAD, "RuntimeError: not yet  1")


async def test_a_dispatcher_killed_in_the_middle_delivers_again(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    reached = asyncio.Event()

    @dataclass
    class Stuck:
        name: str = "stuck"
        kinds: frozenset[str] = frozenset({"changed"})
        calls: int = 0

        async def handle(self, event: Delivered) -> None:
            self.calls += 1
            if self.calls == 1:
                reached.set()
                await asyncio.Event().wait()

    stuck = Stuck()
    outbox.subscribe(stuck)
    await emit(database, outbox, changed(1))
    delivering = asyncio.create_task(dispatcher.deliver_due())
    await reached.wait()
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert await dispatcher.deliver_due() == 0
    clock.advance(LEASE.total_seconds() + 1)
    await deliver(dispatcher)
    assert stuck.calls == 2


async def test_a_delivery_whose_lease_was_lost_is_not_ended_by_the_late_one(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    """A slow one delivers past its lease; another delivers again meanwhile and fails: it stays due."""
    calls = 0
    slow_may_end = asyncio.Event()

    @dataclass
    class Slow:
        name: str = "slow"
        kinds: frozenset[str] = frozenset({"changed"})

        async def handle(self, event: Delivered) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                await slow_may_end.wait()
            elif calls == 2:
                raise RuntimeError("the second fails")

    outbox.subscribe(Slow())
    await emit(database, outbox, changed(1))
    one, two = Dispatcher(database, outbox, clock), Dispatcher(database, outbox, clock)
    slow = asyncio.create_task(one.deliver_due())
    await until(lambda: calls == 1)
    clock.advance(LEASE.total_seconds() + 1)
    assert await two.deliver_due() == 1
    slow_may_end.set()
    await slow
    clock.advance(LONGEST_PAUSE)
    await deliver(two)
    assert calls == 3


async def test_two_dispatchers_share_the_work_in_order(
    database: Database, database_url: str, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    subjects = [f"thing:{number}" for number in range(12)]
    for round_number in range(5):
        await emit(database, outbox, *(changed(round_number, subject) for subject in subjects))
    order: dict[str, list[int]] = {subject: [] for subject in subjects}

    @dataclass
    class Ordered:
        name: str = "ordered"
        kinds: frozenset[str] = frozenset({"changed"})

        async def handle(self, event: Delivered) -> None:
            await asyncio.sleep(0)
            order[event.subject].append(event.payload["number"])

    other = Database(database_url)
    outbox.subscribe(Ordered())
    for round_number in range(5, 10):
        await emit(database, outbox, *(changed(round_number, subject) for subject in subjects))
    await asyncio.gather(*(deliver(Dispatcher(d, outbox, clock)) for d in (database, other)))
    await deliver(Dispatcher(database, outbox, clock))
    assert order == {subject: [5, 6, 7, 8, 9] for subject in subjects}
    assert len(listener.heard) == len(subjects) * 10
    assert await count(database, outbox_deliveries) == 0
    await other.close()


async def test_more_than_a_batch(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher
) -> None:
    await emit(database, outbox, *(changed(number, f"thing:{number}") for number in range(BATCH + 10)))
    assert await dispatcher.deliver_due() == BATCH
    assert await dispatcher.deliver_due() == 10
    assert sorted(listener.heard) == list(range(BATCH + 10))


async def test_a_delivery_waits_for_a_process_that_has_its_consumer(
    database: Database, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1))
    without = Dispatcher(database, Outbox(clock), clock)
    assert await without.deliver_due() == 0
    await deliver(Dispatcher(database, outbox, clock))
    assert listener.heard == [1]


@asynccontextmanager
async def running(dispatcher: Dispatcher, clock: ManualClock) -> AsyncIterator[None]:
    """Its loops, as in the server."""
    work = BackgroundWork(clock, dispatcher.loops())
    work.start()
    try:
        yield
    finally:
        await work.stop()


async def test_a_commit_wakes_the_loop(
    database: Database, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    async with running(Dispatcher(database, outbox, clock), clock):
        await asyncio.sleep(0.05)  # long enough that it waits; were it not, the test would only see less
        await emit(database, outbox, changed(1))
        await until(lambda: listener.heard == [1])


async def test_the_loop_finds_what_others_wrote(
    database: Database, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    elsewhere = Outbox(clock)
    elsewhere.subscribe(Listener())
    dispatcher = Dispatcher(database, outbox, clock, poll_seconds=3)
    async with running(dispatcher, clock):
        for number in (1, 2):
            await emit(database, elsewhere, changed(number))
            await until_after(clock, 3, lambda heard=number: listener.heard[-1:] == [heard])


async def test_the_loop_finds_what_is_to_be_tried_again(
    database: Database, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    async with running(Dispatcher(database, outbox, clock, poll_seconds=3), clock):
        await emit(database, outbox, changed(1, fail=2), changed(2), changed(3, "thing:2"))
        await until(lambda: listener.heard == [3])
        await until_after(clock, 1, lambda: listener.heard == [3, 1, 2])


async def test_nobody_is_woken_where_nothing_can_be_delivered(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1, fail=1), changed(2))
    assert await dispatcher._due() == ["listener"]
    assert await dispatcher.deliver_due() == 1
    assert await dispatcher._due() == []
    clock.advance(LONGEST_PAUSE)
    assert await dispatcher._due() == ["listener"]


async def test_a_slow_consumer_holds_up_no_other(
    database: Database, outbox: Outbox, listener: Listener, clock: ManualClock
) -> None:
    @dataclass
    class Hanging:
        name: str = "hanging"
        kinds: frozenset[str] = frozenset({"changed"})

        async def handle(self, event: Delivered) -> None:
            await asyncio.Event().wait()

    outbox.subscribe(Hanging())
    work = BackgroundWork(clock, Dispatcher(database, outbox, clock, poll_seconds=3600).loops())
    work.start()
    for number in (1, 2, 3):
        await emit(database, outbox, changed(number, f"thing:{number}"))
        await until(lambda heard=number: listener.heard[-1:] == [heard])
    await work.stop()


async def test_old_events_are_forgotten_once_everyone_has_got_them(
    database: Database, outbox: Outbox, listener: Listener, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    await emit(database, outbox, changed(1, "thing:1"), changed(2, "thing:2", fail=10_000))
    await deliver(dispatcher)
    clock.advance(60)
    await emit(database, outbox, changed(3, "thing:3"))
    await deliver(dispatcher)
    await dispatcher.prune(timedelta(seconds=30))
    async with database.reading() as tx:
        left = [row.payload["number"] for row in await tx.all(select(outbox_events).order_by(outbox_events.c.id))]
    assert left == [2, 3]
