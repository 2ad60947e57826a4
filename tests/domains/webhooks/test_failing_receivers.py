"""Receivers that refuse, hang, redirect or vanish: retried as promised, then given up; nobody else waits for them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from cloudyard.domains.webhooks import WEBHOOK_DISABLED, Attempt, Delivery, DeliveryFilter, DeliveryState
from cloudyard.domains.webhooks.models import webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.outcomes import DISABLED_AFTER, PAUSES
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until
from cloudyard.testing.webhooks import Receiver, WebhookParts, running_receiver, webhook_parts

Tell = Callable[..., Awaitable[None]]

ANY = DeliveryFilter()
EVENTS = ["user.updated"]


async def only_delivery(parts: WebhookParts, webhook_id: str) -> tuple[Delivery, Sequence[Attempt]]:
    (delivery,), _ = await parts.webhooks.deliveries(webhook_id, ANY, limit=9)
    return await parts.webhooks.delivery(webhook_id, delivery.id)


def numbers(receiver: Receiver) -> list[int]:
    return [posted.json["data"]["number"] for posted in receiver.posted]


async def test_the_schedule_is_followed_to_the_second_and_then_given_up(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    receiver.status = 500
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    await tell(1)
    assert await parts.settle() == 1
    for tried, pause in enumerate((5, 300, 1800, 7200, 18_000, 36_000, 36_000), start=1):
        delivery, attempts = await only_delivery(parts, webhook.id)
        assert (delivery.state, len(attempts)) == (DeliveryState.PENDING, tried)
        assert delivery.next_attempt_at == clock.now() + timedelta(seconds=pause)
        clock.advance(pause - 1)
        assert await parts.settle() == 0
        clock.advance(1)
        assert await parts.settle() == 1
    delivery, attempts = await only_delivery(parts, webhook.id)
    assert (delivery.state, delivery.next_attempt_at, len(attempts)) == (DeliveryState.DEAD, None, len(PAUSES) + 1)
    assert {attempt.status for attempt in attempts} == {500}
    assert len({posted.headers["webhook-id"] for posted in receiver.posted}) == 1
    clock.advance(10 * 24 * 3600)
    assert await parts.settle() == 0


async def test_500_for_a_day_loses_nothing_and_keeps_the_order(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    receiver.status = 500
    await tell(1, 2, 3)
    await tell(10, 11, user="u2")
    for _ in range(24 * 12):
        await parts.settle()
        clock.advance(300)
    assert set(numbers(receiver)) == {1, 10}, "later events of a subject wait for the first"
    receiver.posted.clear()
    receiver.status = 200
    clock.advance(36_000)
    await parts.settle()
    assert [n for n in numbers(receiver) if n < 10] == [1, 2, 3]
    assert [n for n in numbers(receiver) if n >= 10] == [10, 11]
    assert (await parts.webhooks.get(webhook.id)).failing_since is None


async def test_after_five_failing_days_the_endpoint_is_disabled_and_said_so(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock, outbox: Outbox
) -> None:
    heard: list[Delivered] = []

    class Notice:
        name = "notice"
        kinds = frozenset({WEBHOOK_DISABLED})

        async def handle(self, event: Delivered) -> None:
            heard.append(event)

    outbox.subscribe(Notice())
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    receiver.status = 503
    for day in range(5):
        await tell(day, user=f"user{day}")
        await parts.settle()
        assert (await parts.webhooks.get(webhook.id)).active
        clock.advance(24 * 3600)
    await parts.settle()
    disabled = await parts.webhooks.get(webhook.id)
    assert not disabled.active and disabled.disabled_at == clock.now()
    assert disabled.failing_since == clock.now() - DISABLED_AFTER
    assert "503" in (disabled.disabled_reason or "")
    await parts.settle()
    (event,) = heard
    assert event.payload == {"webhook_id": webhook.id, "url": receiver.url, "reason": disabled.disabled_reason}
    entries = await parts.audit.list(subject=f"webhook:{webhook.id}")
    assert entries[0].action == WEBHOOK_DISABLED and entries[0].actor is None

    receiver.posted.clear()
    receiver.status = 200
    clock.advance(24 * 3600)
    assert await parts.settle() == 0, "nothing is sent to a disabled endpoint"
    enabled = await parts.webhooks.update("admin", webhook.id, active=True)
    assert (enabled.active, enabled.failing_since, enabled.disabled_at, enabled.disabled_reason) == (
        True,
        None,
        None,
        None,
    )
    await parts.settle()
    assert numbers(receiver), "what waited is sent"


async def test_one_delivery_that_is_taken_ends_the_failing_days(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    for day in range(12):
        receiver.status = 200 if day % 4 == 3 else 500
        await tell(day, user=f"user{day}")
        await parts.settle()
        clock.advance(24 * 3600)
    assert (await parts.webhooks.get(webhook.id)).active


async def test_410_means_that_it_wants_no_more(parts: WebhookParts, receiver: Receiver, tell: Tell) -> None:
    receiver.status = 410
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    await tell(1)
    await parts.settle()
    gone = await parts.webhooks.get(webhook.id)
    assert not gone.active and "410" in (gone.disabled_reason or "")


async def test_410_counts_whatever_the_others_of_its_batch_were_answered(
    parts: WebhookParts, receiver: Receiver, tell: Tell
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    receiver.statuses = {"u1": 410, "u2": 200, "u3": 500}
    for user in receiver.statuses:
        await tell(1, user=user)
    assert await parts.settle() == 3
    gone = await parts.webhooks.get(webhook.id)
    assert not gone.active and "410" in (gone.disabled_reason or "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(parts: WebhookParts, receiver: Receiver, tell: Tell, status: int) -> None:
    async with running_receiver() as inside:
        receiver.status = status
        receiver.headers = {"Location": inside.url}
        webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
        await tell(1)
        await parts.settle()
        assert inside.posted == []
    _, (attempt,) = await only_delivery(parts, webhook.id)
    assert attempt.status == status and "redirects are not followed" in (attempt.error or "")


async def test_a_receiver_that_is_not_there(parts: WebhookParts, receiver: Receiver, tell: Tell) -> None:
    async with running_receiver() as passing:
        webhook, _ = await parts.webhooks.create("admin", url=passing.url, events=EVENTS)
    await tell(1)
    await parts.settle()
    delivery, (attempt,) = await only_delivery(parts, webhook.id)
    assert delivery.state is DeliveryState.PENDING
    assert attempt.status is None and "cannot be reached" in (attempt.error or "")


async def test_a_receiver_that_hangs_is_given_up_and_delays_no_other(
    parts: WebhookParts, receiver: Receiver, tell: Tell, database: Database
) -> None:
    async with running_receiver() as hanging:
        hanging.hang = True
        slow, _ = await parts.webhooks.create("admin", url=hanging.url, events=EVENTS)
        await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
        for number in range(30):
            await tell(number, user=f"user{number}")
        while await parts.dispatcher.deliver_due():
            pass
        sending = asyncio.create_task(parts.deliveries.run())
        await until(lambda: len(receiver.posted) == 30)
        async with database.reading() as tx:
            mine = webhook_deliveries.c.endpoint_id == slow.id
            rows = await tx.all(select(webhook_deliveries.c.state).where(mine))
        assert {row.state for row in rows} == {"pending"}
        await until(lambda: len(hanging.posted) > 8)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    found, _ = await parts.webhooks.deliveries(slow.id, ANY, limit=100)
    tried = [await parts.webhooks.delivery(slow.id, each.id) for each in found]
    errors = {attempt.error for _, attempts in tried for attempt in attempts}
    assert errors == {"The receiver did not answer within 1 s. Have it answer first and work afterwards."}
    assert len(hanging.posted) < 30, "one that fails gets one delivery at a time"


async def test_what_cannot_be_decrypted_is_said_and_tried_again(
    parts: WebhookParts, receiver: Receiver, tell: Tell, database: Database
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    async with database.transaction() as tx:
        await tx.execute(webhook_endpoints.update().values(secret="altered"))
    await tell(1)
    await parts.settle()
    _, (attempt,) = await only_delivery(parts, webhook.id)
    assert receiver.posted == [] and "cannot be decrypted" in (attempt.error or "")


async def test_a_name_that_leads_to_our_own_machine_is_not_posted_to(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, receiver: Receiver, tell: Tell
) -> None:
    strict = webhook_parts(database, clock, ids, outbox, allow_loopback=False)
    port = receiver.url.split(":")[2].split("/")[0]
    webhook, _ = await strict.webhooks.create("admin", url=f"https://localhost:{port}/hook", events=EVENTS)
    await tell(1)
    await strict.settle()
    await strict.sender.close()
    _, (attempt,) = await only_delivery(strict, webhook.id)
    assert receiver.posted == [] and "webhooks.allow_loopback" in (attempt.error or "")
