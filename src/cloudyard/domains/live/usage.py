"""What users hear of their usage."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select

from cloudyard.domains.live.models import live_followers
from cloudyard.domains.live.service import LiveFeed
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Delivered
from cloudyard.foundation.durable.leases import NOW

CHAT_COMPLETED = "chat.completed"
CHAT = "chat"
COMPLETED = "completed"
FIRST_FOLLOWED = select(func.min(live_followers.c.since)).where(live_followers.c.until > NOW)


class UsageFollowers:
    """Those who follow their feed, as an audience of the usage feed: they hear `credit.used`, and `chat.completed`."""

    name = "live"

    def __init__(self, clock: Clock, feed: LiveFeed) -> None:
        self._clock = clock
        self._feed = feed

    def since(self, connection: Connection) -> datetime | None:
        """Since when the first of those who follow has done so; None where nobody does."""
        found: datetime | None = connection.scalar(FIRST_FOLLOWED, {"now": self._now()})
        return found

    async def take(self, tx: Transaction, used: Sequence[Delivered]) -> Callable[[], Awaitable[None]]:
        """Write the charges of those who follow into their feeds."""
        followers = await self._followers(tx, {each.payload["user_id"] for each in used})
        events: list[Delivered] = []
        users: list[str] = []
        for each in used:
            user_id = each.payload["user_id"]
            if user_id in followers and each.created_at >= followers[user_id]:
                told = _events(each)
                events += told
                users += [user_id] * len(told)
        return partial(self._feed.publish, await self._feed.add_all(tx, events, users))

    async def _followers(self, tx: Transaction, users: set[str]) -> dict[str, datetime]:
        table = live_followers
        query = select(table.c.user_id, table.c.since).where(table.c.user_id.in_(users), table.c.until > self._now())
        return {row.user_id: row.since for row in await tx.all(query)}

    def _now(self) -> datetime:
        return self._clock.now()


def _events(used: Delivered) -> list[Delivered]:
    """What is told of one charge. Numbers of the outbox are positive, so these are negative, two for each charge."""
    events = [replace(used, id=-2 * used.id)]
    if used.payload["operation"] == CHAT and used.payload["outcome"] == COMPLETED:
        chat = Delivered(-2 * used.id - 1, CHAT_COMPLETED, used.subject, _chat(used.payload), used.created_at)
        events.append(chat)
    return events


def _chat(used: Mapping[str, Any]) -> dict[str, Any]:
    prompt, completion = (used["quantities"].get(meter, 0) for meter in ("input_token", "output_token"))
    return {
        "user_id": used["user_id"],
        "model": used["model"],
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": used["cost"],
        "usage_record_id": used["usage_record_id"],
        "request_id": used["request_id"],
    }
