"""What identity does beside requests: sending the mails that were asked for, forgetting what is past its time."""

from datetime import timedelta

import structlog
from sqlalchemy import delete, or_

from cloudyard.domains.identity.errors import MailRefused
from cloudyard.domains.identity.letters import MAIL_REQUESTED, Letter, html_body, subject_line, text_body, unseal
from cloudyard.domains.identity.models import mail_tokens, sessions
from cloudyard.domains.identity.oauth_clients import OAuthClients
from cloudyard.domains.identity.ports import Mail, Mailer
from cloudyard.domains.identity.sign_in_attempts import forget_past
from cloudyard.domains.identity.signing_keys import SigningKeys
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Schedule
from cloudyard.foundation.secret_box import SecretBox

log = structlog.get_logger(__name__)

ENDED_SESSIONS_KEPT = timedelta(days=7)  # so that a refresh token of theirs is answered by what happened


class MailConsumer:
    """Writes and sends the mails that the outbox asks for."""

    def __init__(self, mailer: Mailer, box: SecretBox, clock: Clock) -> None:
        self._mailer = mailer
        self._box = box
        self._clock = clock

    @property
    def name(self) -> str:
        """Its name in the outbox."""
        return "mail"

    @property
    def kinds(self) -> frozenset[str]:
        """The events it wants."""
        return frozenset({MAIL_REQUESTED})

    async def handle(self, event: Delivered) -> None:
        """Send one mail. Raises `MailUnavailable` and `SecretUnreadable`, so that it is tried again."""
        letter = unseal(self._box, event.payload["sealed"])
        if letter.to is None or self._too_late(letter):
            return
        mail = Mail(
            id=f"{event.id:012d}",
            to=letter.to,
            subject=subject_line(letter),
            text=text_body(letter),
            html=html_body(letter),
            created_at=event.created_at,
        )
        try:
            await self._mailer.send(mail)
        except MailRefused as refusal:
            log.error("mail refused for good", kind=letter.kind, mail_id=mail.id, reason=refusal.message)

    def _too_late(self, letter: Letter) -> bool:
        return letter.expires_at is not None and letter.expires_at <= self._clock.now()


class Cleanup:
    """Deletes what is past its time: sessions, mailed tokens, unfinished sign-ins, signing keys, registrations."""

    def __init__(self, database: Database, clock: Clock, keys: SigningKeys, clients: OAuthClients) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys
        self._clients = clients

    def schedule(self) -> Schedule:
        """Once an hour."""
        return Schedule("identity.cleanup", timedelta(hours=1), self.run)

    async def run(self) -> None:
        """Delete what is past its time now."""
        now = self._clock.now()
        past = or_(sessions.c.expires_at < now, sessions.c.ended_at < now - ENDED_SESSIONS_KEPT)
        async with self._database.transaction() as tx:
            await tx.execute(delete(sessions).where(past))
            await tx.execute(delete(mail_tokens).where(mail_tokens.c.expires_at < now))
            await forget_past(tx, now)
        await self._keys.prune()
        await self._clients.prune()
