"""Settlements that the database refused: made up for when it is back, and given up in the end."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from cloudyard.domains.billing import Charge, Meter, Price, Usage
from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import HOLD_LIFE, Books, open_books

CREDIT, HELD, USED = 1000, 50, 30
USAGE = Usage({Meter.CALL: 3})
LIFE = HOLD_LIFE.total_seconds()

Outage = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
async def books(database_url: str, clock: ManualClock, ids: SystemIds) -> AsyncIterator[Books]:
    """Over a database that does not wait long for others."""
    database = Database(database_url, busy_timeout_ms=20)
    yield open_books(database, clock, ids)
    await database.close()


@pytest.fixture
def outage(database_url: str) -> Outage:
    """A time in which the database cannot be written to, on each engine in turn."""
    return lambda: _locked(database_url) if database_url.startswith("sqlite") else _gone(database_url)


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator[None]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def _gone(url: str) -> AsyncIterator[None]:
    """Under another name for as long as it takes."""
    server, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await connection.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_gone"')
        try:
            yield
        finally:
            await connection.execute(f'ALTER DATABASE "{name}_gone" RENAME TO "{name}"')
    finally:
        await connection.close()


@pytest.fixture
async def price(books: Books) -> Price:
    return await books.price(10)


@pytest.fixture
async def user(books: Books) -> str:
    return await books.user(CREDIT)


@pytest.fixture
async def charge(books: Books, user: str, price: Price) -> Charge:
    return await books.open(user, price, {Meter.CALL: 5})


async def balances(books: Books, user: str) -> tuple[int, int]:
    wallet = await books.wallet(user)
    return wallet.available, wallet.held


async def hold(books: Books, charge: Charge) -> Any:
    async with books.database.reading() as tx:
        return await tx.first(select(holds).where(holds.c.id == charge.hold_id))


async def attempted(clock: ManualClock, done: Callable[[], bool], *, step: float) -> None:
    """Let time go by until it is done."""
    async with asyncio.timeout(60):
        while not done():
            clock.advance(step)
            await asyncio.sleep(0.002)


def _settling(charge: Charge) -> bool:
    return f"settle {charge.hold_id}" in {task.get_name() for task in asyncio.all_tasks()}


async def refused(books: Books, charge: Charge) -> None:
    """A settlement that the database refuses, left to be made later."""
    with pytest.raises(DatabaseUnavailable):
        await books.charges.settle(charge, USAGE)
    books.charges.settle_later(charge, USAGE)
    assert books.charges.running == 1


async def test_it_is_made_once_when_the_database_is_back(
    books: Books, user: str, charge: Charge, clock: ManualClock, outage: Outage
) -> None:
    async with outage():
        await refused(books, charge)
        for _ in range(50):
            clock.advance(0.2)
            await asyncio.sleep(0.002)
        assert books.charges.running == 1
    assert await balances(books, user) == (CREDIT - HELD, HELD)
    await attempted(clock, lambda: books.charges.running == 0, step=1)
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert [record.amount for record in await books.billing.usage(user, limit=9)] == [USED]
    clock.advance(2 * LIFE)
    assert await books.charges.release_expired() == 0
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert await books.discrepancies() == []


async def test_what_belongs_to_it_is_written_with_it(
    books: Books, user: str, charge: Charge, clock: ManualClock, outage: Outage
) -> None:
    written: list[int] = []
    async with outage():
        with pytest.raises(DatabaseUnavailable):
            await books.charges.settle(charge, USAGE, also=(lambda _: written.append(1),))
        books.charges.settle_later(charge, USAGE, also=(lambda _: written.append(2),))
    await attempted(clock, lambda: books.charges.running == 0, step=1)
    assert written == [2]


async def test_meanwhile_its_hold_is_kept(books: Books, charge: Charge, clock: ManualClock, outage: Outage) -> None:
    async with outage():
        await refused(books, charge)
    clock.advance(0.5)  # the next attempt is due after a whole second
    await books.charges.extend_running()
    found = await hold(books, charge)
    assert (found.state, found.expires_at) == ("open", clock.now() + HOLD_LIFE)


async def test_after_the_last_attempt_it_is_given_up_and_the_hold_expires(
    books: Books, user: str, charge: Charge, clock: ManualClock, outage: Outage
) -> None:
    async with outage():
        await refused(books, charge)
        await attempted(clock, lambda: books.charges.running == 0, step=60)
    assert (await hold(books, charge)).state == "open"
    await books.charges.extend_running()
    assert await books.charges.release_expired() == 1
    assert (await hold(books, charge)).state == "expired"
    assert await balances(books, user) == (CREDIT, 0)
    assert await books.billing.usage(user, limit=9) == []
    assert await books.discrepancies() == []


async def test_an_outage_may_last_longer_than_a_hold(
    books: Books, user: str, charge: Charge, clock: ManualClock, outage: Outage
) -> None:
    """Once it is over, the schedule that gives expired holds back may come before the next attempt."""
    async with outage():
        await refused(books, charge)
        await attempted(clock, lambda: clock.monotonic() > LIFE + 30, step=1)
    assert books.charges.running == 1
    assert await books.charges.release_expired() == 0
    await attempted(clock, lambda: books.charges.running == 0, step=1)
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert await books.discrepancies() == []


async def test_a_hold_that_is_gone_is_not_settled_any_more(
    books: Books, user: str, charge: Charge, clock: ManualClock
) -> None:
    await books.charges.release(charge, "Not served")
    with capture_logs() as logs:
        books.charges.settle_later(charge, USAGE)
        await attempted(clock, lambda: bool(logs), step=1)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("late settlement refused", "error")]
    assert await balances(books, user) == (CREDIT, 0)
    assert await books.discrepancies() == []


async def test_an_attempt_that_had_arrived_all_the_same_is_no_error(
    books: Books, user: str, charge: Charge, clock: ManualClock
) -> None:
    """The connection broke during its commit, so nobody knew."""
    await books.charges.settle(charge, USAGE)
    with capture_logs() as logs:
        books.charges.settle_later(charge, USAGE)
        await attempted(clock, lambda: not _settling(charge), step=1)
    assert logs == []
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert [record.amount for record in await books.billing.usage(user, limit=9)] == [USED]


async def test_shutdown_waits_for_what_is_open(
    books: Books, user: str, price: Price, charge: Charge, clock: ManualClock, outage: Outage
) -> None:
    """One charge is settled late, the other by its call."""
    other = await books.open(user, price)
    async with outage():
        with pytest.raises(DatabaseUnavailable):
            await books.charges.settle(charge, USAGE)
        books.charges.settle_later(charge, USAGE)
        ended = asyncio.create_task(books.charges.ended(LIFE))
        for _ in range(50):
            clock.advance(0.2)
            await asyncio.sleep(0.002)
        assert (ended.done(), books.charges.running) == (False, 2)
    await attempted(clock, lambda: books.charges.running == 1, step=1)
    assert not ended.done()
    await books.charges.release(other, "Not served")
    await attempted(clock, ended.done, step=0.1)
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert await books.discrepancies() == []


async def test_shutdown_waits_no_longer_than_it_was_told(books: Books, charge: Charge, clock: ManualClock) -> None:
    ended = asyncio.create_task(books.charges.ended(5))
    await attempted(clock, ended.done, step=1)
    assert books.charges.running == 1
