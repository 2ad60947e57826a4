"""What writes deliveries: events of the outbox, one row for each endpoint that wants them. And what forgets them."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from cloudyard.domains.webhooks.events import EVENTS, data_of
from cloudyard.domains.webhooks.models import webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.wakening import Wakening
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, GroupCommit
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Delivered, Schedule
from cloudyard.foundation.money import CreditRate

ENDED_KEPT = timedelta(days=30)
PRUNED_EVERY = timedelta(hours=1)


class WebhookConsumer:
    """Hears of events and writes what is to be delivered. An event that comes twice is written once."""

    name = "webhooks"
    kinds = frozenset(EVENTS)

    def __init__(self, database: Database, clock: Clock, rate: CreditRate, wakening: Wakening) -> None:
        self._clock = clock
        self._rate = rate
        self._wakening = wakening
        self._group: GroupCommit[Delivered, None] = GroupCommit(database, self._write)

    async def handle(self, event: Delivered) -> None:
        """Write a delivery for every active endpoint that wants the event; events that come together share a commit."""
        await self._group.submit(event)
        self._wakening.wake()

    def _write(self, connection: Connection, events: Sequence[Delivered]) -> Sequence[None]:
        table = webhook_endpoints
        active = connection.execute(select(table.c.id, table.c.events).where(table.c.active)).all()
        rows = [
            {"endpoint_id": endpoint.id, **self._values(event)}
            for event in events
            for endpoint in active
            if event.kind in endpoint.events
        ]
        if rows:
            connection.execute(insert_or_ignore(connection.dialect.name, webhook_deliveries), rows)
        return [None] * len(events)

    def _values(self, event: Delivered) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "event_id": event_id(event),
            "event_type": event.kind,
            "occurred_at": event.created_at,
            "data": data_of(event.payload, self._rate),
            "lane": event.subject,
            "state": "pending",
            "created_at": now,
            "due_at": now,
        }


class DeliveryLogPruner:
    """Forgets deliveries that ended thirty days ago."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def schedule(self) -> Schedule:
        """Once an hour."""
        return Schedule("webhooks.prune", PRUNED_EVERY, self.run)

    async def run(self) -> None:
        """Forget them now."""
        past = webhook_deliveries.c.ended_at < self._clock.now() - ENDED_KEPT
        async with self._database.transaction() as tx:
            await tx.execute(delete(webhook_deliveries).where(past))


def event_id(event: Delivered) -> str:
    """An id that is always the same for an event, and never that of another: the outbox may use a number again."""
    named = f"{event.id}\n{event.created_at.isoformat()}\n{event.kind}\n{event.subject}"
    return "evt_" + hashlib.sha256(named.encode()).hexdigest()[:32]
