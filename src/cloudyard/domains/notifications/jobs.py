"""What notifications does beside requests: turning events into notices, and mailing them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, exists, select

from cloudyard.domains.identity import (
    PASSWORD_CHANGED,
    Mail,
    Mailer,
    MailRefused,
    MailUnavailable,
    MailUncertain,
    User,
    UserNotFound,
    Users,
    UserStatus,
)
from cloudyard.domains.notifications.letters import Item, html_body, subject_line, text_body
from cloudyard.domains.notifications.models import notification_digests
from cloudyard.domains.notifications.notices import COMPOSERS
from cloudyard.domains.notifications.preferences import read_preferences
from cloudyard.domains.notifications.push_subscriptions import PushSubscriptions
from cloudyard.domains.notifications.records import SendState
from cloudyard.domains.notifications.service import Notifications
from cloudyard.domains.notifications.waiting_mails import mark_mails, put_back, take_mails
from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, to_its_end
from cloudyard.foundation.durable.leases import NOW, backoff, claim

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
LEASE = timedelta(minutes=2)
BATCH = 20
ENDING_SECONDS = 10.0
GIVEN_UP_AFTER = timedelta(days=1)  # a warning that is older than this tells nothing any more
IS_DUE = select(exists().where(notification_digests.c.due_at <= NOW))


class NoticeConsumer:
    """Tells users of events that concern them."""

    name = "notifications"
    kinds = frozenset(COMPOSERS)

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    async def handle(self, event: Delivered) -> None:
        """Post the event's notice, once."""
        await self._notifications.post(COMPOSERS[event.kind](event))


class BrowserConsumer:
    """Forgets the browsers of a user whose password is another now: some may be those of whoever knew the former."""

    name = "push_subscriptions"
    kinds = frozenset({PASSWORD_CHANGED})

    def __init__(self, subscriptions: PushSubscriptions) -> None:
        self._subscriptions = subscriptions

    async def handle(self, event: Delivered) -> None:
        """End what was registered before the event; a second delivery spares what was registered since."""
        await self._subscriptions.end(event.payload["user_id"], event.created_at)


class Postman:
    """Mails what waits. Any number of processes may run one; each digest is written by one of them.

    Mails are marked as sent before they are handed over: a crash in between loses one, and none goes out twice.
    """

    def __init__(self, database: Database, clock: Clock, users: Users, mailer: Mailer) -> None:
        self._database = database
        self._clock = clock
        self._users = users
        self._mailer = mailer

    async def run(self) -> None:
        """Mail for ever."""
        while True:
            if await self.send_due() == 0:
                await self._clock.sleep(until_beat(self._clock, POLL_SECONDS))

    async def send_due(self) -> int:
        """Send what is due now; the number of digests tried."""
        digests = await self._claim()
        # What is marked as sent is handed over, even when we are stopped meanwhile.
        sending = (to_its_end(self._send(digest), at_most=ENDING_SECONDS) for digest in digests)
        for failure in await asyncio.gather(*sending, return_exceptions=True):
            if failure is not None:
                raise failure
        return len(digests)

    async def _claim(self) -> Sequence[Row[Any]]:
        now = self._clock.now()
        # Mostly nothing is due, and writers need not wait to hear that.
        if not await self._database.glance(lambda connection: connection.scalar(IS_DUE, {"now": now})):
            return []
        async with self._database.transaction() as tx:
            return await claim(tx, notification_digests, now=now, lease=LEASE, limit=BATCH)

    async def _send(self, digest: Row[Any]) -> None:
        user = await self._recipient(digest.user_id)
        async with self._database.transaction() as tx:
            wanted = await read_preferences(tx, digest.user_id) if user is not None else None
            rows = await take_mails(tx, digest, wanted)
        if user is None or not rows:
            return
        crash_point("notifications.mail_marked")
        await self._hand_over(user, rows)
        crash_point("notifications.mail_sent")

    async def _recipient(self, user_id: str) -> User | None:
        """Who may be mailed: an unverified address may be somebody else's."""
        try:
            user = await self._users.get(user_id)
        except UserNotFound:
            return None
        return user if user.status is UserStatus.ACTIVE and user.email_verified else None

    async def _hand_over(self, user: User, rows: Sequence[Row[Any]]) -> None:
        items = [Item(row.title, row.message, row.created_at) for row in rows]
        mail = Mail(
            id=rows[0].id,
            to=user.email,
            subject=subject_line(items),
            text=text_body(items),
            html=html_body(items),
            created_at=self._clock.now(),
        )
        try:
            await self._mailer.send(mail)
        except MailRefused as refusal:
            log.error("notice refused for good", mail_id=mail.id, reason=refusal.message)
            await self._give_up(rows)
        except MailUncertain as doubt:
            log.warning("notice may have been sent and is not sent again", mail_id=mail.id, reason=doubt.message)
        except MailUnavailable as failure:
            log.warning("notice not sent", mail_id=mail.id, reason=failure.message)
            await self._try_later(rows)

    async def _give_up(self, rows: Sequence[Row[Any]]) -> None:
        async with self._database.transaction() as tx:
            await mark_mails(tx, rows, SendState.FAILED)

    async def _try_later(self, rows: Sequence[Row[Any]]) -> None:
        now = self._clock.now()
        stale = [row for row in rows if row.created_at < now - GIVEN_UP_AFTER]
        fresh = [row for row in rows if row.created_at >= now - GIVEN_UP_AFTER]
        async with self._database.transaction() as tx:
            await mark_mails(tx, stale, SendState.FAILED)
            if fresh:
                await put_back(tx, fresh, now + backoff(max(row.attempts for row in fresh) + 1))
