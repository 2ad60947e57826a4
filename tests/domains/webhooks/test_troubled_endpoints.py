"""Whatever goes wrong with one endpoint is written down, and the others get what is theirs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select, text

from cloudyard.domains.webhooks import Attempt, DeliveryFilter, DeliveryState
from cloudyard.domains.webhooks.models import webhook_deliveries
from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until, until_after
from cloudyard.testing.webhooks import Receiver, WebhookParts, webhook_parts

Tell = Callable[..., Awaitable[None]]

ANY = DeliveryFilter()
EVENTS = ["user.updated"]
NO_TEXT = b"HTTP/1.1 302 Found\r\nLocation: /\xff\xfe\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes to whoever connects; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def sending(parts: WebhookParts) -> AsyncIterator[asyncio.Task[None]]:
    """Deliveries as the server runs them."""
    task = asyncio.create_task(parts.deliveries.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def tries(parts: WebhookParts, webhook_id: str) -> list[Attempt]:
    (delivery,), _ = await parts.webhooks.deliveries(webhook_id, ANY, limit=9)
    return list((await parts.webhooks.delivery(webhook_id, delivery.id))[1])


async def test_an_answer_that_is_no_text_is_written_down(parts: WebhookParts, receiver: Receiver, tell: Tell) -> None:
    async with saying(NO_TEXT) as url:
        odd, _ = await parts.webhooks.create("admin", url=url, events=EVENTS)
        await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
        await tell(1)
        await parts.settle()
        await tell(2, user="u2")
        while await parts.dispatcher.deliver_due():
            pass
        async with sending(parts) as running:
            await until(lambda: len(receiver.posted) == 2)
            assert not running.done()
    found, total = await parts.webhooks.deliveries(odd.id, ANY, limit=9)
    _, (attempt,) = await parts.webhooks.delivery(odd.id, found[-1].id)
    assert total == 2 and attempt.status == 302 and "redirects to /??;" in (attempt.error or "")


async def test_an_event_that_cannot_be_signed_is_written_down(
    parts: WebhookParts, receiver: Receiver, tell: Tell
) -> None:
    """Canonical JSON (RFC 8785) knows no such number."""
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    await tell(2**60)
    await parts.settle()
    (attempt,) = await tries(parts, webhook.id)
    assert attempt.status is None and "could not be sent" in (attempt.error or "")
    await tell(1, user="u2")
    await parts.settle()
    assert len(receiver.posted) == 1


async def test_a_worker_that_fails_ends_no_other(
    sqlite_database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, receiver: Receiver
) -> None:
    database = sqlite_database
    parts = webhook_parts(database, clock, ids, outbox)
    cursed, _ = await parts.webhooks.create("admin", url=receiver.url + "/cursed", events=EVENTS)
    await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    async with database.transaction() as tx:
        refuse = f"WHEN NEW.endpoint_id = '{cursed.id}' BEGIN SELECT RAISE(ABORT, 'cursed'); END"
        await tx.execute(text(f"CREATE TRIGGER curse BEFORE UPDATE OF lease_until ON webhook_deliveries {refuse}"))
    async with sending(parts) as running:
        for number in (1, 2):
            async with database.transaction() as tx:
                await outbox.emit(tx, Event("user.updated", f"user:{number}", {"user_id": "u", "number": number}))
            while await parts.dispatcher.deliver_due():
                pass
            await until(lambda: len(receiver.posted) == number)  # noqa: B023 - awaited at once
        assert not running.done()
        async with database.transaction() as tx:
            await tx.execute(text("DROP TRIGGER curse"))
        await until_after(clock, 1, lambda: len(receiver.posted) == 4)
    await parts.sender.close()


async def test_a_database_that_is_away_for_a_moment_ends_nothing(
    parts: WebhookParts,
    receiver: Receiver,
    tell: Tell,
    database: Database,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    asked = 0

    def away(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise DatabaseUnavailable("Gone for a moment.")

    async with sending(parts) as running:
        with monkeypatch.context() as broken:
            broken.setattr(database, "glance", away)
            await until(lambda: asked > 1)
        await tell(1)
        while await parts.dispatcher.deliver_due():
            pass
        await until(lambda: len(receiver.posted) == 1)
        assert not running.done()
        await until_delivered(database)


async def until_delivered(database: Database) -> None:
    """What was posted is written down before the sending is ended."""
    async with asyncio.timeout(10):
        while True:
            async with database.reading() as tx:
                states = [row.state for row in await tx.all(select(webhook_deliveries.c.state))]
            if states == [DeliveryState.DELIVERED]:
                return
            await asyncio.sleep(0.01)


async def test_no_delivery_has_an_event_that_is_no_text(parts: WebhookParts, receiver: Receiver, tell: Tell) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    await tell(1)
    await parts.settle()
    for nonsense in ("\x00", "user.updated\x00", "\ud800"):
        assert await parts.webhooks.deliveries(webhook.id, DeliveryFilter(event_type=nonsense), limit=9) == ([], 0)
