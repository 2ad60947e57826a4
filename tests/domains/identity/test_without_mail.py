"""An installation that sends no mail: what needs one is refused, and nothing waits for a mail that never goes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cloudyard.domains.identity import EmailNotVerified, InvalidLink, InvalidToken, MailNotConfigured, UserNotFound
from cloudyard.domains.identity.letters import MAIL_REQUESTED
from cloudyard.domains.identity.models import mail_tokens
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.durable.outbox import outbox_events
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.security import SecuritySettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts

ADDRESS = "ada@example.com"
PASSWORD = "correct horse"

Mute = Callable[..., IdentityParts]


@pytest.fixture
def mute(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path) -> Mute:
    """Identity that sends no mail, with some settings."""

    def mute(**settings: bool) -> IdentityParts:
        wanted = SecuritySettings.model_validate(settings)
        return identity_parts(database, clock, ids, outbox, tmp_path / "mail", settings=wanted, mail_available=False)

    return mute


async def waiting(database: Database) -> tuple[int, int]:
    """Mails that were asked for, and links that were made."""
    async with database.reading() as tx:
        asked = select(func.count()).select_from(outbox_events).where(outbox_events.c.kind == MAIL_REQUESTED)
        links = select(func.count()).select_from(mail_tokens)
        return int(await tx.scalar(asked)), int(await tx.scalar(links))


async def test_an_account_needs_no_mail_where_any_address_may_log_in(mute: Mute, database: Database) -> None:
    identity = mute()
    user = await identity.users.register(email=ADDRESS, password=PASSWORD)
    await identity.sessions.login(ADDRESS, PASSWORD)
    await identity.recovery.change_password(user.id, PASSWORD, "another correct horse")
    await identity.users.update_profile(user.id, email="new@example.com")
    await identity.sessions.login("new@example.com", "another correct horse")
    assert await waiting(database) == (0, 0)


async def test_nobody_can_register_where_only_verified_addresses_may_log_in(mute: Mute, database: Database) -> None:
    identity = mute(require_verified_email=True)
    with pytest.raises(MailNotConfigured, match=r"mail\.backend"):
        await identity.users.register(email=ADDRESS, password=PASSWORD)
    assert await identity.users.find_by_email(ADDRESS) is None
    assert await identity.users.ensure_admin("root@example.com", PASSWORD)
    await identity.sessions.login("root@example.com", PASSWORD)
    assert await waiting(database) == (0, 0)


async def test_nobody_is_locked_out_by_another_address(mute: Mute) -> None:
    user = await mute().users.register(email=ADDRESS, password=PASSWORD)
    strict = mute(require_verified_email=True)
    with pytest.raises(MailNotConfigured):
        await strict.users.update_profile(user.id, email="new@example.com")
    assert (await strict.users.get(user.id)).email == ADDRESS
    with pytest.raises(EmailNotVerified):
        await strict.sessions.login(ADDRESS, PASSWORD)


async def test_links_that_were_asked_for_are_refused_whoever_asks(mute: Mute, database: Database) -> None:
    identity = mute()
    user = await identity.users.register(email=ADDRESS, password=PASSWORD)
    with pytest.raises(MailNotConfigured):
        await identity.recovery.send_verification(user.id)
    messages = set()
    for address in (ADDRESS, "nobody@example.com"):
        with pytest.raises(MailNotConfigured) as caught:
            await identity.recovery.forgot_password(address)
        messages.add(caught.value.message)
    assert len(messages) == 1, "the answer tells whether there is such a user"
    assert await waiting(database) == (0, 0)


async def test_an_administrator_can_hand_over_a_reset_link(mute: Mute) -> None:
    identity = mute()
    user = await identity.users.register(email=ADDRESS, password=PASSWORD)
    passes = await identity.sessions.login(ADDRESS, PASSWORD)
    first = await identity.recovery.reset_link(user.id, actor="an administrator")
    second = await identity.recovery.reset_link(user.id)
    token = second.url.partition("/reset-password?token=")[2]
    changed = await identity.recovery.reset_password(token, "another correct horse")
    assert not changed.email_verified, "nobody has opened a mail"
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(passes.access_token)
    await identity.sessions.login(ADDRESS, "another correct horse")
    for link in (first, second):
        with pytest.raises(InvalidLink):
            await identity.recovery.reset_password(link.url.partition("token=")[2], "a third correct horse")
    made = await identity.audit.list(action="password.reset_link_made")
    assert sorted(str(entry.actor) for entry in made) == ["None", "an administrator"]
    assert {entry.subject for entry in made} == {f"user:{user.id}"}
    with pytest.raises(UserNotFound):
        await identity.recovery.reset_link("unknown")
