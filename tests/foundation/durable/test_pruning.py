"""Many rows are deleted in many short transactions."""

import asyncio
from datetime import timedelta

from sqlalchemy import event, insert, select, update
from sqlalchemy.engine import Engine

from cloudyard.domains.live.models import live_events
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import delete_in_batches
from cloudyard.foundation.durable.outbox import outbox_events
from cloudyard.testing.clock import ManualClock

LONG_ENOUGH_SECONDS = 0.2
"""Until a deletion waits for the row. Were it later, it would only see less."""


async def test_what_matches_is_deleted_a_few_at_a_time(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    rows = [
        {"kind": "k", "subject": "s", "payload": {}, "created_at": now + timedelta(seconds=number)}
        for number in range(9)
    ]
    async with database.transaction() as tx:
        await tx.execute(insert(outbox_events), rows)
    commits: list[Engine] = []
    async with database.transaction() as tx:
        engine = tx._connection.sync_connection.engine  # type: ignore[union-attr]
    event.listen(engine, "commit", commits.append)
    old = outbox_events.c.created_at < now + timedelta(seconds=7)
    assert await delete_in_batches(database, outbox_events, old, batch=3) == 7
    assert len(commits) == 3
    assert await delete_in_batches(database, outbox_events, old, batch=3) == 0
    async with database.reading() as tx:
        assert len(await tx.all(select(outbox_events.c.id))) == 2


async def test_a_key_of_several_columns(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    rows = [
        {"user_id": user, "number": number, "event_id": number, "kind": "k", "payload": {}, "created_at": now}
        for user in ("ann", "ben")
        for number in range(5)
    ]
    async with database.transaction() as tx:
        await tx.execute(insert(live_events), rows)
    assert await delete_in_batches(database, live_events, live_events.c.number > 1, batch=2) == 6
    async with database.reading() as tx:
        left = await tx.all(select(live_events.c.user_id, live_events.c.number).order_by(*live_events.primary_key))
    assert [tuple(row) for row in left] == [("ann", 0), ("ann", 1), ("ben", 0), ("ben", 1)]


async def test_a_row_that_is_changed_meanwhile_is_spared(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    row = {"kind": "k", "subject": "s", "payload": {}, "created_at": now}
    async with database.transaction() as tx:
        await tx.execute(insert(outbox_events), [row])
    old = outbox_events.c.created_at < now + timedelta(seconds=7)
    async with database.transaction() as tx:
        await tx.execute(update(outbox_events).values(created_at=now + timedelta(days=1)))
        deleting = asyncio.create_task(delete_in_batches(database, outbox_events, old))
        await asyncio.sleep(LONG_ENOUGH_SECONDS)
    assert await deleting == 0
