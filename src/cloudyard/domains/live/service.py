"""What happens to a user, as it happens: kept for a while, so that whoever was away can go on where it stopped."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from cloudyard.domains.live.models import live_events, live_feeds
from cloudyard.domains.live.records import LiveEvent
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Delivered
from cloudyard.foundation.fan_out import FanOut

KEPT_FOR = timedelta(days=1)
AT_ONCE = 200
LOOK_SECONDS = 30.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LiveEvent).decode


class LiveFeed:
    """Each user's feed of events."""

    def __init__(self, database: Database, clock: Clock, fan_out: FanOut) -> None:
        self._database = database
        self._clock = clock
        self._fan_out = fan_out

    async def add(self, user_id: str, event: Delivered, payload: Mapping[str, Any]) -> None:
        """Write an event into a user's feed, once however often it is delivered, and tell whoever follows."""
        async with self._database.transaction() as tx:
            added = await self._add(tx, user_id, event, payload)
        if added is not None:
            await self._fan_out.publish(_topic(user_id), _encode(added))

    async def newest(self, user_id: str) -> int:
        """The number of the newest event, 0 where there was none yet."""
        async with self._database.reading() as tx:
            return int(await tx.scalar(select(live_feeds.c.newest).where(live_feeds.c.user_id == user_id)) or 0)

    async def after(self, user_id: str, number: int, *, limit: int = AT_ONCE) -> Sequence[LiveEvent]:
        """Events after that number, oldest first. What is older than a day is gone."""
        query = (
            select(live_events)
            .where(live_events.c.user_id == user_id, live_events.c.number > number)
            .order_by(live_events.c.number)
            .limit(limit)
        )
        async with self._database.reading() as tx:
            return [LiveEvent(row.number, row.kind, row.payload, row.created_at) for row in await tx.all(query)]

    async def follow(self, user_id: str, after: int) -> AsyncGenerator[LiveEvent | None, None]:
        """Every event after that number, then each as it comes; None now and then when nothing did."""
        async with self._fan_out.listen(_topic(user_id)) as listener:
            async with aclosing(self._kept(user_id, after)) as kept:
                async for event in kept:
                    after = event.number
                    yield event
            while True:
                message = await listener.next(LOOK_SECONDS)
                told = _decode(message) if message else None
                if told is not None and told.number == after + 1:
                    after = told.number
                    yield told
                elif told is None or told.number > after:  # some were missed on the way: they are in the rows
                    async with aclosing(self._kept(user_id, after)) as kept:
                        async for event in kept:
                            after = event.number
                            yield event
                    if told is None:
                        yield None

    async def prune(self) -> None:
        """Forget what is older than a day."""
        async with self._database.transaction() as tx:
            await tx.execute(delete(live_events).where(live_events.c.created_at < self._clock.now() - KEPT_FOR))

    async def _kept(self, user_id: str, after: int) -> AsyncGenerator[LiveEvent, None]:
        while events := await self.after(user_id, after):
            for event in events:
                after = event.number
                yield event

    async def _add(
        self, tx: Transaction, user_id: str, event: Delivered, payload: Mapping[str, Any]
    ) -> LiveEvent | None:
        await tx.execute(insert_or_ignore(tx.dialect, live_feeds).values(user_id=user_id, newest=0))
        mine = live_feeds.c.user_id == user_id
        number = int(
            (
                await tx.execute(
                    update(live_feeds).where(mine).values(newest=live_feeds.c.newest + 1).returning(live_feeds.c.newest)
                )
            ).scalar_one()
        )
        known = select(live_events.c.number).where(live_events.c.event_id == event.id, live_events.c.user_id == user_id)
        if await tx.scalar(known) is not None:
            await tx.execute(update(live_feeds).where(mine).values(newest=number - 1))
            return None
        added = LiveEvent(number, event.kind, dict(payload), event.created_at)
        await tx.execute(
            insert(live_events).values(
                user_id=user_id,
                number=number,
                event_id=event.id,
                kind=event.kind,
                payload=added.payload,
                created_at=event.created_at,
            )
        )
        return added


def _topic(user_id: str) -> str:
    return f"live:{user_id}"
