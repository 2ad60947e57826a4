"""What administrators do with webhooks, and what is written of events."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import Table, func, select

from cloudyard.domains.webhooks import (
    DeliveryFilter,
    DeliveryState,
    DeliveryUnderWay,
    TooManyWebhooks,
    WebhookInactive,
)
from cloudyard.domains.webhooks.events import EVENTS
from cloudyard.domains.webhooks.jobs import ENDED_KEPT, event_id
from cloudyard.domains.webhooks.models import webhook_attempts, webhook_deliveries
from cloudyard.domains.webhooks.service import MOST_WEBHOOKS
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Event, Outbox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until
from cloudyard.testing.webhooks import Receiver, WebhookParts

Tell = Callable[..., Awaitable[None]]

ANY = DeliveryFilter()


async def count(database: Database, table: Table) -> int:
    async with database.reading() as tx:
        return int(await tx.scalar(select(func.count()).select_from(table)))


async def test_each_endpoint_gets_what_it_wants_and_nothing_else(
    parts: WebhookParts, receiver: Receiver, tell: Tell
) -> None:
    url = receiver.url
    both, _ = await parts.webhooks.create("admin", url=url + "/both", events=["user.updated", "user.created"])
    one, _ = await parts.webhooks.create("admin", url=url + "/one", events=["user.created"])
    await parts.webhooks.create("admin", url=url + "/off", events=list(EVENTS), active=False)
    await tell(1, kind="user.updated")
    await tell(2, kind="user.created")
    assert await parts.settle() == 3
    assert (await parts.webhooks.deliveries(both.id, ANY, limit=9))[1] == 2
    (only,), _ = await parts.webhooks.deliveries(one.id, ANY, limit=9)
    assert only.event_type == "user.created"


async def test_an_event_that_comes_twice_is_written_once(
    parts: WebhookParts, receiver: Receiver, database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    event = Delivered(7, "user.updated", "user:u", {"user_id": "u"}, clock.now())
    consumer = outbox.consumers["webhooks"]
    await consumer.handle(event)
    await consumer.handle(event)
    assert await count(database, webhook_deliveries) == 1
    later = Delivered(7, "user.updated", "user:u", {"user_id": "u"}, clock.now() + timedelta(days=9))
    assert event_id(later) != event_id(event), "the outbox may use a number again"


async def test_amounts_are_told_in_credits(
    parts: WebhookParts, receiver: Receiver, database: Database, outbox: Outbox
) -> None:
    await parts.webhooks.create("admin", url=receiver.url, events=["credit.purchased"])
    payload = {"user_id": "u", "value_nanos": 5_005_000_000, "cents": 499, "package": {"base_nanos": 10_000_000}}
    async with database.transaction() as tx:
        await outbox.emit(tx, Event("credit.purchased", "user:u", payload))
    await parts.settle()
    data = receiver.posted[0].json["data"]
    assert data == {"userId": "u", "valueCredits": 500.5, "cents": 499, "package": {"baseCredits": 1}}


async def test_a_dead_delivery_is_replayed_past_what_waits(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    receiver.status = 500
    await tell(1)
    while await parts.settle():
        clock.advance(36_000)
    (dead,), _ = await parts.webhooks.deliveries(webhook.id, DeliveryFilter(state=DeliveryState.DEAD), limit=9)
    await tell(2)
    await parts.settle()
    receiver.posted.clear()
    receiver.status = 200
    replayed = await parts.webhooks.replay("admin", webhook.id, dead.id)
    assert (replayed.id, replayed.state, replayed.attempts) == (dead.id, DeliveryState.PENDING, 0)
    with pytest.raises(DeliveryUnderWay):
        await parts.webhooks.replay("admin", webhook.id, dead.id)
    await parts.settle()
    assert [posted.json["data"]["number"] for posted in receiver.posted] == [1]
    delivery, attempts = await parts.webhooks.delivery(webhook.id, dead.id)
    assert delivery.state is DeliveryState.DELIVERED and delivery.event_id == dead.event_id
    assert len(attempts) == 9


async def test_an_inactive_webhook_is_neither_tested_nor_replayed_to(
    parts: WebhookParts, receiver: Receiver, tell: Tell
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    await tell(1)
    await parts.settle()
    (delivery,), _ = await parts.webhooks.deliveries(webhook.id, ANY, limit=9)
    await parts.webhooks.update("admin", webhook.id, active=False)
    with pytest.raises(WebhookInactive):
        await parts.webhooks.test("admin", webhook.id)
    with pytest.raises(WebhookInactive):
        await parts.webhooks.replay("admin", webhook.id, delivery.id)


async def test_there_is_a_most_number_of_webhooks(parts: WebhookParts) -> None:
    for _ in range(MOST_WEBHOOKS):
        await parts.webhooks.create("admin", url="https://example.com/", events=["user.updated"])
    with pytest.raises(TooManyWebhooks):
        await parts.webhooks.create("admin", url="https://example.com/", events=["user.updated"])
    page, total = await parts.webhooks.list(limit=30, offset=90)
    assert (len(page), total) == (MOST_WEBHOOKS - 90, MOST_WEBHOOKS)


async def test_every_act_is_in_the_audit_log_without_a_secret(parts: WebhookParts, receiver: Receiver) -> None:
    webhook, secret = await parts.webhooks.create("ann", url=receiver.url, events=["user.updated"])
    given = "a-secret-of-our-own"
    await parts.webhooks.update("bob", webhook.id, secret=given)
    await parts.webhooks.rotate_secret("cid", webhook.id)
    await parts.webhooks.test("dan", webhook.id)
    await parts.webhooks.delete("eve", webhook.id)
    entries = await parts.audit.list(subject=f"webhook:{webhook.id}")
    acts = ["webhook.created", "webhook.updated", "webhook.secret_rotated", "webhook.tested", "webhook.deleted"]
    assert [(entry.actor, entry.action) for entry in reversed(entries)] == list(
        zip(["ann", "bob", "cid", "dan", "eve"], acts, strict=True)
    )
    assert secret not in str(entries) and given not in str(entries)


async def test_deleting_a_webhook_deletes_its_log_even_while_something_is_sent(
    parts: WebhookParts, receiver: Receiver, tell: Tell, database: Database
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    await tell(1)
    await parts.settle()
    assert await count(database, webhook_attempts) == 1
    await tell(2)
    receiver.hang = True
    sending = asyncio.create_task(parts.settle())
    await until(lambda: len(receiver.posted) == 2)
    await parts.webhooks.delete("admin", webhook.id)
    await sending
    assert await count(database, webhook_attempts) == await count(database, webhook_deliveries) == 0


async def test_what_ended_long_ago_is_forgotten(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    await tell(1)
    await parts.settle()
    clock.advance(ENDED_KEPT.total_seconds())
    await parts.pruner.run()
    assert (await parts.webhooks.deliveries(webhook.id, ANY, limit=9))[1] == 1
    await tell(2)
    clock.advance(1)
    await parts.pruner.run()
    await parts.settle()
    (left,), total = await parts.webhooks.deliveries(webhook.id, ANY, limit=9)
    assert total == 1 and left.state is DeliveryState.DELIVERED
