"""Low wallets and API keys close to their spend cap are reported, once until they matter again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudyard.domains.billing import BillingWarnings, Payer
from cloudyard.domains.notifications import NoticeConsumer, Notification, Notifications
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.billing import BillingSettings
from cloudyard.foundation.settings.notifications import NotificationSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books
from cloudyard.testing.identity import IdentityParts, identity_parts

CREDIT = 10_000_000
"""Nano-dollars of a credit."""
LOW = "Your credits are running low"
NEAR = "An API key is close to its spend cap"


@dataclass(frozen=True)
class Watch:
    """Warnings of one user, from the sweep to what the user reads."""

    user_id: str
    identity: IdentityParts
    notifications: Notifications
    warnings: BillingWarnings

    async def warned(self) -> Sequence[Notification]:
        """Sweep, deliver, and list the billing notices so far, newest first."""
        await self.warnings.run()
        while await self.identity.dispatcher.deliver_due():
            pass
        found, _ = await self.notifications.list(self.user_id, limit=100)
        return [notification for notification in found if notification.category == "billing"]


def _warnings(books: Books, outbox: Outbox, clock: ManualClock, **settings: int) -> BillingWarnings:
    return BillingWarnings(books.database, clock, outbox, books.rate, BillingSettings(**settings))


@pytest.fixture
async def watch(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, books: Books, tmp_path: Path
) -> Watch:
    identity = identity_parts(database, clock, ids, outbox, tmp_path / "mail")
    notifications = Notifications(database, clock, ids, outbox, identity.users, NotificationSettings())
    outbox.subscribe(NoticeConsumer(notifications))
    user = await identity.users.register(email="ada@example.com", password="correct horse")
    return Watch(user.id, identity, notifications, _warnings(books, outbox, clock))


async def _give(books: Books, user_id: str, credits: int) -> None:
    await books.ledger.adjust(user_id, credits * CREDIT, reason="A test", actor=None)


async def test_who_never_had_credit_is_not_warned(watch: Watch, books: Books) -> None:
    await books.wallet(watch.user_id)
    assert await watch.warned() == []


async def test_a_low_wallet_is_reported_once_until_it_rose_again(
    watch: Watch, books: Books, clock: ManualClock
) -> None:
    await _give(books, watch.user_id, 100)
    assert await watch.warned() == []
    await books.charge(watch.user_id, await books.price(CREDIT // 4 * 3))
    (first,) = await watch.warned()
    assert (first.title, first.severity) == (LOW, "warning")
    assert "99.25 credits left, fewer than 100." in first.message
    await _give(books, watch.user_id, -50)
    assert await watch.warned() == [first]
    await _give(books, watch.user_id, 500)
    assert await watch.warned() == [first]
    clock.advance(60)
    await _give(books, watch.user_id, -500)
    second, again = await watch.warned()
    assert again == first
    assert "49.25 credits left" in second.message


async def test_credit_set_aside_for_a_running_call_still_counts(watch: Watch, books: Books) -> None:
    await _give(books, watch.user_id, 150)
    charge = await books.open(watch.user_id, await books.price(100 * CREDIT))
    assert await watch.warned() == []
    await books.charges.release(charge, "Not served")
    assert await watch.warned() == []


async def test_every_low_wallet_is_found_and_no_other(watch: Watch, books: Books) -> None:
    rich = await watch.identity.users.register(email="rich@example.com", password="correct horse")
    poor = await watch.identity.users.register(email="poor@example.com", password="correct horse")
    for user_id, credits in ((watch.user_id, 1), (rich.id, 100), (poor.id, 99)):
        await _give(books, user_id, credits)
    assert len(await watch.warned()) == 1
    titles = [n.title for n in (await watch.notifications.list(poor.id, limit=9))[0]]
    assert LOW in titles
    assert LOW not in [n.title for n in (await watch.notifications.list(rich.id, limit=9))[0]]


async def test_a_key_close_to_its_cap_is_reported_once(watch: Watch, books: Books) -> None:
    await _give(books, watch.user_id, 1000)
    key = (await watch.identity.api_keys.create(watch.user_id, name="Batch", spend_cap_nanos=100 * CREDIT))[0]
    payer, price = Payer(watch.user_id, key.id, key.spend_cap_nanos), await books.price(10 * CREDIT)
    for _ in range(7):
        await books.charge(watch.user_id, price, payer=payer)
    running = await books.open(watch.user_id, price, payer=payer)
    assert await watch.warned() == []
    await books.charges.release(running, "Not served")
    await books.charge(watch.user_id, price, payer=payer)
    (told,) = await watch.warned()
    assert told.title == NEAR
    assert f"{key.prefix}... has spent 80 of the 100 credits" in told.message
    await books.charge(watch.user_id, price, payer=payer)
    assert await watch.warned() == [told]


async def test_nothing_is_reported_where_the_settings_switch_it_off(
    watch: Watch, books: Books, outbox: Outbox, clock: ManualClock
) -> None:
    await _give(books, watch.user_id, 2)
    key = (await watch.identity.api_keys.create(watch.user_id, name="Batch", spend_cap_nanos=CREDIT))[0]
    payer = Payer(watch.user_id, key.id, key.spend_cap_nanos)
    await books.charge(watch.user_id, await books.price(CREDIT), payer=payer)
    off = _warnings(books, outbox, clock, low_balance_credits=0, spend_cap_warning_percent=0)
    silent = Watch(watch.user_id, watch.identity, watch.notifications, off)
    assert await silent.warned() == []
    assert {told.title for told in await watch.warned()} == {LOW, NEAR}
