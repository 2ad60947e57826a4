"""What writes deliveries: events of the outbox, one row for each endpoint that wants them. And what forgets them."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from cloudyard.domains.webhooks import repository
from cloudyard.domains.webhooks.events import CREDIT_USED, EVENTS, data_of
from cloudyard.domains.webhooks.models import webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.wakening import Wakening
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, GroupCommit, Transaction, at_once
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Delivered, Schedule, delete_in_batches
from cloudyard.foundation.money import CreditRate

ENDED_KEPT = timedelta(days=30)
PRUNED_EVERY = timedelta(hours=1)
WANTED = select(webhook_endpoints.c.events, webhook_endpoints.c.updated_at).where(webhook_endpoints.c.active)


class DeliveryRows:
    """Writes what is to be delivered."""

    def __init__(self, clock: Clock, rate: CreditRate) -> None:
        self._clock = clock
        self._rate = rate

    def write(self, connection: Connection, events: Sequence[Delivered]) -> None:
        """Write a delivery of each event for every active endpoint that wants it, once however often this is done.

        Those behind an earlier one of their lane are not due: whoever ends that one makes the next one due. So the
        endpoints stay locked against that, in the order in which everybody locks them.
        """
        table = webhook_endpoints
        query = select(table.c.id, table.c.events).where(table.c.active).order_by(table.c.id)
        active = connection.execute(query.with_for_update(read=True, key_share=True)).all()
        rows = [
            {"endpoint_id": endpoint.id, **self._values(event)}
            for event in events
            for endpoint in active
            if event.kind in endpoint.events
        ]
        if rows:
            connection.execute(insert_or_ignore(connection.dialect.name, webhook_deliveries), rows)
            lanes = sorted({(row["endpoint_id"], row["lane"]) for row in rows})
            connection.execute(repository.first_made_due(self._clock.now()), repository.lanes_to_look_at(lanes))

    def _values(self, event: Delivered) -> dict[str, Any]:
        return {
            "event_id": event_id(event),
            "event_type": event.kind,
            "occurred_at": event.created_at,
            "data": data_of(event.payload, self._rate),
            "lane": event.subject,
            "state": "pending",
            "created_at": self._clock.now(),
            "due_at": repository.NEVER,
        }


class WebhookConsumer:
    """Hears of events and writes what is to be delivered. An event that comes twice is written once."""

    name = "webhooks"
    kinds = frozenset(EVENTS) - {CREDIT_USED}  # of which the usage feed tells

    def __init__(self, database: Database, rows: DeliveryRows, wakening: Wakening) -> None:
        self._rows = rows
        self._wakening = wakening
        self._group: GroupCommit[Delivered, None] = GroupCommit(database, at_once(self._write))

    async def handle(self, event: Delivered) -> None:
        """Write a delivery for every active endpoint that wants the event; events that come together share a commit."""
        await self._group.submit(event)
        self._wakening.wake()

    def _write(self, connection: Connection, events: Sequence[Delivered]) -> Sequence[None]:
        self._rows.write(connection, events)
        return [None] * len(events)


class UsageWebhooks:
    """Those who have `credit.used` posted to them, as an audience of the usage feed."""

    name = "webhooks"

    def __init__(self, rows: DeliveryRows, wakening: Wakening) -> None:
        self._rows = rows
        self._wakening = wakening

    def since(self, connection: Connection) -> datetime | None:
        """When the first of the active endpoints that want it was changed last; None where none wants it."""
        active = connection.execute(WANTED)
        return min((row.updated_at for row in active if CREDIT_USED in row.events), default=None)

    async def take(self, tx: Transaction, used: Sequence[Delivered]) -> Callable[[], Awaitable[None]]:
        """Write a delivery of each charge for every active endpoint that wants it."""
        await tx.run_sync(lambda connection: self._rows.write(connection, used))
        return self._wake

    async def _wake(self) -> None:
        self._wakening.wake()


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
        await delete_in_batches(self._database, webhook_deliveries, past)


def event_id(event: Delivered) -> str:
    """An id that is always the same for an event, and never that of another: the outbox may use a number again."""
    named = f"{event.id}\n{event.created_at.isoformat()}\n{event.kind}\n{event.subject}"
    return "evt_" + hashlib.sha256(named.encode()).hexdigest()[:32]
