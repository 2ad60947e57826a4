"""Mails leave through the outbox, activity is written beside the requests, and what is past its time goes."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cloudyard.domains.identity import Mail, MailConsumer, MailRefused, MailUnavailable, User
from cloudyard.domains.identity.letters import MAIL_REQUESTED
from cloudyard.domains.identity.models import mail_tokens, sessions
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox, Scheduler
from cloudyard.foundation.durable.outbox import outbox_deliveries
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts

DAY = 86400


class FailingMailer:
    """A mail server that fails until it is mended."""

    def __init__(self) -> None:
        self.failure: Exception | None = MailUnavailable("down")
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.sent.append(mail)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def mailer(identity: IdentityParts, outbox: Outbox, clock: ManualClock) -> FailingMailer:
    mailer = FailingMailer()
    outbox.subscribe(MailConsumer(mailer, identity.box, clock))
    return mailer


async def _undelivered(database: Database) -> int:
    async with database.reading() as tx:
        return int(await tx.scalar(select(func.count()).select_from(outbox_deliveries)))


async def test_a_mail_is_sent_again_after_a_failure_as_the_same_mail(
    identity: IdentityParts, mailer: FailingMailer, ada: User, database: Database, clock: ManualClock
) -> None:
    await identity.dispatcher.deliver_due()
    mailer.failure = None
    clock.advance(60)
    await identity.dispatcher.deliver_due()
    first, second = mailer.sent
    assert first == second
    assert first.to == "ada@example.com"
    assert await _undelivered(database) == 0


async def test_a_mail_refused_for_good_is_given_up(
    identity: IdentityParts, mailer: FailingMailer, ada: User, database: Database
) -> None:
    mailer.failure = MailRefused("no such address")
    await identity.dispatcher.deliver_due()
    assert len(mailer.sent) == 1
    assert await _undelivered(database) == 0


async def test_a_mail_whose_link_has_expired_is_not_sent_any_more(
    identity: IdentityParts, mailer: FailingMailer, ada: User, database: Database, clock: ManualClock
) -> None:
    await identity.dispatcher.deliver_due()
    clock.advance(DAY)
    mailer.failure = None
    await identity.dispatcher.deliver_due()
    assert len(mailer.sent) == 1
    assert await _undelivered(database) == 0


def test_what_the_consumer_wants(identity: IdentityParts, clock: ManualClock) -> None:
    consumer = MailConsumer(FailingMailer(), identity.box, clock)
    assert (consumer.name, consumer.kinds) == ("mail", {MAIL_REQUESTED})


async def test_mails_say_what_to_do_in_text_and_html(identity: IdentityParts, ada: User) -> None:
    await identity.recovery.forgot_password("ada@example.com")
    await identity.users.update_profile(ada.id, email="augusta@example.com", name="<b>Visit evil.example</b>")
    subjects = []
    for message in await identity.mails("ada@example.com") + await identity.mails("augusta@example.com"):
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None
        assert html is not None
        assert "evil" not in message.as_string()
        assert html.get_content().startswith("<!doctype html>")
        links = [line for line in text.get_content().splitlines() if line.startswith("http://127.0.0.1:8000/")]
        for link in links:
            assert f'<a href="{link}">' in html.get_content()
        subjects.append((message["Subject"], len(links)))
    assert subjects == [
        ("Verify your e-mail address", 1),
        ("Choose a new password", 1),
        ("Your e-mail address was changed", 0),
        ("Verify your e-mail address", 1),
    ]


async def test_activity_is_written_at_most_once_a_minute(
    identity: IdentityParts, ada: User, clock: ManualClock
) -> None:
    key, secret = await identity.api_keys.create(ada.id, name="key")
    await identity.sessions.authenticate(secret)
    assert (await identity.users.get(ada.id)).last_active_at is None
    await identity.activity.flush()
    first = clock.now()
    assert (await identity.users.get(ada.id)).last_active_at == first
    assert (await identity.api_keys.get(ada.id, key.id)).last_used_at == first
    clock.advance(59)
    await identity.sessions.authenticate(secret)
    await identity.activity.flush()
    assert (await identity.users.get(ada.id)).last_active_at == first
    clock.advance(1)
    await identity.sessions.authenticate(secret)
    await identity.activity.flush()
    await identity.activity.flush()
    assert (await identity.users.get(ada.id)).last_active_at == clock.now()
    assert (await identity.api_keys.get(ada.id, key.id)).last_used_at == clock.now()


async def test_a_late_note_of_another_process_does_not_turn_time_back(
    identity: IdentityParts,
    ada: User,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    _, secret = await identity.api_keys.create(ada.id, name="key")
    late = identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=identity.box)
    await late.sessions.authenticate(secret)
    clock.advance(30)
    await identity.sessions.authenticate(secret)
    await identity.activity.flush()
    await late.activity.flush()
    assert (await identity.users.get(ada.id)).last_active_at == clock.now()


async def test_cleanup_forgets_what_is_past_its_time_and_nothing_else(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    async def left() -> tuple[int, int]:
        async with database.reading() as tx:
            counts = [await tx.scalar(select(func.count()).select_from(table)) for table in (sessions, mail_tokens)]
        return counts[0], counts[1]

    ended = await identity.sessions.authenticate((await identity.sessions.start(ada.id)).access_token)
    assert ended.session_id is not None
    await identity.sessions.logout(ended.session_id)
    await identity.sessions.start(ada.id)
    await identity.recovery.forgot_password("nobody@example.com")
    scheduler = Scheduler(database, clock, [identity.cleanup.schedule()])
    await scheduler.register()
    await scheduler.run_due()
    assert await left() == (2, 2)
    for days, expected in [(2, (2, 0)), (6, (1, 0)), (23, (0, 0))]:
        clock.advance(timedelta(days=days).total_seconds())
        await scheduler.run_due()
        assert await left() == expected
