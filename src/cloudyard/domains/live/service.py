"""What happens to a user, as it happens: kept for a while, so that whoever was away can go on where it stopped."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from cloudyard.domains.live.models import live_events, live_feeds, live_followers
from cloudyard.domains.live.records import LiveEvent
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Delivered, delete_in_batches
from cloudyard.foundation.fan_out import FanOut

KEPT_FOR = timedelta(days=1)
AT_ONCE = 200
LOOK_SECONDS = 30.0
NOTED_AGAIN = timedelta(hours=1)
"""How old the note may be that somebody follows."""

Added = tuple[str, LiveEvent]
"""An event that was written, and whose it is."""

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

    async def add_all(self, tx: Transaction, events: Sequence[Delivered], users: Sequence[str]) -> Sequence[Added]:
        """Write events into the feed of the user that stands at the same place, whoever else writes there; none of
        them may be known. `publish` what comes back once this has been committed.
        """
        added: list[Added] = []
        rows: list[dict[str, Any]] = []
        for user_id in sorted(set(users)):  # in one order everywhere, so that no two wait for each other
            mine = [event for event, user in zip(events, users, strict=True) if user == user_id]
            first = await _numbered(tx, user_id, len(mine)) - len(mine) + 1
            for number, event in enumerate(mine, start=first):
                live = LiveEvent(number, event.kind, dict(event.payload), event.created_at)
                added.append((user_id, live))
                rows.append(_row(user_id, event.id, live))
        if rows:
            await tx.execute(insert(live_events), rows)
        return added

    async def publish(self, added: Sequence[Added]) -> None:
        """Tell whoever follows of events that were written."""
        for user_id, event in added:
            await self._fan_out.publish(_topic(user_id), _encode(event))

    async def join(self, user_id: str) -> None:
        """Note that somebody follows, for a day."""
        now, table = self._clock.now(), live_followers
        mine = table.c.user_id == user_id
        async with self._database.reading() as tx:
            until = await tx.scalar(select(table.c.until).where(mine))
        if until is not None and until > now + KEPT_FOR - NOTED_AGAIN:
            return
        async with self._database.transaction() as tx:
            await tx.execute(delete(table).where(mine, table.c.until <= now))
            await tx.execute(insert_or_ignore(tx.dialect, table).values(user_id=user_id, since=now, until=now))
            await tx.execute(update(table).where(mine).values(until=now + KEPT_FOR))

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
        noted = self._clock.now()
        async with self._fan_out.listen(_topic(user_id)) as listener:
            async with aclosing(self._kept(user_id, after)) as kept:
                async for event in kept:
                    after = event.number
                    yield event
            while True:
                message = await listener.next(LOOK_SECONDS)
                told = _decode(message) if message else None
                if self._clock.now() >= noted + NOTED_AGAIN:
                    await self.join(user_id)
                    noted = self._clock.now()
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
        """Forget what is older than a day, and who has not followed for one."""
        now = self._clock.now()
        await delete_in_batches(self._database, live_events, live_events.c.created_at < now - KEPT_FOR)
        await delete_in_batches(self._database, live_followers, live_followers.c.until < now)

    async def _kept(self, user_id: str, after: int) -> AsyncGenerator[LiveEvent, None]:
        while events := await self.after(user_id, after):
            for event in events:
                after = event.number
                yield event

    async def _add(
        self, tx: Transaction, user_id: str, event: Delivered, payload: Mapping[str, Any]
    ) -> LiveEvent | None:
        number = await _numbered(tx, user_id, 1)
        known = select(live_events.c.number).where(live_events.c.event_id == event.id, live_events.c.user_id == user_id)
        if await tx.scalar(known) is not None:
            unused = update(live_feeds).where(live_feeds.c.user_id == user_id).values(newest=number - 1)
            await tx.execute(unused)
            return None
        added = LiveEvent(number, event.kind, dict(payload), event.created_at)
        await tx.execute(insert(live_events).values(_row(user_id, event.id, added)))
        return added


async def _numbered(tx: Transaction, user_id: str, count: int) -> int:
    """Take so many numbers of a user's feed, which stays locked; the last of them."""
    await tx.execute(insert_or_ignore(tx.dialect, live_feeds).values(user_id=user_id, newest=0))
    taken = update(live_feeds).where(live_feeds.c.user_id == user_id).values(newest=live_feeds.c.newest + count)
    return int((await tx.execute(taken.returning(live_feeds.c.newest))).scalar_one())


def _row(user_id: str, event_id: int, event: LiveEvent) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "number": event.number,
        "event_id": event_id,
        "kind": event.kind,
        "payload": event.payload,
        "created_at": event.created_at,
    }


def _topic(user_id: str) -> str:
    return f"live:{user_id}"
