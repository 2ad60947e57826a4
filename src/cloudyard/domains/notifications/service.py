"""Notifications as surfaces and other domains use them."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, update

from cloudyard.domains.identity import Role, UserNotFound, Users, UserStatus
from cloudyard.domains.notifications.errors import NotificationNotFound
from cloudyard.domains.notifications.models import notification_mails, notification_pushes, notifications
from cloudyard.domains.notifications.preferences import lock_preferences, read_preferences, write_preferences
from cloudyard.domains.notifications.records import (
    Category,
    Channel,
    Notice,
    Notification,
    Preferences,
    SendState,
    Severity,
)
from cloudyard.domains.notifications.waiting_mails import queue_mail
from cloudyard.domains.notifications.waiting_pushes import queue_push
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Event, Outbox, Schedule, delete_in_batches
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.notifications import NotificationSettings

ID = re.compile(r"[A-Za-z0-9_-]{1,48}")
MOST_ADMINS = 200
NOTIFICATION_CREATED = "notification.created"


class Notifications:
    """What users are told, by which channel, and what they have read.

    Where no mail can be sent (`mail_available`), e-mail is left out. A notification in the application reports itself
    by the event `notification.created`, subject `user:<id>`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        outbox: Outbox,
        users: Users,
        settings: NotificationSettings,
        *,
        mail_available: bool = True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._outbox = outbox
        self._users = users
        self._mail_available = mail_available
        self._digest_window = timedelta(seconds=settings.digest_seconds)
        self._kept = timedelta(days=settings.keep_days)

    async def post(self, notice: Notice) -> None:
        """Tell somebody something by the channels that each user wants, once however often this is called.

        A user who is suspended or gone is told nothing.
        """
        for user_id in await self._recipients(notice.user_id):
            await self._tell(user_id, notice)

    async def list(
        self, user_id: str, *, unread: bool = False, limit: int, offset: int = 0
    ) -> tuple[Sequence[Notification], int]:
        """A page of a user's notifications, or of the unread ones, newest first, and how many there are."""
        wanted = [notifications.c.user_id == user_id]
        if unread:
            wanted.append(notifications.c.read_at.is_(None))
        newest_first = (notifications.c.created_at.desc(), notifications.c.id.desc())
        page = select(notifications).where(*wanted).order_by(*newest_first).limit(limit).offset(offset)
        async with self._database.reading() as tx:
            rows = await tx.all(page)
            total = int(await tx.scalar(select(func.count()).select_from(notifications).where(*wanted)))
        return [_notification(row) for row in rows], total

    async def read(self, user_id: str, notification_id: str) -> Notification:
        """Mark a notification of the user as read. Raises `NotificationNotFound`."""
        row = await self._mark_one(user_id, notification_id) if ID.fullmatch(notification_id) else None
        if row is None:
            raise NotificationNotFound(
                "You have no notification with this id. List your notifications to see those there are.",
                details={"notification_id": notification_id},
            )
        return _notification(row)

    async def read_all(self, user_id: str) -> int:
        """Mark every notification of the user as read; how many were not."""
        async with self._database.transaction() as tx:
            return await self._mark_read(tx, notifications.c.user_id == user_id)

    async def preferences(self, user_id: str) -> Preferences:
        """What the user wants to hear of, and how."""
        async with self._database.reading() as tx:
            return await read_preferences(tx, user_id)

    async def change_preferences(
        self,
        user_id: str,
        channels: Mapping[Channel, bool],
        categories: Mapping[Category, Mapping[Channel, bool]],
    ) -> Preferences:
        """Set what is named; everything else stays as it is."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            preferences = (await lock_preferences(tx, user_id, now)).changed(channels, categories)
            await write_preferences(tx, user_id, preferences, now)
        return preferences

    def schedule(self) -> Schedule:
        """Forget old notifications, once a day."""
        return Schedule("notifications.forget_old", timedelta(days=1), self.forget_old)

    async def forget_old(self) -> None:
        """Delete notifications and pushes, and mails that wait no longer, which are older than they are kept."""
        before = self._clock.now() - self._kept
        ended = notification_mails.c.state != SendState.WAITING.value
        await delete_in_batches(self._database, notifications, notifications.c.created_at < before)
        await delete_in_batches(self._database, notification_pushes, notification_pushes.c.created_at < before)
        await delete_in_batches(self._database, notification_mails, notification_mails.c.created_at < before, ended)

    async def _recipients(self, user_id: str | None) -> Sequence[str]:
        if user_id is None:
            admins = await self._users.list(role=Role.ADMIN, status=UserStatus.ACTIVE, limit=MOST_ADMINS)
            return [admin.id for admin in admins]
        try:
            user = await self._users.get(user_id)
        except UserNotFound:
            return []
        return [user.id] if user.status is UserStatus.ACTIVE else []

    async def _tell(self, user_id: str, notice: Notice) -> None:
        async with self._database.transaction() as tx:
            wanted = await read_preferences(tx, user_id)
            channels = {channel for channel in notice.channels if wanted.want(notice.category, channel)}
            row = self._row(user_id, notice)
            if Channel.IN_APP in channels:
                await self._show(tx, row)
            if Channel.EMAIL in channels and self._mail_available:
                await queue_mail(tx, row, self._clock.now() + self._digest_window)
            if Channel.PUSH in channels:
                await queue_push(tx, self._ids, row)

    def _row(self, user_id: str, notice: Notice) -> dict[str, Any]:
        return {
            "id": self._ids.new(),
            "user_id": user_id,
            "source": notice.source,
            "category": notice.category.value,
            "severity": notice.severity.value,
            "title": notice.title,
            "message": notice.message,
            "created_at": self._clock.now(),
        }

    async def _mark_one(self, user_id: str, notification_id: str) -> Row[Any] | None:
        mine = (notifications.c.user_id == user_id) & (notifications.c.id == notification_id)
        async with self._database.transaction() as tx:
            await self._mark_read(tx, mine)
            return await tx.first(select(notifications).where(mine))

    async def _show(self, tx: Transaction, row: dict[str, Any]) -> None:
        inserted = await tx.execute(insert_or_ignore(tx.dialect, notifications).values(row))
        if inserted.rowcount == 1:
            payload = {**row, "created_at": row["created_at"].isoformat()}
            await self._outbox.emit(tx, Event(NOTIFICATION_CREATED, f"user:{row['user_id']}", payload))

    async def _mark_read(self, tx: Transaction, where: ColumnElement[bool]) -> int:
        unread = notifications.c.read_at.is_(None)
        marked = await tx.execute(update(notifications).where(where, unread).values(read_at=self._clock.now()))
        return marked.rowcount


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        user_id=row.user_id,
        category=Category(row.category),
        severity=Severity(row.severity),
        title=row.title,
        message=row.message,
        read=row.read_at is not None,
        created_at=row.created_at,
    )
