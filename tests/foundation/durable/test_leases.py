"""Leases: a row is worked on by one at a time, and whoever lost it is refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from jobs import add, jobs, results, tables
from sqlalchemy import ColumnElement, Row, update

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable.leases import backoff, claim, give_back, held
from cloudyard.testing.clock import ManualClock

LEASE = timedelta(seconds=60)


@pytest.fixture
async def work(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(empty_database_url)
    await database.run(tables.create_all)
    yield database
    await database.close()


async def claimed(
    database: Database, now: datetime, limit: int = 10, where: list[ColumnElement[bool]] | None = None
) -> list[Row[Any]]:
    async with database.transaction() as tx:
        return await claim(tx, jobs, now=now, lease=LEASE, limit=limit, where=where or [])


async def done(database: Database, row: Row[Any], result: str) -> bool:
    async with database.transaction() as tx:
        return await give_back(tx, jobs, row, result=result)


async def test_due_rows_are_claimed_earliest_first(work: Database, clock: ManualClock) -> None:
    now = clock.now()
    await add(work, (1, now), (2, now - timedelta(seconds=9)), (3, now + timedelta(seconds=9)), (4, now))
    assert [row.id for row in await claimed(work, now, limit=2)] == [2, 1]
    assert [row.id for row in await claimed(work, now)] == [4]
    assert await claimed(work, now) == []
    assert [row.id for row in await claimed(work, now + timedelta(seconds=9))] == [3]


async def test_a_claim_numbers_the_lease_and_counts_the_attempt(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    (row,) = await claimed(work, clock.now())
    assert (row.epoch, row.attempts, row.lease_until) == (1, 1, clock.now() + LEASE)


async def test_only_rows_that_are_asked_for(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()), kind="a")
    await add(work, (2, clock.now()), kind="b")
    assert [row.id for row in await claimed(work, clock.now(), where=[jobs.c.kind == "b"])] == [2]


async def test_a_result_is_written_once_and_ends_the_lease(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    (row,) = await claimed(work, clock.now())
    assert await done(work, row, "done")
    assert await results(work) == {1: "done"}
    assert [again.id for again in await claimed(work, clock.now())] == [1]


async def test_a_killed_workers_row_comes_due_again_when_the_lease_ends(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    await claimed(work, clock.now())
    assert await claimed(work, clock.now() + LEASE) == []
    (row,) = await claimed(work, clock.now() + LEASE + timedelta(seconds=1))
    assert (row.epoch, row.attempts) == (2, 2)


async def test_who_lost_the_lease_is_refused(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    (slow,) = await claimed(work, clock.now())
    (quick,) = await claimed(work, clock.now() + LEASE * 2)
    assert not await done(work, slow, "slow")
    assert await results(work) == {1: None}
    assert await done(work, quick, "quick")
    assert not await done(work, slow, "slow")
    assert await results(work) == {1: "quick"}


async def test_a_guarded_write_of_ones_own_choosing(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    (slow,) = await claimed(work, clock.now())
    await claimed(work, clock.now() + LEASE * 2)
    async with work.transaction() as tx:
        outcome = await tx.execute(update(jobs).where(held(jobs, slow)).values(result="slow"))
    assert outcome.rowcount == 0


async def test_workers_at_the_same_moment_never_share_a_row(
    work: Database, empty_database_url: str, clock: ManualClock
) -> None:
    """Twelve workers in two processes' worth of connections."""
    other = Database(empty_database_url)
    await add(work, *((number, clock.now()) for number in range(60)))
    claims = [claimed(database, clock.now(), limit=5) for database in (work, other) for _ in range(6)]
    taken = [row.id for rows in await asyncio.gather(*claims) for row in rows]
    assert len(taken) == len(set(taken))
    while rows := await claimed(other, clock.now(), limit=7):
        taken.extend(row.id for row in rows)
    assert sorted(taken) == list(range(60))
    await other.close()


async def test_a_claim_that_is_rolled_back_is_free_at_once(work: Database, clock: ManualClock) -> None:
    await add(work, (1, clock.now()))
    with pytest.raises(RuntimeError):
        async with work.transaction() as tx:
            assert await claim(tx, jobs, now=clock.now(), lease=LEASE, limit=1)
            raise RuntimeError
    (row,) = await claimed(work, clock.now())
    assert row.epoch == 1


def test_the_pause_doubles_up_to_its_limit() -> None:
    pauses = [backoff(attempts, first=2, largest=30).total_seconds() for attempts in range(1, 7)]
    assert pauses == [2, 4, 8, 16, 30, 30]
    assert backoff(10_000, largest=300) == timedelta(seconds=300)
