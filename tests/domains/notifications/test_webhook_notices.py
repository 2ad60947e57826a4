"""Five failing days of an endpoint end in a notice to every administrator, by every channel, once."""

from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from cloudyard.domains.identity import Role, User
from cloudyard.domains.notifications import Notifications, Postman
from cloudyard.domains.webhooks.outcomes import DISABLED_AFTER
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.notices import DIGEST_SECONDS, push_parts
from cloudyard.testing.push_service import running_push_service
from cloudyard.testing.webhooks import running_receiver, webhook_parts

TITLE = "A webhook was disabled"


@pytest.fixture
def clock() -> ManualClock:
    """Begins now: push services refuse tokens of another time."""
    return ManualClock(datetime.now(UTC) - DISABLED_AFTER)


async def titles(notifications: Notifications, user_id: str) -> list[str]:
    found, _ = await notifications.list(user_id, limit=100)
    return [each.title for each in found]


async def test_administrators_are_told_that_a_webhook_was_disabled(
    ada: User,
    bob: User,
    identity: IdentityParts,
    notifications: Notifications,
    postman: Postman,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
) -> None:
    await identity.users.set_role(ada.id, Role.ADMIN)
    hooks = webhook_parts(database, clock, ids, outbox)
    push = push_parts(database, clock, ids, box=SecretBox([Fernet.generate_key().decode()]))
    async with running_receiver() as receiver, running_push_service() as service:
        browser = service.subscribe()
        await push.subscriptions.register(ada.id, endpoint=service.endpoint(browser), **browser.keys)
        webhook, _ = await hooks.webhooks.create(ada.id, url=receiver.url, events=["user.updated"])
        receiver.status = 500
        for day in range(DISABLED_AFTER.days + 1):
            async with database.transaction() as tx:
                await outbox.emit(tx, Event("user.updated", f"user:{day}", {"day": day}))
            await hooks.settle()
            await hooks.settle()
            assert (TITLE in await titles(notifications, ada.id)) == (day == DISABLED_AFTER.days)
            clock.advance(0 if day == DISABLED_AFTER.days else 86_400)
        await push.pusher.send_due()
        clock.advance(DIGEST_SECONDS)
        await postman.send_due()
        await push.sender.close()
        await hooks.sender.close()
        assert (service.refused, [pushed.json["title"] for pushed in service.taken]) == ([], [TITLE])
    (notice,), _ = await notifications.list(ada.id, limit=1)
    assert webhook.id in notice.message and "answered 500" in notice.message
    mails = [mail for mail in await identity.mails("ada@example.com") if mail["Subject"] == TITLE]
    assert len(mails) == 1
    assert TITLE not in await titles(notifications, bob.id)
