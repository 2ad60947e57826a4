"""Work that survives a crash: outbox events, leased rows, schedules, idempotency keys."""

from cloudyard.foundation.durable.background import BackgroundWork, Loop, every, to_its_end
from cloudyard.foundation.durable.idempotency import IdempotencyKeys, StoredAnswer
from cloudyard.foundation.durable.outbox import Consumer, Delivered, Dispatcher, Event, Outbox
from cloudyard.foundation.durable.pruning import delete_in_batches
from cloudyard.foundation.durable.schedules import Schedule, Scheduler

__all__ = [
    "BackgroundWork",
    "Consumer",
    "Delivered",
    "Dispatcher",
    "Event",
    "IdempotencyKeys",
    "Loop",
    "Outbox",
    "Schedule",
    "Scheduler",
    "StoredAnswer",
    "delete_in_batches",
    "every",
    "to_its_end",
]
