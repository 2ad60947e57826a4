"""Mails leave through the outbox, activity is written beside the requests, and what is past its time goes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import func, select

from cloudyard.backends.mail.smtp import SmtpMailer
from cloudyard.domains.identity import MailConsumer, User
from cloudyard.domains.identity.letters import MAIL_REQUESTED
from cloudyard.domains.identity.models import mail_tokens, sessions
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox, Scheduler
from cloudyard.foundation.durable.outbox import outbox_deliveries
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.mail import MailSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.testing.mail_server import MailServer, mail_server

DAY = 86400


class Refuser:
    """An SMTP server's say: nobody lives here."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: object
    ) -> str:
        return "550 no such mailbox"


@pytest.fixture
def refusing_server() -> Iterator[MailServer]:
    with mail_server(Refuser()) as running:
        yield running


async def _undelivered(database: Database) -> int:
    async with database.reading() as tx:
        return int(await tx.scalar(select(func.count()).select_from(outbox_deliveries)))


def _put_in_the_way(folder: Path) -> Path:
    """Make the mail folder unusable until the file is removed."""
    folder.write_text("not a folder")
    return folder


async def test_a_mail_is_sent_again_after_a_failure(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    obstacle = _put_in_the_way(identity.mail_folder)
    await identity.dispatcher.deliver_due()
    assert await _undelivered(database) == 1
    obstacle.unlink()
    clock.advance(60)
    (mail,) = await identity.mails("ada@example.com")
    assert mail["Date"].datetime == clock.now() - timedelta(seconds=60)
    assert await _undelivered(database) == 0


async def test_a_mail_whose_link_has_expired_is_not_sent_any_more(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    obstacle = _put_in_the_way(identity.mail_folder)
    await identity.dispatcher.deliver_due()
    obstacle.unlink()
    clock.advance(DAY)
    assert await identity.mails("ada@example.com") == []
    assert await _undelivered(database) == 0


async def test_a_mail_refused_for_good_is_given_up(
    identity: IdentityParts, outbox: Outbox, database: Database, clock: ManualClock, refusing_server: MailServer
) -> None:
    settings = MailSettings(backend="smtp", smtp_port=refusing_server.port, smtp_tls="none")
    consumer = MailConsumer(SmtpMailer(settings), identity.box, clock)
    assert (consumer.name, consumer.kinds) == ("mail", frozenset({MAIL_REQUESTED}))
    outbox.subscribe(consumer)
    await identity.users.register(email="nobody@example.com", password="correct horse")
    assert await identity.dispatcher.deliver_due() == 1
    assert await _undelivered(database) == 0


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
