"""A process killed at each point of a charge: the books are right, and no credit is lost or charged twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloudyard.domains.billing import Payer, Price
from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import HOLD_LIFE, Books, open_books

PROGRAM = Path(__file__).with_name("charge_process.py")
LOOP = Path(__file__).with_name("charging_loop.py")
CREDIT, HELD, USED = 1000, 50, 30


@pytest.fixture
def clock() -> ManualClock:
    """Begins now, since the other process lives in real time."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def books(database_url: str, clock: ManualClock, ids: SystemIds) -> AsyncIterator[Books]:
    database = Database(database_url)
    yield open_books(database, clock, ids)
    await database.close()


async def charge_in_a_process(url: str, user: str, price: Price, how: str, crash_at: str | None) -> int:
    """Its exit status."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if crash_at is not None:
        environment[VARIABLE] = crash_at
    command = [sys.executable, str(PROGRAM), url, user, price.sku, how]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    return await process.wait()


async def only_hold(books: Books) -> Any:
    async with books.database.reading() as tx:
        (row,) = await tx.all(select(holds))
    return row


async def balances(books: Books, user: str) -> tuple[int, int]:
    wallet = await books.wallet(user)
    return wallet.available, wallet.held


@pytest.mark.parametrize(
    ("point", "how"),
    [("charge.held", "settle"), ("charge.before_settle", "settle"), ("charge.before_release", "release")],
)
async def test_killed_before_its_end_a_charge_costs_nothing_once_its_hold_expires(
    books: Books, database_url: str, clock: ManualClock, point: str, how: str
) -> None:
    user, price = await books.user(CREDIT), await books.price(10)
    assert await charge_in_a_process(database_url, user, price, how, point) == -signal.SIGKILL
    assert await books.discrepancies() == []
    assert (await only_hold(books)).state == "open"
    assert await balances(books, user) == (CREDIT - HELD, HELD)
    assert await books.charges.release_expired() == 0

    clock.advance(HOLD_LIFE.total_seconds() + 60)
    assert await books.charges.release_expired() == 1
    assert (await only_hold(books)).state == "expired"
    assert await balances(books, user) == (CREDIT, 0)
    assert await books.billing.usage(user, limit=9) == []
    await books.charge(user, price, payer=Payer(user, "key", 1000))
    assert await books.discrepancies() == []


async def test_killed_after_its_end_a_charge_is_paid_once(books: Books, database_url: str, clock: ManualClock) -> None:
    user, price = await books.user(CREDIT), await books.price(10)
    assert await charge_in_a_process(database_url, user, price, "settle", "charge.settled") == -signal.SIGKILL
    clock.advance(HOLD_LIFE.total_seconds() + 60)
    assert await books.charges.release_expired() == 0
    row = await only_hold(books)
    assert (row.state, row.captured_nanos) == ("captured", USED)
    assert await balances(books, user) == (CREDIT - USED, 0)
    assert [record.amount for record in await books.billing.usage(user, limit=9)] == [USED]
    assert await books.discrepancies() == []


@pytest.mark.parametrize(("how", "cost"), [("settle", USED), ("release", 0)])
async def test_left_alone_the_same_process_ends_its_charge(
    books: Books, database_url: str, how: str, cost: int
) -> None:
    user, price = await books.user(CREDIT), await books.price(10)
    assert await charge_in_a_process(database_url, user, price, how, None) == 0
    assert await balances(books, user) == (CREDIT - cost, 0)
    assert await books.discrepancies() == []


async def test_killed_while_many_charge_nothing_is_lost(books: Books, database_url: str, clock: ManualClock) -> None:
    """Six processes charge one wallet; each dies at another point or not at all."""
    user, price = await books.user(CREDIT), await books.price(10)
    fates = ["charge.held", "charge.before_settle", "charge.settled", None, "charge.settled", "charge.held"]
    ended = await asyncio.gather(*(charge_in_a_process(database_url, user, price, "settle", fate) for fate in fates))
    assert ended == [0 if fate is None else -signal.SIGKILL for fate in fates]
    assert await balances(books, user) == (CREDIT - 3 * USED - 3 * HELD, 3 * HELD)
    assert await books.discrepancies() == []
    clock.advance(HOLD_LIFE.total_seconds() + 60)
    assert await books.charges.release_expired() == 3
    assert await balances(books, user) == (CREDIT - 3 * USED, 0)
    assert await books.discrepancies() == []


@pytest.mark.parametrize("charges", [1, 40, 250])
async def test_what_was_confirmed_survives_a_kill_at_any_moment(
    books: Books, database_url: str, clock: ManualClock, charges: int
) -> None:
    user, price = await books.user(100_000), await books.price(1)
    command = [sys.executable, str(LOOP), database_url, user, price.sku, "16"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    confirmed = [(await process.stdout.readline()).decode().strip() for _ in range(charges)]
    process.kill()
    rest, _ = await process.communicate()
    confirmed.extend(rest.decode().split("\n")[:-1])

    assert await books.discrepancies() == []
    clock.advance(HOLD_LIFE.total_seconds() + 60)
    await books.charges.release_expired()
    recorded = {record.hold_id for record in await books.billing.usage(user, limit=100_000)}
    assert recorded >= set(confirmed) and len(recorded) <= len(confirmed) + 16
    assert await balances(books, user) == (100_000 - len(recorded), 0)
    assert await books.discrepancies() == []
