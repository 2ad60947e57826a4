"""Handing over what waits to be pushed."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row

from cloudyard.domains.notifications.ports import Push, PushGone, PushRefused, PushSender, PushUnavailable
from cloudyard.domains.notifications.records import Severity
from cloudyard.domains.notifications.vapid_keys import VapidKeyStore
from cloudyard.domains.notifications.waiting_pushes import (
    Taken,
    drop_subscription,
    give_up,
    is_due,
    put_back,
    take_pushes,
)
from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import to_its_end
from cloudyard.foundation.durable.leases import backoff
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
AT_ONCE = 50
ENDING_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0
LONGEST_TEXT = 400
"""Characters of the message: with title and names they fit what a push may hold, 3993 bytes (RFC 8291, section 4)."""


class Pusher:
    """Hands pushes to the push services. Any number of processes may run one; each push goes out from one of them.

    A push is marked as sent before it is handed over: a crash in between loses one, and none goes out twice. Where no
    answer came it is tried again; its topic then replaces the first in the push service, and its tag in the browser.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        box: SecretBox,
        keys: VapidKeyStore,
        sender: PushSender,
        *,
        ttl_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._box = box
        self._keys = keys
        self._sender = sender
        self._ttl = timedelta(seconds=ttl_seconds)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Push for ever. One that hangs takes one of fifty places."""
        try:
            while True:
                if await self._start_due() == 0:
                    await self._clock.sleep(until_beat(self._clock, POLL_SECONDS))
        finally:
            await self._end()

    async def send_due(self) -> int:
        """Hand over what is due now, and wait for it; how many there were."""
        count = 0
        while taken := await self._take(AT_ONCE):
            await asyncio.gather(*map(self._send, taken))
            count += len(taken)
        return count

    async def _start_due(self) -> int:
        if len(self._under_way) >= AT_ONCE:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        # What is marked as sent is handed over, even when we are stopped meanwhile.
        return await to_its_end(self._take_and_start(AT_ONCE - len(self._under_way)), at_most=ENDING_SECONDS)

    async def _take_and_start(self, limit: int) -> int:
        taken = await self._take(limit)
        for each in taken:
            task = asyncio.create_task(self._send(each), name=f"push {each.row.id}")
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        return len(taken)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("push lost", error=f"{type(error).__name__}: {error}")

    async def _end(self) -> None:
        """Let those that are under way come to their end, for a while: they are marked as sent already."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=ENDING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take(self, limit: int) -> list[Taken]:
        now = self._clock.now()
        # Mostly nothing is due, and writers need not wait to hear that.
        if limit <= 0 or not await self._database.glance(partial(is_due, now=now)):
            return []
        async with self._database.transaction() as tx:
            return list(await take_pushes(tx, now, limit))

    async def _send(self, taken: Taken) -> None:
        crash_point("notifications.push_marked")
        if self._left(taken.words) <= timedelta(0):
            await self._give_up(taken, "It waited for longer than push.ttl_seconds, so it is news no more.")
            return
        try:
            await self._sender.send(self._push(taken.words), await self._keys.get())
        except PushGone as gone:
            log.info("push subscription is gone", subscription=taken.row.subscription_id, reason=gone.message)
            async with self._database.transaction() as tx:
                await drop_subscription(tx, taken)
        except PushUnavailable as failure:
            await self._try_later(taken, failure)
        except (PushRefused, SecretUnreadable) as refusal:
            await self._give_up(taken, refusal.message)

    async def _give_up(self, taken: Taken, reason: str) -> None:
        log.error("push given up", push=taken.row.id, reason=reason)
        async with self._database.transaction() as tx:
            await give_up(tx, taken, reason)

    def _left(self, words: Row[Any]) -> timedelta:
        until: datetime = words.created_at + self._ttl
        return until - self._clock.now()

    def _push(self, words: Row[Any]) -> Push:
        return Push(
            endpoint=words.endpoint,
            p256dh=words.p256dh,
            auth=self._box.decrypt(words.sealed_auth),
            payload=payload_of(words),
            ttl_seconds=int(self._left(words).total_seconds()),
            topic=words.id.replace("-", "")[:32],
            urgent=words.severity in (Severity.WARNING.value, Severity.ERROR.value),
        )

    async def _try_later(self, taken: Taken, failure: PushUnavailable) -> None:
        pause = backoff(taken.row.attempts, first=FIRST_PAUSE_SECONDS, largest=LONGEST_PAUSE_SECONDS)
        asked_for = timedelta(seconds=min(failure.retry_after or 0.0, self._ttl.total_seconds()))
        if max(pause, asked_for) >= self._left(taken.words):
            await self._give_up(taken, failure.message)
            return
        log.warning("push not taken", push=taken.row.id, reason=failure.message)
        async with self._database.transaction() as tx:
            await put_back(tx, taken, failure.message, self._clock.now() + max(pause, asked_for))


def payload_of(words: Row[Any]) -> bytes:
    """What the browser gets: JSON of what a notification is made of, the tag being the same at every try."""
    text = words.message
    shown = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    notice = {
        "title": words.title,
        "body": shown,
        "tag": words.id,
        "type": words.severity,
        "category": words.category,
        "createdAt": words.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return msgspec.json.encode(notice)
