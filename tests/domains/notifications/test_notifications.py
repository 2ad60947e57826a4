"""Events become notifications, once; each user lists and reads the own ones."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from cloudyard.domains.identity import Role, User, UserStatus
from cloudyard.domains.notifications import NOTIFICATION_CREATED, NoticeConsumer, NotificationNotFound, Notifications
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.durable.outbox import outbox_deliveries
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.notices import notice

DAY = 86400


async def _titles(notifications: Notifications, user_id: str) -> list[str]:
    found, _ = await notifications.list(user_id, limit=100)
    return [notification.title for notification in found]


class Listener:
    """Hears of new notifications."""

    name = "listener"
    kinds = frozenset({NOTIFICATION_CREATED})

    def __init__(self) -> None:
        self.heard: list[Delivered] = []

    async def handle(self, event: Delivered) -> None:
        self.heard.append(event)


async def test_a_registration_writes_a_welcome(ada: User, notifications: Notifications) -> None:
    (welcome,), total = await notifications.list(ada.id, limit=20)
    assert total == 1
    assert (welcome.title, welcome.severity, welcome.read) == ("Welcome to Cloudyard", "info", False)
    assert welcome.message == "Your account has been created successfully."


async def test_changes_of_password_and_address_are_told(
    ada: User, identity: IdentityParts, notifications: Notifications
) -> None:
    await identity.recovery.change_password(ada.id, "correct horse", "battery staple")
    await identity.users.update_profile(ada.id, email="countess@example.com")
    await identity.mails("countess@example.com")
    assert await _titles(notifications, ada.id) == [
        "Your e-mail address was changed",
        "Your password was changed",
        "Welcome to Cloudyard",
    ]


async def test_a_repeated_event_tells_once_and_a_later_one_again(
    ada: User, notifications: Notifications, clock: ManualClock
) -> None:
    consumer = NoticeConsumer(notifications)
    event = Delivered(7, "password.changed", f"user:{ada.id}", {"user_id": ada.id}, clock.now())
    await consumer.handle(event)
    await consumer.handle(event)
    assert len(await _titles(notifications, ada.id)) == 2
    clock.advance(30 * DAY)
    await consumer.handle(replace(event, created_at=clock.now()))  # the number was given again after pruning
    assert len(await _titles(notifications, ada.id)) == 3


async def test_a_new_notification_reports_itself_once(
    ada: User, notifications: Notifications, identity: IdentityParts, outbox: Outbox
) -> None:
    listener = Listener()
    outbox.subscribe(listener)
    await notifications.post(notice(ada.id, "low:1"))
    await notifications.post(notice(ada.id, "low:1"))
    while await identity.dispatcher.deliver_due():
        pass
    (event,) = listener.heard
    (newest, _), _ = await notifications.list(ada.id, limit=2)
    assert (event.subject, event.payload["id"]) == (f"user:{ada.id}", newest.id)
    assert (event.payload["title"], event.payload["severity"]) == (newest.title, "warning")


async def test_who_is_suspended_or_unknown_is_told_nothing(
    ada: User, identity: IdentityParts, notifications: Notifications, database: Database
) -> None:
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    await notifications.post(notice(ada.id, "low:1"))
    await notifications.post(notice("nobody", "low:1"))
    assert await _titles(notifications, ada.id) == ["Welcome to Cloudyard"]
    assert await _titles(notifications, "nobody") == []
    while await identity.dispatcher.deliver_due():
        pass
    async with database.reading() as tx:
        assert await tx.all(select(outbox_deliveries)) == []


async def test_what_concerns_the_installation_is_told_to_its_administrators(
    ada: User, bob: User, identity: IdentityParts, notifications: Notifications, clock: ManualClock
) -> None:
    await identity.users.set_role(bob.id, Role.ADMIN)
    payload = {"webhook_id": "hook-1", "url": "http://127.0.0.1:1/", "reason": "The receiver answered 410 (Gone)."}
    event = Delivered(1, "webhook.disabled", "webhook:hook-1", payload, clock.now())
    await NoticeConsumer(notifications).handle(event)
    (told,), _ = await notifications.list(bob.id, limit=1)
    assert (told.title, told.category) == ("A webhook was disabled", "webhooks")
    assert "hook-1" in told.message
    assert await _titles(notifications, ada.id) == ["Welcome to Cloudyard"]


async def test_a_payment_of_another_amount_is_told_to_administrators(
    ada: User, bob: User, identity: IdentityParts, notifications: Notifications, clock: ManualClock
) -> None:
    await identity.users.set_role(bob.id, Role.ADMIN)
    payload = {"user_id": ada.id, "payment_id": "pay-1", "cents": 1000, "reason": "Stripe received 999 usd."}
    event = Delivered(1, "payment.mismatch", "payment:pay-1", payload, clock.now())
    await NoticeConsumer(notifications).handle(event)
    (told,), _ = await notifications.list(bob.id, limit=1)
    assert (told.title, told.category) == ("Another amount was paid than was asked for", "billing")
    assert "pay-1" in told.message and "999 usd" in told.message
    assert await _titles(notifications, ada.id) == ["Welcome to Cloudyard"]


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("payment.completed", "Your payment was received"),
        ("payment.failed", "Your payment failed"),
        ("payment.refunded", "Your payment was refunded"),
        ("payment.disputed", "Your payment was disputed"),
    ],
)
async def test_payments_are_told_to_who_paid(
    ada: User, notifications: Notifications, clock: ManualClock, kind: str, title: str
) -> None:
    payload = {"user_id": ada.id, "payment_id": "pay-1", "cents": 1005, "reason": "The card was declined."}
    await NoticeConsumer(notifications).handle(Delivered(1, kind, f"user:{ada.id}", payload, clock.now()))
    (told, _), _ = await notifications.list(ada.id, limit=2)
    assert (told.title, told.category) == (title, "billing")
    assert "10.05 USD" in told.message
    assert ("declined" in told.message) == (kind == "payment.failed")


async def test_pages_are_newest_first(ada: User, notifications: Notifications, clock: ManualClock) -> None:
    for number in range(4):
        clock.advance(1)
        await notifications.post(notice(ada.id, f"low:{number}", title=f"Notice {number}"))
    first, total = await notifications.list(ada.id, limit=2)
    second, _ = await notifications.list(ada.id, limit=2, offset=2)
    last, _ = await notifications.list(ada.id, limit=2, offset=4)
    beyond, _ = await notifications.list(ada.id, limit=2, offset=100)
    shown = [notification.title for notification in [*first, *second, *last, *beyond]]
    assert shown == ["Notice 3", "Notice 2", "Notice 1", "Notice 0", "Welcome to Cloudyard"]
    assert total == 5


async def test_what_was_read_leaves_the_unread_ones(ada: User, notifications: Notifications) -> None:
    await notifications.post(notice(ada.id, "low:1"))
    (newest, welcome), _ = await notifications.list(ada.id, limit=20)
    assert (await notifications.read(ada.id, newest.id)).read
    assert await notifications.read(ada.id, newest.id) == replace(newest, read=True)
    assert await notifications.list(ada.id, unread=True, limit=20) == ([welcome], 1)
    assert await notifications.read_all(ada.id) == 1
    assert await notifications.read_all(ada.id) == 0
    assert await notifications.list(ada.id, unread=True, limit=20) == ([], 0)
    assert (await notifications.list(ada.id, limit=20))[1] == 2


@pytest.mark.parametrize("wrong", ["nothing", "", "nul\x00", "a" * 5000, "\ud800"])
async def test_an_id_that_is_none_is_not_found(ada: User, notifications: Notifications, wrong: str) -> None:
    with pytest.raises(NotificationNotFound):
        await notifications.read(ada.id, wrong)


async def test_the_notifications_of_others_are_out_of_reach(
    ada: User, bob: User, identity: IdentityParts, notifications: Notifications
) -> None:
    await identity.mails("bob@example.com")
    (hers,), _ = await notifications.list(ada.id, limit=20)
    with pytest.raises(NotificationNotFound):
        await notifications.read(bob.id, hers.id)
    await notifications.read_all(bob.id)
    assert await notifications.list(ada.id, limit=20) == ([hers], 1)


async def test_old_notifications_are_forgotten(ada: User, notifications: Notifications, clock: ManualClock) -> None:
    clock.advance(80 * DAY)
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(11 * DAY)
    await notifications.forget_old()
    assert await _titles(notifications, ada.id) == ["Your credits are running low"]
