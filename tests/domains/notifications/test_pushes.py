"""Notices reach browsers: encrypted, at most once each, and never to whom they do not concern."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from cloudyard.domains.identity import User, UserStatus
from cloudyard.domains.notifications import (
    BrowserConsumer,
    Category,
    Channel,
    InvalidSubscription,
    NoticeConsumer,
    Notifications,
    PushSubscription,
    SubscriptionNotFound,
    TooManySubscriptions,
)
from cloudyard.domains.notifications.models import notification_pushes, push_deliveries, push_subscriptions
from cloudyard.domains.notifications.push_subscriptions import MOST_SUBSCRIPTIONS
from cloudyard.domains.notifications.waiting_pushes import Taken, take_pushes
from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.outbound_addresses import AddressForbidden, UnusableUrl
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.notices import TTL_SECONDS, PushParts, notice, push_parts
from cloudyard.testing.push_service import Browser, PushService, running_push_service
from cloudyard.testing.waiting import until, until_after

PROGRAM = Path(__file__).with_name("push_process.py")


@pytest.fixture
def clock() -> ManualClock:
    """Begins now: push services refuse tokens of another time."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def key() -> str:
    return Fernet.generate_key().decode()


@pytest.fixture
async def push(database: Database, clock: ManualClock, ids: SystemIds, key: str) -> AsyncIterator[PushParts]:
    parts = push_parts(database, clock, ids, box=SecretBox([key]), timeout_seconds=1.0)
    yield parts
    await parts.sender.close()


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with running_push_service() as service:
        yield service


async def register(push: PushParts, service: PushService, user: User, browser: Browser) -> PushSubscription:
    return await push.subscriptions.register(user.id, endpoint=service.endpoint(browser), **browser.keys)


async def states(database: Database) -> list[str]:
    async with database.reading() as tx:
        return [row.state for row in await tx.all(select(push_deliveries.c.state))]


async def test_a_notice_reaches_every_browser_of_its_user_and_nobody_elses(
    ada: User, bob: User, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    mine = [service.subscribe() for _ in range(2)]
    for browser in mine:
        await register(push, service, ada, browser)
    await register(push, service, bob, service.subscribe())
    for _ in range(2):
        await notifications.post(notice(ada.id, "low:1"))
    assert await push.pusher.send_due() == 2
    assert await push.pusher.send_due() == 0
    assert service.refused == []
    assert sorted(pushed.browser_id for pushed in service.taken) == sorted(browser.id for browser in mine)
    said = service.taken[0].json
    assert (said["title"], said["body"]) == ("Your credits are running low", "You have 3 credits left.")
    assert (said["type"], said["category"]) == ("warning", "billing")
    assert service.taken[0].headers["ttl"] == str(int(TTL_SECONDS))
    assert service.taken[0].public_key == await push.subscriptions.public_key()


async def test_a_browser_that_registers_later_is_not_told_of_what_was(
    ada: User, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    assert await push.pusher.send_due() == 1


async def test_who_has_no_browser_leaves_no_rows(ada: User, notifications: Notifications, database: Database) -> None:
    await notifications.post(notice(ada.id, "low:1"))
    async with database.reading() as tx:
        assert await tx.all(select(notification_pushes)) == []


async def test_an_event_is_pushed(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    await register(push, service, ada, service.subscribe())
    event = Delivered(7, "email.changed", f"user:{ada.id}", {"user_id": ada.id}, clock.now())
    await NoticeConsumer(notifications).handle(event)
    await push.pusher.send_due()
    assert [pushed.json["title"] for pushed in service.taken] == ["Your e-mail address was changed"]


async def test_a_new_password_forgets_the_browsers_of_its_user_alone(
    ada: User, bob: User, identity: IdentityParts, outbox: Outbox, push: PushParts, service: PushService
) -> None:
    outbox.subscribe(BrowserConsumer(push.subscriptions))
    await register(push, service, ada, service.subscribe())
    await register(push, service, bob, service.subscribe())
    await identity.recovery.forgot_password(ada.email)
    token = await identity.mailed_token(ada.email, "reset-password")
    await identity.recovery.reset_password(token, "battery staple")
    while await identity.dispatcher.deliver_due():
        pass
    assert await push.subscriptions.list(ada.id) == []
    assert len(await push.subscriptions.list(bob.id)) == 1


async def test_a_repeated_event_spares_browsers_that_registered_since(
    ada: User, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    event = Delivered(7, "password.changed", f"user:{ada.id}", {"user_id": ada.id}, clock.now())
    await register(push, service, ada, service.subscribe())
    consumer = BrowserConsumer(push.subscriptions)
    await consumer.handle(event)
    clock.advance(1)
    kept = await register(push, service, ada, service.subscribe())
    await consumer.handle(event)
    assert await push.subscriptions.list(ada.id) == [kept]


async def test_what_the_user_does_not_want_is_not_pushed(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, database: Database
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.change_preferences(ada.id, {}, {Category.BILLING: {Channel.PUSH: False}})
    await notifications.post(notice(ada.id, "low:1"))
    assert await states(database) == []
    await notifications.change_preferences(ada.id, {}, {Category.BILLING: {Channel.PUSH: True}})
    await notifications.post(notice(ada.id, "low:2"))
    await notifications.change_preferences(ada.id, {Channel.PUSH: False}, {})
    await push.pusher.send_due()
    assert (service.tries, await states(database)) == (0, ["dropped"]), "it changed its mind meanwhile"


async def test_who_was_suspended_meanwhile_gets_nothing(
    ada: User, identity: IdentityParts, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    await push.pusher.send_due()
    assert service.tries == 0


async def test_a_browser_that_is_gone_is_forgotten(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, database: Database
) -> None:
    gone, stays = service.subscribe(), service.subscribe()
    for browser in (gone, stays):
        await register(push, service, ada, browser)
    for number in range(3):
        await notifications.post(notice(ada.id, f"low:{number}"))
    service.unsubscribe(gone)
    await push.pusher.send_due()
    assert [each.endpoint for each in await push.subscriptions.list(ada.id)] == [service.endpoint(stays)]
    assert len(service.taken) == 3 and await states(database) == ["sent"] * 3


async def test_what_is_not_taken_is_tried_again_until_its_time_is_over(
    ada: User,
    notifications: Notifications,
    push: PushParts,
    service: PushService,
    clock: ManualClock,
    database: Database,
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    service.status = 503
    pauses = [5.0 * 2**number for number in range(9)]
    assert sum(pauses) < TTL_SECONDS < sum(pauses) + 2 * pauses[-1]
    for pause in pauses:
        assert await push.pusher.send_due() == 1
        assert await states(database) == ["waiting"]
        clock.advance(pause - 1)
        assert await push.pusher.send_due() == 0
        clock.advance(1)
    assert await push.pusher.send_due() == 1
    assert await states(database) == ["failed"], "the next try would come too late"
    assert (service.tries, service.taken) == (len(pauses) + 1, [])


async def test_a_second_try_bears_the_same_topic_and_tag(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    browser = service.subscribe()
    await register(push, service, ada, browser)
    await notifications.post(notice(ada.id, "low:1"))
    service.hang = True
    await push.pusher.send_due()
    service.hang = False
    clock.advance(100)
    await push.pusher.send_due()
    (pushed,) = service.taken
    assert service.tries == 2
    assert pushed.json["tag"].replace("-", "") == pushed.headers["topic"]
    assert pushed.headers["ttl"] == str(int(TTL_SECONDS) - 100)


async def test_the_pause_that_the_service_asks_for_is_kept(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    service.status, service.headers = 429, {"Retry-After": "600"}
    await push.pusher.send_due()
    service.status = 201
    clock.advance(599)
    assert await push.pusher.send_due() == 0
    clock.advance(1)
    assert await push.pusher.send_due() == 1 and len(service.taken) == 1


async def test_old_news_is_not_pushed(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(TTL_SECONDS)
    await push.pusher.send_due()
    assert service.tries == 0


async def test_a_service_that_hangs_holds_up_no_other(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, clock: ManualClock
) -> None:
    async with running_push_service() as hanging:
        hanging.hang = True
        await register(push, hanging, ada, hanging.subscribe())
        await notifications.post(notice(ada.id, "low:1"))
        pushing = asyncio.create_task(push.pusher.run())
        await until(lambda: hanging.tries == 1)
        await register(push, service, ada, service.subscribe())
        await notifications.post(notice(ada.id, "low:2"))
        await until_after(clock, 2, lambda: len(service.taken) == 1)
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)


async def test_a_long_notice_is_shortened_to_what_a_push_may_hold(
    ada: User, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1", title="🜁" * 200, message="🜁" * 5000))
    await push.pusher.send_due()
    assert service.refused == []
    assert service.taken[0].json["body"].endswith("🜁…")


async def test_killed_after_marking_it_loses_one_and_sends_none_twice(
    ada: User, notifications: Notifications, push: PushParts, service: PushService, database_url: str, key: str
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    environment = {**os.environ, VARIABLE: "notifications.push_marked"}
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), database_url, key, env=environment)
    assert await process.wait() == -signal.SIGKILL
    await notifications.post(notice(ada.id, "low:1"))
    assert await push.pusher.send_due() == 0
    await notifications.post(notice(ada.id, "low:2"))
    environment.pop(VARIABLE)
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), database_url, key, env=environment)
    assert await process.wait() == 0
    assert len(service.taken) == 1


async def test_stopped_while_it_marks_it_hands_over_what_it_marked(
    ada: User,
    notifications: Notifications,
    push: PushParts,
    service: PushService,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stopped_before_the_commit(tx: Transaction, now: datetime, limit: int) -> Sequence[Taken]:
        taken = await take_pushes(tx, now, limit)
        pushing.cancel()
        return taken

    monkeypatch.setattr("cloudyard.domains.notifications.pusher.take_pushes", stopped_before_the_commit)
    await register(push, service, ada, service.subscribe())
    for number in range(3):
        await notifications.post(notice(ada.id, f"low:{number}"))
    pushing = asyncio.create_task(push.pusher.run())
    with pytest.raises(asyncio.CancelledError):
        await pushing
    assert (await states(database), len(service.taken)) == (["sent"] * 3, 3)


async def test_several_processes_push_each_once(
    ada: User,
    notifications: Notifications,
    push: PushParts,
    service: PushService,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    key: str,
) -> None:
    await register(push, service, ada, service.subscribe())
    for number in range(30):
        await notifications.post(notice(ada.id, f"low:{number}"))
    other = push_parts(database, clock, ids, box=SecretBox([key]))
    assert sum(await asyncio.gather(push.pusher.send_due(), other.pusher.send_due())) == 30
    await other.sender.close()
    assert len({pushed.json["tag"] for pushed in service.taken}) == len(service.taken) == 30


async def test_registering_again_keeps_the_id_and_takes_the_new_keys(
    ada: User, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    browser = service.subscribe()
    first = await register(push, service, ada, Browser())
    before = await push.subscriptions.register(ada.id, endpoint=service.endpoint(browser), **Browser().keys)
    after = await register(push, service, ada, browser)
    assert before == after and before.id != first.id
    await push.subscriptions.remove(ada.id, first.id)
    await notifications.post(notice(ada.id, "low:1"))
    await push.pusher.send_due()
    assert len(service.taken) == 1 and service.refused == []


async def test_a_browser_that_was_handed_on_shows_nothing_of_its_former_user(
    ada: User, bob: User, notifications: Notifications, push: PushParts, service: PushService
) -> None:
    browser = service.subscribe()
    await register(push, service, ada, browser)
    await notifications.post(notice(ada.id, "low:1"))
    await register(push, service, bob, browser)
    assert await push.subscriptions.list(ada.id) == []
    await push.pusher.send_due()
    assert service.tries == 0
    await notifications.post(notice(bob.id, "low:2"))
    await push.pusher.send_due()
    assert len(service.taken) == 1


async def test_the_keys_are_made_once_however_many_ask(
    database: Database, clock: ManualClock, ids: SystemIds, key: str
) -> None:
    several = [push_parts(database, clock, ids, box=SecretBox([key])) for _ in range(5)]
    found = await asyncio.gather(*(each.subscriptions.public_key() for each in several))
    assert len(set(found)) == 1
    assert await several[0].subscriptions.public_key() == found[0]


async def test_without_the_encryption_key_pushes_fail_and_say_so(
    ada: User,
    notifications: Notifications,
    push: PushParts,
    service: PushService,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
) -> None:
    await register(push, service, ada, service.subscribe())
    await push.subscriptions.public_key()
    keyless = push_parts(database, clock, ids)
    with pytest.raises(SecretUnreadable, match="discard-unreadable"):
        await keyless.subscriptions.public_key()
    await notifications.post(notice(ada.id, "low:1"))
    await keyless.pusher.send_due()
    assert (await states(database), service.tries) == (["failed"], 0)
    async with database.transaction() as tx:
        assert not await push.keys.discard_unreadable(tx)
        assert await keyless.keys.discard_unreadable(tx)
    assert await keyless.subscriptions.list(ada.id) == []
    assert await keyless.subscriptions.public_key()


async def test_keys_are_kept_in_one_form(ada: User, push: PushParts, service: PushService, database: Database) -> None:
    """Padding may be given or not, and any amount of it is no key that is too long for its column."""
    browser = service.subscribe()
    padded = {name: key + "=" * 200 for name, key in browser.keys.items()}
    await push.subscriptions.register(ada.id, endpoint=service.endpoint(browser), **padded)
    async with database.reading() as tx:
        assert await tx.scalar(select(push_subscriptions.c.p256dh)) == browser.keys["p256dh"]


@pytest.mark.parametrize(
    "changes",
    [
        {"p256dh": ""},
        {"p256dh": "not base64!"},
        {"p256dh": Browser().keys["p256dh"][:-4]},
        {"p256dh": "B" + "A" * 86},
        {"auth": ""},
        {"auth": "AAAA"},
        {"auth": "é" * 22},
    ],
)
async def test_keys_that_nothing_can_be_encrypted_with(ada: User, push: PushParts, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidSubscription) as raised:
        await push.subscriptions.register(
            ada.id, endpoint="https://push.example.com/x", **{**Browser().keys, **changes}
        )
    assert raised.value.field == f"keys.{next(iter(changes))}"


@pytest.mark.parametrize("endpoint", ["https://10.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/latest"])
async def test_no_subscription_leads_into_our_own_network(
    ada: User, database: Database, clock: ManualClock, ids: SystemIds, endpoint: str
) -> None:
    strict = push_parts(database, clock, ids, allow_loopback=False)
    with pytest.raises(AddressForbidden) as raised:
        await strict.subscriptions.register(ada.id, endpoint=endpoint, **Browser().keys)
    assert raised.value.field == "endpoint"
    with pytest.raises(UnusableUrl):
        await strict.subscriptions.register(ada.id, endpoint="http://push.example.com/", **Browser().keys)


async def test_there_is_an_end_to_subscriptions(ada: User, push: PushParts) -> None:
    keys = Browser().keys
    for number in range(MOST_SUBSCRIPTIONS):
        await push.subscriptions.register(ada.id, endpoint=f"https://push.example.com/{number}", **keys)
    with pytest.raises(TooManySubscriptions):
        await push.subscriptions.register(ada.id, endpoint="https://push.example.com/more", **keys)
    await push.subscriptions.register(ada.id, endpoint="https://push.example.com/0", **keys)


async def test_the_subscriptions_of_others_are_out_of_reach(ada: User, bob: User, push: PushParts) -> None:
    hers = await push.subscriptions.register(ada.id, endpoint="https://push.example.com/x", **Browser().keys)
    for wrong in (hers.id, "nothing", "", "nul\x00", "\ud800"):
        with pytest.raises(SubscriptionNotFound):
            await push.subscriptions.remove(bob.id, wrong)
    assert await push.subscriptions.list(ada.id) == [hers]


async def test_old_pushes_are_forgotten(
    ada: User,
    notifications: Notifications,
    push: PushParts,
    service: PushService,
    clock: ManualClock,
    database: Database,
) -> None:
    await register(push, service, ada, service.subscribe())
    await notifications.post(notice(ada.id, "low:1"))
    await push.pusher.send_due()
    clock.advance(91 * 86400)
    await notifications.forget_old()
    assert await states(database) == []
