"""Notices are mailed: at most once each, several within a window as one mail, and never to whom they do not concern."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select

from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.backends.mail.smtp import SmtpMailer
from cloudyard.domains.identity import Mail, User, UserStatus
from cloudyard.domains.notifications import Notifications, Postman
from cloudyard.domains.notifications.models import notification_mails
from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.mail import MailSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.mail_server import mail_server
from cloudyard.testing.notices import DIGEST_SECONDS, NoticeParts, notice, notice_parts
from cloudyard.testing.server_process import clean_environment

DAY = 86400


class Receiver:
    """An SMTP server that takes mails, or answers what it is told to instead."""

    def __init__(self) -> None:
        self.answer: str | None = None
        self.taken: list[bytes] = []
        self.silent_seconds = 0.0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer is not None:
            return self.answer
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        await asyncio.sleep(self.silent_seconds)
        return "250 OK"


@contextmanager
def _serving(receiver: Receiver) -> Iterator[int]:
    with mail_server(receiver) as running:
        yield int(running.port)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def smtp_port(receiver: Receiver) -> Iterator[int]:
    with _serving(receiver) as port:
        yield port


def _smtp(port: int, timeout: float = 10) -> SmtpMailer:
    return SmtpMailer(MailSettings(backend="smtp", smtp_port=port, smtp_tls="none", timeout_seconds=timeout))


def _postman(
    database: Database, clock: ManualClock, identity: IdentityParts, port: int, timeout: float = 10
) -> Postman:
    return Postman(database, clock, identity.users, _smtp(port, timeout))


async def _notices(identity: IdentityParts, to: str) -> list[EmailMessage]:
    """The mails to an address that tell of notices, and not of the account."""
    return [mail for mail in await identity.mails(to) if "notification settings" in _text(mail, "plain")]


async def _states(database: Database) -> list[str]:
    async with database.reading() as tx:
        rows = await tx.all(select(notification_mails.c.state).order_by(notification_mails.c.created_at))
    return [row.state for row in rows]


def _text(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


async def test_a_notice_is_mailed_once_in_text_and_html(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    told = notice(ada.id, "low:1", message="Fewer than <5> credits & falling.")
    await notifications.post(told)
    await notifications.post(told)
    assert await postman.send_due() == 0
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 1
    await notifications.post(told)
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 0
    (mail,) = await _notices(identity, "ada@example.com")
    assert mail["Subject"] == "Your credits are running low"
    assert "Fewer than <5> credits & falling." in _text(mail, "plain")
    assert "<p>Fewer than &lt;5&gt; credits &amp; falling.</p>" in _text(mail, "html")


async def test_a_burst_becomes_one_mail_and_what_comes_later_another(
    ada: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    for number in range(3):
        await notifications.post(notice(ada.id, f"low:{number}", title=f"Notice {number}"))
        clock.advance(DIGEST_SECONDS / 3)
    await postman.send_due()
    (digest,) = await _notices(identity, "ada@example.com")
    assert digest["Subject"] == "3 notices from Cloudyard"
    places = [_text(digest, "plain").index(f"Notice {number}") for number in range(3)]
    assert places == sorted(places)
    await notifications.post(notice(ada.id, "low:later", title="Later"))
    clock.advance(DIGEST_SECONDS)
    await postman.send_due()
    assert [mail["Subject"] for mail in await _notices(identity, "ada@example.com")][1:] == ["Later"]


async def test_postmen_at_once_send_a_digest_once(
    ada: User,
    notifications: Notifications,
    database: Database,
    identity: IdentityParts,
    clock: ManualClock,
    receiver: Receiver,
    smtp_port: int,
) -> None:
    for number in range(3):
        await notifications.post(notice(ada.id, f"low:{number}"))
    clock.advance(DIGEST_SECONDS)
    postmen = [_postman(database, clock, identity, smtp_port) for _ in range(4)]
    tried = await asyncio.gather(*(postman.send_due() for postman in postmen))
    assert (sum(tried), len(receiver.taken)) == (1, 1)


async def test_notices_that_come_while_mail_goes_out_are_all_mailed_once(
    ada: User,
    notifications: Notifications,
    database: Database,
    identity: IdentityParts,
    clock: ManualClock,
    receiver: Receiver,
    smtp_port: int,
) -> None:
    postman = _postman(database, clock, identity, smtp_port)
    for number in range(12):
        posting = [
            notifications.post(notice(ada.id, f"low:{number}:{each}", title=f"<{number}:{each}>")) for each in "ab"
        ]
        await asyncio.gather(*posting, postman.send_due())
        clock.advance(DIGEST_SECONDS)
    await postman.send_due()
    sent = b"\n".join(content.split(b"text/html")[0] for content in receiver.taken).decode()
    body = [line for line in sent.splitlines() if line.startswith("<")]
    assert sorted(body) == sorted(f"<{number}:{each}>" for number in range(12) for each in "ab")
    assert set(await _states(database)) == {"sent"}


async def test_a_suspended_user_gets_no_mail(
    ada: User,
    notifications: Notifications,
    postman: Postman,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
) -> None:
    await notifications.post(notice(ada.id, "low:1"))
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 1
    assert await _notices(identity, "ada@example.com") == []
    assert await _states(database) == ["dropped"]


async def test_an_address_that_nobody_verified_gets_no_mail(
    bob: User, notifications: Notifications, postman: Postman, identity: IdentityParts, clock: ManualClock
) -> None:
    await notifications.post(notice(bob.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 1
    assert await _notices(identity, "bob@example.com") == []


async def test_without_mail_nothing_waits_for_it(
    ada: User,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    parts: NoticeParts,
    smtp_port: int,
) -> None:
    mute = notice_parts(database, clock, ids, Outbox(clock), identity, _smtp(smtp_port), mail_available=False)
    await mute.notifications.post(notice(ada.id, "low:1"))
    assert (await mute.notifications.list(ada.id, limit=1))[1] == 2
    assert await _states(database) == []


async def test_a_server_that_refuses_for_now_gets_the_mail_later(
    ada: User,
    notifications: Notifications,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
    receiver: Receiver,
    smtp_port: int,
) -> None:
    postman = _postman(database, clock, identity, smtp_port)
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    receiver.answer = "451 try again"
    assert await postman.send_due() == 1
    assert await postman.send_due() == 0
    await notifications.post(notice(ada.id, "low:2"))
    receiver.answer = None
    clock.advance(5)
    assert await postman.send_due() == 1
    assert len(receiver.taken) == 1
    assert await _states(database) == ["sent", "sent"]


async def test_a_server_that_cannot_be_reached_for_a_day_loses_the_mail(
    ada: User,
    notifications: Notifications,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
) -> None:
    with _serving(Receiver()) as port:
        pass
    postman = _postman(database, clock, identity, port)
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    assert await postman.send_due() == 1
    assert await _states(database) == ["waiting"]
    clock.advance(DAY)
    assert await postman.send_due() == 1
    assert await _states(database) == ["failed"]
    clock.advance(DAY)
    assert await postman.send_due() == 0


async def test_a_mail_refused_for_good_is_given_up(
    ada: User,
    notifications: Notifications,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
    receiver: Receiver,
    smtp_port: int,
) -> None:
    receiver.answer = "554 no"
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    postman = _postman(database, clock, identity, smtp_port)
    assert await postman.send_due() == 1
    clock.advance(DAY)
    assert await postman.send_due() == 0
    assert await _states(database) == ["failed"]


async def test_a_mail_that_may_have_been_taken_is_not_sent_again(
    ada: User,
    notifications: Notifications,
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
    receiver: Receiver,
    smtp_port: int,
) -> None:
    receiver.silent_seconds = 1.0
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    postman = _postman(database, clock, identity, smtp_port, timeout=0.3)
    assert await postman.send_due() == 1
    clock.advance(DAY)
    assert await postman.send_due() == 0
    assert len(receiver.taken) == 1
    assert await _states(database) == ["sent"]


class SlowMailer:
    """Hands mails to another mailer, once it may."""

    def __init__(self, mailer: FileMailer) -> None:
        self._mailer = mailer
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def send(self, mail: Mail) -> None:
        self.begun.set()
        await self.may_go_on.wait()
        await self._mailer.send(mail)

    async def ping(self) -> None:
        await self._mailer.ping()


async def test_a_postman_that_is_stopped_hands_over_what_is_marked(
    ada: User, notifications: Notifications, identity: IdentityParts, database: Database, clock: ManualClock
) -> None:
    mailer = SlowMailer(FileMailer(identity.mail_folder, sender="Cloudyard <noreply@localhost>"))
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    running = asyncio.create_task(Postman(database, clock, identity.users, mailer).run())
    await mailer.begun.wait()
    running.cancel()
    await asyncio.sleep(0)
    mailer.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(await _notices(identity, "ada@example.com")) == 1
    assert await _states(database) == ["sent"]


@pytest.mark.parametrize(("point", "sent"), [("notifications.mail_marked", 0), ("notifications.mail_sent", 1)])
async def test_a_killed_postman_never_sends_twice(
    ada: User,
    notifications: Notifications,
    postman: Postman,
    identity: IdentityParts,
    clock: ManualClock,
    database_url: str,
    point: str,
    sent: int,
) -> None:
    await notifications.post(notice(ada.id, "low:1"))
    clock.advance(DIGEST_SECONDS)
    program = Path(__file__).with_name("mail_process.py")
    command = [sys.executable, str(program), database_url, str(identity.mail_folder), clock.now().isoformat()]
    doomed = await asyncio.create_subprocess_exec(*command, env={**clean_environment(), VARIABLE: point})
    assert await doomed.wait() == -signal.SIGKILL
    clock.advance(DAY)
    await postman.send_due()
    assert len(await _notices(identity, "ada@example.com")) == sent
    assert subprocess.run(command, env=clean_environment(), check=False).returncode == 0  # noqa: ASYNC221
    assert len(await _notices(identity, "ada@example.com")) == sent
