"""The outbox: a fact is written in the transaction that made it true and delivered afterwards.

Delivery is at least once, and in order for each subject and consumer. A failing delivery is retried with
back-off and holds back only later events of its own subject.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Protocol

import structlog
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    exists,
    insert,
    select,
)

from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.database import Database, Transaction, UtcDateTime, metadata
from cloudyard.foundation.durable.failures import described
from cloudyard.foundation.durable.leases import NOW, backoff, claim, claimable, give_back, held, lease_columns
from cloudyard.foundation.durable.pruning import delete_in_batches

log = structlog.get_logger(__name__)

RowId = BigInteger().with_variant(Integer, "sqlite")
LEASE = timedelta(seconds=60)
BATCH = 50
ATTEMPTS_BEFORE_DEAD = 20

outbox_events = Table(
    "outbox_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("kind", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

outbox_deliveries = Table(
    "outbox_deliveries",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", RowId, ForeignKey("outbox_events.id", ondelete="CASCADE"), nullable=False),
    Column("consumer", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("state", String(16), nullable=False, default="pending"),
    Column("last_error", Text),
    *lease_columns(),
    Index("ix_outbox_deliveries_order", "consumer", "subject", "event_id"),
)


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to report. `subject` is what it is about, and orders it: `user:<id>`, `task:<id>`, ..."""

    kind: str
    subject: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event as a consumer gets it. `id` is stable over repeated deliveries."""

    id: int
    kind: str
    subject: str
    payload: Mapping[str, Any]
    created_at: datetime


class Consumer(Protocol):
    """Something that wants to hear of events. `handle` must bear being called twice with the same event."""

    @property
    def name(self) -> str:
        """Stable name; deliveries are stored under it."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of event it wants."""
        ...

    async def handle(self, event: Delivered) -> None:
        """Act on an event; raising means that it is delivered again later."""
        ...


class Outbox:
    """Writes events. An event that no consumer wants is not stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._consumers: dict[str, Consumer] = {}
        self._woken: dict[str, asyncio.Event] = {}

    def subscribe(self, consumer: Consumer) -> None:
        """Register a consumer (at wiring, before anything is emitted)."""
        self._consumers[consumer.name] = consumer
        self._woken[consumer.name] = asyncio.Event()

    @property
    def consumers(self) -> Mapping[str, Consumer]:
        """The registered consumers, by name."""
        return self._consumers

    async def emit(self, tx: Transaction, *events: Event) -> None:
        """Write events in the transaction of the change that they report.

        Emit after the statement that changes (and so locks) the row: then events of one subject have the order of
        their changes.
        """
        for event in events:
            wanted_by = [c.name for c in self._consumers.values() if event.kind in c.kinds]
            if wanted_by:
                await self._write(tx, event, wanted_by)

    async def _write(self, tx: Transaction, event: Event, wanted_by: Sequence[str]) -> None:
        now = self._clock.now()
        row = insert(outbox_events).values(
            kind=event.kind, subject=event.subject, payload=dict(event.payload), created_at=now
        )
        event_id = (await tx.execute(row.returning(outbox_events.c.id))).scalar_one()
        await tx.execute(
            insert(outbox_deliveries),
            [{"event_id": event_id, "consumer": name, "subject": event.subject, "due_at": now} for name in wanted_by],
        )
        for name in wanted_by:
            tx.after_commit(self._woken[name].set)

    def wake(self, consumer: str) -> None:
        """Have the consumer's loop look for what is due."""
        self._woken[consumer].set()

    async def wait(self, consumer: str) -> None:
        """Return when an event for the consumer was committed here, or when it was woken."""
        woken = self._woken[consumer]
        await woken.wait()
        woken.clear()


class Dispatcher:
    """Delivers what the outbox holds. Any number of processes may run one.

    A delivery waits for a process that has its consumer registered.
    """

    def __init__(self, database: Database, outbox: Outbox, clock: Clock, *, poll_seconds: float = 1.0) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._poll_seconds = poll_seconds

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """A loop for each consumer, by name, so that a slow one holds up no other; and one that looks for them all."""
        of_consumers = {f"outbox.{name}": partial(self.run, name) for name in self._outbox.consumers}
        return {"outbox": self.look, **of_consumers}

    async def look(self) -> None:
        """Wake those for whom something is due, for ever: it is tried again, or another process wrote it."""
        while True:
            for consumer in await self._due():
                self._outbox.wake(consumer)
            await self._clock.sleep(until_beat(self._clock, self._poll_seconds))

    async def run(self, consumer: str) -> None:
        """Deliver to one consumer for ever."""
        while True:
            if await self.deliver_due(consumer) == 0:
                await self._outbox.wait(consumer)

    async def deliver_due(self, *consumers: str) -> int:
        """Deliver one batch of what is due, to these consumers or to all; the number of deliveries tried."""
        where = _waiting(consumers or self._outbox.consumers)
        async with self._database.transaction() as tx:
            rows = await claim(tx, outbox_deliveries, now=self._clock.now(), lease=LEASE, limit=BATCH, where=where)
            events = await _events(tx, rows)
        deliveries = (self._deliver(row, events[row.event_id]) for row in rows)
        ended = await asyncio.gather(*deliveries, return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure
        return len(rows)

    async def prune(self, older_than: timedelta) -> None:
        """Forget events that everyone has got and that are older than the given age."""
        undelivered = exists().where(outbox_deliveries.c.event_id == outbox_events.c.id)
        old = outbox_events.c.created_at < self._clock.now() - older_than
        await delete_in_batches(self._database, outbox_events, old, ~undelivered)

    async def _due(self) -> list[str]:
        """Consumers of this process for whom something is due."""
        if not self._outbox.consumers:
            return []
        query, at = self._what_is_due, {"now": self._clock.now()}
        found = await self._database.glance(lambda connection: connection.execute(query, at).one())
        return [name for name, is_due in found._mapping.items() if is_due]

    @cached_property
    def _what_is_due(self) -> Select[Any]:
        """For each consumer, by its name, whether something is due `NOW`."""
        due = claimable(outbox_deliveries, NOW)
        of_each: list[Any] = [exists().where(*due, *_waiting([name])).label(name) for name in self._outbox.consumers]
        return select(*of_each)

    async def _deliver(self, row: Row[Any], event: Delivered) -> None:
        try:
            await self._outbox.consumers[row.consumer].handle(event)
        except Exception as error:  # noqa: BLE001 - a consumer may fail in any way; the delivery is retried
            log.warning("delivery failed", consumer=row.consumer, kind=event.kind, error=str(error))
            await self._failed(row, error)
        else:
            async with self._database.transaction() as tx:
                await tx.execute(delete(outbox_deliveries).where(held(outbox_deliveries, row)))

    async def _failed(self, row: Row[Any], error: Exception) -> None:
        state = "dead" if row.attempts >= ATTEMPTS_BEFORE_DEAD else "pending"
        due_at = self._clock.now() + backoff(row.attempts)
        async with self._database.transaction() as tx:
            await give_back(
                tx,
                outbox_deliveries,
                row,
                state=state,
                due_at=due_at,
                last_error=described(error),
            )


def _waiting(consumers: Iterable[str]) -> list[Any]:
    """Deliveries to these consumers that no other has to go before."""
    table = outbox_deliveries
    return [table.c.consumer.in_(sorted(consumers)), table.c.state == "pending", _first_of_its_subject()]


def _first_of_its_subject() -> Any:
    earlier = outbox_deliveries.alias("earlier")
    return ~exists().where(
        earlier.c.consumer == outbox_deliveries.c.consumer,
        earlier.c.subject == outbox_deliveries.c.subject,
        earlier.c.event_id < outbox_deliveries.c.event_id,
        earlier.c.state == "pending",
    )


async def _events(tx: Transaction, rows: Sequence[Row[Any]]) -> dict[int, Delivered]:
    ids = {row.event_id for row in rows}
    if not ids:
        return {}
    found = await tx.all(select(outbox_events).where(outbox_events.c.id.in_(ids)))
    return {e.id: Delivered(e.id, e.kind, e.subject, e.payload, e.created_at) for e in found}
