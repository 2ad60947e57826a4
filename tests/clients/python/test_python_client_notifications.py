"""Notifications and their settings."""

import pytest
from client_people import Person
from smartaihub import NotFoundError, ValidationError
from smartaihub.types import Notification
from twins import Client, done, everything

from cloudyard.testing.waiting import eventually


async def told(client: Client) -> list[Notification]:
    """The notifications, once there are any: the welcome comes a moment after the account."""

    async def ask() -> list[Notification]:
        return await everything(client.notifications.list())

    return await eventually(ask, bool)


async def test_notifications_are_listed_and_read(anns: Client) -> None:
    (welcome,) = await told(anns)
    assert (welcome.category, welcome.read) == ("account", False)
    assert welcome.title
    read = await done(anns.notifications.read(welcome.id))
    assert (read.id, read.read) == (welcome.id, True)
    assert await everything(anns.notifications.list(unread=True)) == []
    assert await everything(anns.notifications.list()) == [read]


async def test_all_are_read_at_once(anns: Client) -> None:
    await told(anns)
    assert await done(anns.notifications.read_all()) == 1
    assert await done(anns.notifications.read_all()) == 0


async def test_somebody_elses_notification_is_not_found(anns: Client, admins: Client) -> None:
    (welcome,) = await told(anns)
    with pytest.raises(NotFoundError):
        await done(admins.notifications.read(welcome.id))


async def test_settings_are_changed_where_something_is_given(anns: Client, ann: Person) -> None:
    before = await done(anns.notifications.settings())
    assert before.email_notifications
    changed = await done(
        anns.notifications.update_settings(push_notifications=False, categories={"billing": {"in_app": False}})
    )
    assert (changed.email_notifications, changed.push_notifications) == (True, False)
    assert (changed.categories["billing"].in_app, changed.categories["billing"].email) == (False, True)
    assert changed.categories["account"] == before.categories["account"]
    assert await done(anns.notifications.settings()) == changed


async def test_a_category_that_does_not_exist_is_refused(anns: Client) -> None:
    with pytest.raises(ValidationError):
        await done(anns.notifications.update_settings(categories={"weather": {"email": False}}))


BROWSER = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}


async def test_browsers_are_registered_for_push(anns: Client) -> None:
    assert await done(anns.notifications.push.key())
    endpoint = "https://updates.push.services.mozilla.com/wpush/v2/gAAA"
    browser = await done(anns.notifications.push.subscribe(endpoint, **BROWSER))
    assert await done(anns.notifications.push.subscribe(endpoint, **BROWSER)) == browser
    assert await done(anns.notifications.push.list()) == [browser]
    await done(anns.notifications.push.remove(browser.id))
    assert await done(anns.notifications.push.list()) == []
