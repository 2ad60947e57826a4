"""Users choose by which channels they hear of which category."""

import asyncio

from cloudyard.domains.identity import User
from cloudyard.domains.notifications import Category, Channel, Choices, Notifications, Postman, Preferences
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.notices import DIGEST_SECONDS, notice


async def _heard(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> tuple[int, int]:
    """How many notifications and mails a billing notice makes."""
    _, before = await notifications.list(ada.id, limit=1)
    mails = len(await identity.mails(ada.email))
    await notifications.post(notice(ada.id, f"low:{before}:{mails}:{clock.now()}"))
    clock.advance(DIGEST_SECONDS)
    await postman.send_due()
    _, after = await notifications.list(ada.id, limit=1)
    return after - before, len(await identity.mails(ada.email)) - mails


async def test_everything_is_on_until_somebody_says_otherwise(ada: User, notifications: Notifications) -> None:
    preferences = await notifications.preferences(ada.id)
    assert all(preferences.want(category, channel) for category in Category for channel in Channel)


async def test_a_category_turns_off_a_channel(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    await notifications.change_preferences(ada.id, {}, {Category.BILLING: {Channel.EMAIL: False}})
    assert await _heard(ada, notifications, postman, identity, clock) == (1, 0)
    await notifications.change_preferences(ada.id, {}, {Category.BILLING: {Channel.IN_APP: False}})
    assert await _heard(ada, notifications, postman, identity, clock) == (0, 0)
    await notifications.change_preferences(ada.id, {}, {Category.BILLING: {Channel.EMAIL: True}})
    assert await _heard(ada, notifications, postman, identity, clock) == (0, 1)


async def test_a_channel_that_is_off_is_off_in_every_category(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    await notifications.change_preferences(ada.id, {Channel.IN_APP: False}, {Category.BILLING: {Channel.IN_APP: True}})
    assert await _heard(ada, notifications, postman, identity, clock) == (0, 1)


async def test_what_is_not_named_stays_as_it_is(ada: User, notifications: Notifications) -> None:
    await notifications.change_preferences(ada.id, {Channel.PUSH: False}, {Category.BILLING: {Channel.PUSH: False}})
    await notifications.change_preferences(ada.id, {}, {Category.ACCOUNT: {Channel.EMAIL: False}})
    assert await notifications.preferences(ada.id) == Preferences(
        Choices(push=False), {Category.BILLING: Choices(push=False), Category.ACCOUNT: Choices(email=False)}
    )


async def test_changes_at_once_lose_nothing(ada: User, notifications: Notifications) -> None:
    await asyncio.gather(
        *(notifications.change_preferences(ada.id, {channel: False}, {}) for channel in Channel),
        *(notifications.change_preferences(ada.id, {}, {category: {Channel.PUSH: False}}) for category in Category),
    )
    preferences = await notifications.preferences(ada.id)
    assert preferences.channels == Choices(email=False, push=False, in_app=False)
    assert {preferences.of(category) for category in Category} == {Choices(push=False)}


async def test_mail_that_waits_is_dropped_once_it_is_not_wanted(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    before = len(await identity.mails(ada.email))
    await notifications.post(notice(ada.id, "low:1"))
    await notifications.change_preferences(ada.id, {Channel.EMAIL: False}, {})
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 1
    await notifications.change_preferences(ada.id, {Channel.EMAIL: True}, {})
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 0
    assert len(await identity.mails(ada.email)) == before
