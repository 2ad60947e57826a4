"""Deliveries of one subject go out one after the other; those that wait cost nothing, and none is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from cryptography.fernet import Fernet
from sqlalchemy import select

from cloudyard.domains.webhooks import Deliveries, Delivery, DeliveryFilter, DeliveryState
from cloudyard.domains.webhooks.models import webhook_deliveries
from cloudyard.domains.webhooks.outcomes import PAUSES
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until
from cloudyard.testing.webhooks import Receiver, WebhookParts, webhook_parts

Tell = Callable[..., Awaitable[None]]

ANY = DeliveryFilter()
EVENTS = ["user.updated"]
USED = ["credit.used"]


def numbers(receiver: Receiver) -> list[int]:
    return [posted.json["data"]["number"] for posted in receiver.posted]


async def log_of(parts: WebhookParts, webhook_id: str) -> list[Delivery]:
    """Every delivery, oldest first."""
    found, _ = await parts.webhooks.deliveries(webhook_id, ANY, limit=100)
    return list(reversed(found))


async def found_when_looking(database: Database, clock: ManualClock) -> int:
    """How many rows one goes through who looks for what is due."""
    table = webhook_deliveries
    async with database.reading() as tx:
        return len(await tx.all(select(table.c.id).where(table.c.state == "pending", table.c.due_at <= clock.now())))


async def test_what_waits_for_an_earlier_one_is_not_gone_through(
    parts: WebhookParts, receiver: Receiver, tell: Tell, database: Database, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    receiver.status = 500
    await tell(*range(20))
    await tell(*range(20, 40), user="u2")
    await parts.settle()
    assert await found_when_looking(database, clock) == 0
    await tell(50)
    while await parts.dispatcher.deliver_due():
        pass
    assert await found_when_looking(database, clock) == 0, "it came behind one that backs off"
    clock.advance(PAUSES[0])
    assert await found_when_looking(database, clock) == 2, "the first of each subject"
    planned = [each.next_attempt_at for each in await log_of(parts, webhook.id)]
    assert (planned.count(clock.now()), planned.count(None)) == (2, 39)

    receiver.status = 200
    receiver.posted.clear()
    await parts.settle()
    assert [n for n in numbers(receiver) if not 20 <= n < 40] == [*range(20), 50]
    assert [n for n in numbers(receiver) if 20 <= n < 40] == list(range(20, 40))


async def test_after_one_that_is_given_up_comes_the_next(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    receiver.status = 500
    await tell(1, 2)
    for _ in range(len(PAUSES) + 1):
        await parts.settle()
        assert 2 not in numbers(receiver)[: len(PAUSES) + 1]
        clock.advance(max(PAUSES))
    states = [(each.state, each.attempts) for each in await log_of(parts, webhook.id)]
    assert states == [(DeliveryState.DEAD, len(PAUSES) + 1), (DeliveryState.PENDING, 1)]
    assert numbers(receiver)[-1] == 2


async def test_a_new_one_behind_one_that_was_delivered_before_goes_out(
    parts: WebhookParts, receiver: Receiver, database: Database, clock: ManualClock
) -> None:
    """Events that come twice are written once, and nothing waits for what has ended already."""
    await parts.webhooks.create("admin", url=receiver.url, events=USED)
    used = [
        Delivered(number, "credit.used", "user:u1", {"user_id": "u1", "number": number}, clock.now())
        for number in range(3)
    ]
    for known in (1, 3):
        async with database.transaction() as tx:
            await parts.usage.take(tx, used[:known])
        await parts.deliveries.deliver_due()
    assert numbers(receiver) == [0, 1, 2]


async def test_a_send_that_is_interrupted_is_no_try(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    """Restarts while a receiver is slow cost its delivery nothing."""
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    await tell(1)
    while await parts.dispatcher.deliver_due():
        pass
    receiver.hang = True
    for restarts in range(1, len(PAUSES) + 2):
        sending = asyncio.create_task(parts.deliveries.deliver_due())
        await until(lambda: len(receiver.posted) == restarts)  # noqa: B023 - awaited at once
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        clock.advance(61)
    receiver.hang, receiver.status = False, 503
    assert await parts.deliveries.deliver_due() == 1
    (delivery,) = await log_of(parts, webhook.id)
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert delivery.next_attempt_at == clock.now() + timedelta(seconds=PAUSES[0])


async def test_what_is_written_while_others_are_sent_is_not_left_waiting(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, receiver: Receiver
) -> None:
    """Each is written just when the one before it may be ending, by another process than the one that sends."""
    box = SecretBox([Fernet.generate_key().decode()])
    writing, *sending = (webhook_parts(database, clock, ids, outbox, box=box) for _ in range(3))
    await writing.webhooks.create("admin", url=receiver.url, events=USED)
    senders = [asyncio.create_task(_keep_sending(parts.deliveries)) for parts in sending]
    count = 60
    for number in range(count):
        event = Delivered(number, "credit.used", "user:u1", {"user_id": "u1", "number": number}, clock.now())
        async with database.transaction() as tx:
            await writing.usage.take(tx, [event])
        await asyncio.sleep(0)
    await until(lambda: len(receiver.posted) == count)
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    for parts in (writing, *sending):
        await parts.sender.close()
    assert numbers(receiver) == list(range(count))


async def _keep_sending(deliveries: Deliveries) -> None:
    while True:
        await deliveries.deliver_due()
        await asyncio.sleep(0)
