"""Webhooks over each database, with a real receiver on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.webhooks import Receiver, WebhookParts, running_receiver, webhook_parts

Tell = Callable[..., Awaitable[None]]


@pytest.fixture
def clock() -> ManualClock:
    """Begins now: verifiers refuse what is older than some minutes."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def parts(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox) -> AsyncIterator[WebhookParts]:
    parts = webhook_parts(database, clock, ids, outbox, timeout_seconds=1.0)
    yield parts
    await parts.sender.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def tell(database: Database, outbox: Outbox) -> Tell:
    """Emits a `user.updated` event for each number, about one user unless another is named."""

    async def emit(*numbers: int, user: str = "u1", kind: str = "user.updated") -> None:
        async with database.transaction() as tx:
            events = (Event(kind, f"user:{user}", {"user_id": user, "number": number}) for number in numbers)
            await outbox.emit(tx, *events)

    return emit
