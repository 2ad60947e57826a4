"""Settled usage is told to those who listen, once each, in order, and costs nothing while nobody does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.domains.billing import Charge, Meter, Payer, Price, PriceLine, Usage, UsageFeed, UsageOutcome
from cloudyard.domains.billing.usage_feed import AT_ONCE, Afterwards
from cloudyard.domains.billing.usage_feed_models import usage_cursors
from cloudyard.domains.ledger import Entry, EntryKind, LedgerBatch, Line, wallet_of
from cloudyard.domains.ledger.records import REVENUE
from cloudyard.domains.live import LiveFeed, UsageFollowers
from cloudyard.domains.live.models import live_events, live_followers
from cloudyard.domains.live.service import KEPT_FOR
from cloudyard.domains.webhooks import DeliveryFilter
from cloudyard.domains.webhooks.models import webhook_deliveries
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.durable.outbox import outbox_events
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.money import CreditRate
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books
from cloudyard.testing.webhooks import Receiver, WebhookParts, running_receiver, webhook_parts

CREDIT = CreditRate(100).nanos_per_credit
PURSE = 1_000 * CREDIT
DETAILS = {"requested_model": "parrot", "operation": "chat", "request_id": "req-1"}
USED = {Meter.INPUT_TOKEN: 7, Meter.OUTPUT_TOKEN: 3}


@pytest.fixture
def clock() -> ManualClock:
    """Begins now: verifiers refuse what is older than some minutes."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def hooks(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox) -> AsyncIterator[WebhookParts]:
    parts = webhook_parts(database, clock, ids, outbox)
    yield parts
    await parts.sender.close()


@pytest.fixture
def live(database: Database, clock: ManualClock) -> LiveFeed:
    return LiveFeed(database, clock, MemoryFanOut())


@pytest.fixture
def feed(database: Database, clock: ManualClock, hooks: WebhookParts, live: LiveFeed) -> UsageFeed:
    return UsageFeed(database, clock, CreditRate(100), [hooks.usage, UsageFollowers(clock, live)])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def price(books: Books) -> Price:
    lines = [PriceLine(Meter.INPUT_TOKEN, CREDIT), PriceLine(Meter.OUTPUT_TOKEN, 2 * CREDIT)]
    return await books.prices.publish("model:parrot", lines)


async def opened(books: Books, user_id: str, price: Price) -> Charge:
    return await books.charges.open(Payer(user_id), price, USED, "chat with parrot")


async def chat(
    books: Books, user_id: str, price: Price, *, outcome: UsageOutcome = UsageOutcome.COMPLETED, **details: str
) -> str:
    """A charge of 13 credits; the id of its usage record."""
    charge = await opened(books, user_id, price)
    await books.charges.settle(charge, Usage(USED, outcome, {**DETAILS, **details}))
    return charge.hold_id


async def listen(hooks: WebhookParts, receiver: Receiver) -> str:
    webhook, _ = await hooks.webhooks.create("admin", url=receiver.url, events=["credit.used"])
    return webhook.id


async def all_told(feed: UsageFeed, hooks: WebhookParts) -> None:
    while await feed.tell():
        pass
    await hooks.deliveries.deliver_due()


def records(receiver: Receiver) -> list[str]:
    return [posted.json["data"]["usageRecordId"] for posted in receiver.posted]


async def cursors(database: Database) -> dict[str, int]:
    async with database.reading() as tx:
        return {row.audience: row.posting_id for row in await tx.all(select(usage_cursors))}


async def count(database: Database, table: Any) -> int:
    async with database.reading() as tx:
        return int(await tx.scalar(select(func.count()).select_from(table)))


async def test_while_nobody_listens_nothing_is_written(
    books: Books, price: Price, feed: UsageFeed, database: Database
) -> None:
    await chat(books, await books.user(PURSE), price)
    assert await feed.tell() == 0
    for table in (usage_cursors, webhook_deliveries, live_events, outbox_events):
        assert await count(database, table) == 0


async def test_a_charge_is_told_with_what_it_was(
    books: Books, price: Price, feed: UsageFeed, hooks: WebhookParts, receiver: Receiver, clock: ManualClock
) -> None:
    await listen(hooks, receiver)
    user_id = await books.user(PURSE)
    record = await chat(books, user_id, price)
    await all_told(feed, hooks)
    (posted,) = receiver.posted
    assert posted.json["eventType"] == "credit.used"
    assert posted.json["data"] == {
        "userId": user_id,
        "usageRecordId": record,
        "amount": 13,
        "balance": 987,
        "cost": 0.13,
        "model": "parrot",
        "operation": "chat",
        "quantities": {"inputToken": 7, "outputToken": 3},
        "outcome": "completed",
        "requestId": "req-1",
        "at": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_only_what_is_used_from_then_on_is_told(
    books: Books, price: Price, feed: UsageFeed, hooks: WebhookParts, receiver: Receiver, clock: ManualClock
) -> None:
    user_id = await books.user(PURSE)
    await chat(books, user_id, price)
    clock.advance(1)
    await listen(hooks, receiver)
    told = [await chat(books, user_id, price) for _ in range(2)]
    await all_told(feed, hooks)
    assert records(receiver) == told, "though the feed looked only after them"


async def test_who_stops_listening_is_told_nothing_of_meanwhile(
    books: Books,
    price: Price,
    feed: UsageFeed,
    hooks: WebhookParts,
    receiver: Receiver,
    clock: ManualClock,
    database: Database,
) -> None:
    webhook = await listen(hooks, receiver)
    user_id = await books.user(PURSE)
    first = await chat(books, user_id, price)
    await all_told(feed, hooks)
    await hooks.webhooks.update("admin", webhook, events=["user.created"])
    assert await feed.tell() == 0 and await cursors(database) == {}
    await chat(books, user_id, price)
    clock.advance(1)
    await hooks.webhooks.update("admin", webhook, events=["credit.used"])
    later = await chat(books, user_id, price)
    await all_told(feed, hooks)
    assert records(receiver) == [first, later]


async def test_what_was_free_is_not_told(
    books: Books, feed: UsageFeed, hooks: WebhookParts, receiver: Receiver, database: Database
) -> None:
    await listen(hooks, receiver)
    free = await books.prices.publish("free", [PriceLine(Meter.INPUT_TOKEN, 0), PriceLine(Meter.OUTPUT_TOKEN, 0)])
    await chat(books, await books.user(PURSE), free)
    await all_told(feed, hooks)
    assert receiver.posted == []


async def test_what_is_set_aside_or_given_back_is_not_told(
    books: Books, price: Price, feed: UsageFeed, hooks: WebhookParts, receiver: Receiver
) -> None:
    await listen(hooks, receiver)
    user_id = await books.user(PURSE)
    await books.charges.release(await opened(books, user_id, price), "not served")
    await opened(books, user_id, price)
    await all_told(feed, hooks)
    assert receiver.posted == []


async def test_every_charge_is_told_once_though_several_processes_charge_and_tell(
    books: Books,
    price: Price,
    feed: UsageFeed,
    hooks: WebhookParts,
    receiver: Receiver,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
) -> None:
    webhook = await listen(hooks, receiver)
    users = [await books.user(PURSE) for _ in range(4)]
    processes = [books, open_books(database, clock, ids), open_books(database, clock, ids)]
    feeds = [feed, UsageFeed(database, clock, CreditRate(100), [hooks.usage])]
    charging = asyncio.gather(*(chat(processes[number % 3], users[number % 4], price) for number in range(60)))
    while not charging.done():
        await asyncio.gather(*(each.tell() for each in feeds))
    while sum(await asyncio.gather(*(each.tell() for each in feeds))):
        pass
    found, total = await hooks.webhooks.deliveries(webhook, DeliveryFilter(), limit=100)
    assert total == 60 and len({each.event_id for each in found}) == 60
    await hooks.deliveries.deliver_due()
    assert sorted(records(receiver)) == sorted(await charging)


async def test_a_charge_that_commits_late_is_not_passed_over(
    books: Books,
    price: Price,
    feed: UsageFeed,
    hooks: WebhookParts,
    receiver: Receiver,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
) -> None:
    """One process has drawn the number of its posting and commits only later; meanwhile another one charges."""

    def linger(connection: Connection) -> None:
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_sleep(0.3)"))

    await listen(hooks, receiver)
    other = open_books(database, clock, ids)
    users = [await books.user(PURSE) for _ in range(2)]
    slow, quick = await opened(books, users[0], price), await opened(other, users[1], price)
    late = asyncio.create_task(books.charges.settle(slow, Usage(USED, details=DETAILS), also=(linger,)))
    await asyncio.sleep(0.05)
    soon = asyncio.create_task(other.charges.settle(quick, Usage(USED, details=DETAILS)))
    while not (late.done() and soon.done()):
        await feed.tell()
        await asyncio.sleep(0.01)
    await all_told(feed, hooks)
    assert sorted(records(receiver)) == sorted([slow.hold_id, quick.hold_id])


async def test_more_than_is_told_at_once_keeps_its_order(
    books: Books, price: Price, feed: UsageFeed, hooks: WebhookParts, receiver: Receiver, database: Database
) -> None:
    webhook = await listen(hooks, receiver)
    cheap = await books.prices.publish("cheap", [PriceLine(Meter.INPUT_TOKEN, 1), PriceLine(Meter.OUTPUT_TOKEN, 1)])
    user_id = await books.user(PURSE)
    charges = await asyncio.gather(*(opened(books, user_id, cheap) for _ in range(AT_ONCE + 5)))
    for charge in charges[:5]:
        await books.charges.settle(charge, Usage(USED, details=DETAILS))
    await asyncio.gather(*(books.charges.settle(charge, Usage(USED, details=DETAILS)) for charge in charges[5:]))
    assert (await feed.tell(), await feed.tell(), await feed.tell()) == (AT_ONCE, 5, 0)
    assert (await hooks.webhooks.deliveries(webhook, DeliveryFilter(), limit=1))[1] == AT_ONCE + 5
    async with database.reading() as tx:
        rows = await tx.all(select(webhook_deliveries.c.data).order_by(webhook_deliveries.c.id).limit(5))
    assert [row.data["usageRecordId"] for row in rows] == [charge.hold_id for charge in charges[:5]]


async def test_charges_without_a_usage_record_are_passed_over(
    books: Books,
    price: Price,
    feed: UsageFeed,
    hooks: WebhookParts,
    live: LiveFeed,
    receiver: Receiver,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
) -> None:
    """A whole batch of them, as another program may have posted."""
    await listen(hooks, receiver)
    user_id = await books.user(PURSE)
    await live.join(user_id)
    assert await feed.tell() == 0
    lines = (Line(wallet_of(user_id), -1), Line(REVENUE, 1))

    def post(connection: Connection) -> None:
        batch = LedgerBatch(connection, ids, clock.now())
        entries = [Entry(EntryKind.USAGE, f"usage:other-{n}", lines, "elsewhere") for n in range(AT_ONCE)]
        batch.load([line.account for line in lines], keys=[entry.idempotency_key for entry in entries])
        for entry in entries:
            batch.post(entry)
        batch.flush()

    await database.run(post)
    record = await chat(books, user_id, price)
    await all_told(feed, hooks)
    assert records(receiver) == [record]
    assert [event.payload["usage_record_id"] for event in await live.after(user_id, 0)] == [record, record]


class FailingAudience:
    """Always listens and cannot take anything."""

    name = "failing"

    def __init__(self, began: datetime) -> None:
        self.began = began
        self.tried = 0

    def since(self, connection: Connection) -> datetime | None:
        return self.began

    async def take(self, tx: Transaction, used: Sequence[Delivered]) -> Afterwards:
        self.tried += 1
        raise RuntimeError("no room")


async def test_an_audience_that_fails_holds_up_no_other(
    books: Books, price: Price, hooks: WebhookParts, receiver: Receiver, database: Database, clock: ManualClock
) -> None:
    failing = FailingAudience(clock.now())
    feed = UsageFeed(database, clock, CreditRate(100), [failing, hooks.usage])
    await listen(hooks, receiver)
    told = [await chat(books, await books.user(PURSE), price)]
    await all_told(feed, hooks)
    told.append(await chat(books, await books.user(PURSE), price))
    await all_told(feed, hooks)
    assert records(receiver) == told
    assert failing.tried >= 2 and (await cursors(database))["failing"] == 0, "it is tried again with the same"


class UnreadableAudience(FailingAudience):
    """Cannot even be asked."""

    name = "unreadable"

    def since(self, connection: Connection) -> datetime | None:
        return connection.scalar(text("SELECT began FROM nowhere"))


async def test_an_audience_that_cannot_be_asked_holds_up_no_other(
    books: Books, price: Price, hooks: WebhookParts, receiver: Receiver, database: Database, clock: ManualClock
) -> None:
    feed = UsageFeed(database, clock, CreditRate(100), [UnreadableAudience(clock.now()), hooks.usage])
    await listen(hooks, receiver)
    told = await chat(books, await books.user(PURSE), price)
    await all_told(feed, hooks)
    assert records(receiver) == [told]


async def test_who_follows_hears_of_credit_and_chat(
    books: Books, price: Price, feed: UsageFeed, live: LiveFeed, database: Database
) -> None:
    follower, other = await books.user(PURSE), await books.user(PURSE)
    await live.join(follower)
    record = await chat(books, follower, price)
    await chat(books, other, price)
    await chat(books, follower, price, outcome=UsageOutcome.CLIENT_LEFT)
    await chat(books, follower, price, operation="embeddings")
    while await feed.tell():
        pass
    events = await live.after(follower, 0)
    assert [event.kind for event in events] == ["credit.used", "chat.completed", "credit.used", "credit.used"]
    assert [event.number for event in events] == [1, 2, 3, 4]
    assert (events[0].payload["amount"], events[0].payload["usage_record_id"]) == (13, record)
    assert events[1].payload == {
        "user_id": follower,
        "model": "parrot",
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "cost": 0.13,
        "usage_record_id": record,
        "request_id": "req-1",
    }
    assert await live.after(other, 0) == []


async def test_who_comes_back_within_a_day_finds_what_was_used(
    books: Books, price: Price, feed: UsageFeed, live: LiveFeed, clock: ManualClock, database: Database
) -> None:
    user_id = await books.user(PURSE)
    await live.join(user_id)
    clock.advance((KEPT_FOR - timedelta(minutes=1)).total_seconds())
    await chat(books, user_id, price)
    while await feed.tell():
        pass
    assert await live.newest(user_id) == 2
    clock.advance(120)
    await chat(books, user_id, price)
    assert await feed.tell() == 0 and await cursors(database) == {}
    await live.prune()
    assert await count(database, live_followers) == 0
    clock.advance(1)
    await live.join(user_id)
    assert await feed.tell() == 0
    await chat(books, user_id, price)
    while await feed.tell():
        pass
    assert await live.newest(user_id) == 4, "what was used while nobody followed is not told"


async def test_following_on_keeps_the_moment_at_which_it_began(
    live: LiveFeed, database: Database, clock: ManualClock
) -> None:
    began = clock.now()
    for _ in range(30):
        await live.join("ann")
        clock.advance(3600)
    async with database.reading() as tx:
        (row,) = await tx.all(select(live_followers))
    assert row.since == began and row.until > clock.now()
