"""Webhooks whose secret was encrypted with a key that is gone: named, disabled, and usable again with a new secret."""

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier

from cloudyard.domains.webhooks import WEBHOOK_DISABLED
from cloudyard.domains.webhooks.models import webhook_endpoints
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.webhooks import Receiver, WebhookParts, webhook_parts

EVENTS = ["user.updated"]


class Heard:
    """Keeps the events that tell of disabled webhooks."""

    name = "notice"
    kinds = frozenset({WEBHOOK_DISABLED})

    def __init__(self) -> None:
        self.events: list[Delivered] = []

    async def handle(self, event: Delivered) -> None:
        self.events.append(event)


@pytest.fixture
def heard(outbox: Outbox) -> Heard:
    heard = Heard()
    outbox.subscribe(heard)
    return heard


@pytest.fixture
def later(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, heard: Heard) -> WebhookParts:
    """The same installation with another encryption key."""
    return webhook_parts(database, clock, ids, outbox, box=SecretBox([Fernet.generate_key().decode()]))


async def lost_ids(parts: WebhookParts, database: Database) -> list[str]:
    async with database.reading() as tx:
        return [webhook.id for webhook in await parts.lost_secrets.unreadable(tx)]


async def test_nothing_is_lost_while_the_key_is_there(parts: WebhookParts, database: Database) -> None:
    webhook, _ = await parts.webhooks.create("admin", url="http://127.0.0.1:9/hook", events=EVENTS)
    assert await lost_ids(parts, database) == []
    async with database.transaction() as tx:
        assert await parts.lost_secrets.discard_unreadable(tx) == []
    assert (await parts.webhooks.get(webhook.id)).active


async def test_a_webhook_with_a_lost_secret_is_disabled_and_said_so(
    parts: WebhookParts, later: WebhookParts, receiver: Receiver, heard: Heard, database: Database
) -> None:
    lost, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    kept, _ = await later.webhooks.create("admin", url=receiver.url, events=EVENTS)
    assert await lost_ids(later, database) == [lost.id]
    async with database.transaction() as tx:
        (named,) = await later.lost_secrets.discard_unreadable(tx)
    assert (named.id, named.url) == (lost.id, receiver.url)
    disabled = await later.webhooks.get(lost.id)
    assert not disabled.active and "rotate-secret" in (disabled.disabled_reason or "")
    assert (await later.webhooks.get(kept.id)).active
    assert await lost_ids(later, database) == []
    await later.settle()
    (event,) = heard.events
    assert event.payload["webhook_id"] == lost.id
    (entry, *_) = await later.audit.list(subject=f"webhook:{lost.id}")
    assert entry.action == WEBHOOK_DISABLED
    await later.sender.close()


async def test_with_a_new_secret_it_works_again(
    parts: WebhookParts, later: WebhookParts, receiver: Receiver, database: Database
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    async with database.transaction() as tx:
        await later.lost_secrets.discard_unreadable(tx)
    _, secret = await later.webhooks.rotate_secret("admin", webhook.id)
    await later.webhooks.update("admin", webhook.id, active=True)
    await later.webhooks.test("admin", webhook.id)
    assert await later.settle() == 1
    await later.sender.close()
    (posted,) = receiver.posted
    assert Verifier(secret).verify(posted.body, posted.headers)


async def test_rotating_a_lost_secret_keeps_nothing_of_it(
    parts: WebhookParts, later: WebhookParts, receiver: Receiver
) -> None:
    webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=EVENTS)
    _, secret = await later.webhooks.rotate_secret("admin", webhook.id)
    await later.webhooks.test("admin", webhook.id)
    await later.settle()
    await later.sender.close()
    assert [Verifier(secret).verify(posted.body, posted.headers) is not None for posted in receiver.posted] == [True]


async def test_a_former_secret_that_is_lost_is_dropped(
    parts: WebhookParts, later: WebhookParts, database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox
) -> None:
    """The key was rotated without the old one while two secrets were in use."""
    webhook, _ = await parts.webhooks.create("admin", url="http://127.0.0.1:9/hook", events=EVENTS)
    async with database.reading() as tx:
        before = await tx.scalar(select(webhook_endpoints.c.secret))
    await later.webhooks.rotate_secret("admin", webhook.id)
    async with database.transaction() as tx:
        values = {"previous_secret": before, "previous_secret_until": clock.now()}
        await tx.execute(webhook_endpoints.update().values(values))
        assert await later.lost_secrets.discard_unreadable(tx) == []
        row = await tx.first(select(webhook_endpoints))
    assert row is not None and row.previous_secret is None and row.active
