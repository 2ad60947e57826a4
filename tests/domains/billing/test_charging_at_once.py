"""Many at once on one wallet: what it can pay for is served, to the last nano, and no more."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path

import pytest

from cloudyard.domains.billing import Meter, Payer, SpendCapReached, Usage
from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books

PROGRAM = Path(__file__).with_name("charging_process.py")
CALL = Meter.CALL


async def test_a_hundred_calls_on_a_wallet_that_pays_for_ten(books: Books) -> None:
    user, price = await books.user(1000), await books.price(100)
    outcomes = await asyncio.gather(*(books.open(user, price) for _ in range(100)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredits)]
    charges = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert (len(charges), len(refused)) == (10, 90)
    await asyncio.gather(*(books.charges.settle(charge, Usage({CALL: 1})) for charge in charges))
    wallet = await books.wallet(user)
    assert (wallet.available, wallet.held, books.charges.running) == (0, 0, 0)
    assert await books.discrepancies() == []


async def test_a_hundred_whole_calls_at_once(books: Books) -> None:
    """What the first give back pays for others."""
    user, price = await books.user(1000), await books.price(100)

    async def call() -> bool:
        try:
            await books.charge(user, price, {CALL: 1}, worst={CALL: 2})
        except InsufficientCredits:
            return False
        return True

    served = sum(await asyncio.gather(*(call() for _ in range(100))))
    wallet = await books.wallet(user)
    assert 5 <= served <= 10
    assert (wallet.available, wallet.held) == (1000 - served * 100, 0)
    assert len(await books.billing.usage(user, limit=100)) == served
    assert await books.discrepancies() == []


async def test_a_hundred_calls_on_a_key_that_may_spend_ten(books: Books) -> None:
    user, price = await books.user(100_000), await books.price(100)
    payer = Payer(user, "key", 1000)
    outcomes = await asyncio.gather(*(books.open(user, price, payer=payer) for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(outcome, SpendCapReached) for outcome in outcomes) == 90
    charges = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    await asyncio.gather(*(books.charges.settle(charge, Usage({CALL: 1})) for charge in charges))
    assert (await books.wallet(user)).available == 99_000
    with pytest.raises(SpendCapReached):
        await books.open(user, price, payer=payer)
    assert await books.discrepancies() == []


async def test_charges_adjustments_and_the_sweep_at_once(books: Books, database_url: str, clock: ManualClock) -> None:
    """Everything that touches a wallet, through two sets of connections."""
    elsewhere = Database(database_url)
    there = open_books(elsewhere, clock, books.ids)
    users = [await books.user(10_000) for _ in range(4)]
    price = await books.price(10)
    forgotten = [await books.open(user, price) for user in users]
    clock.advance(601)

    async def busy(each: Books, user: str) -> None:
        for _ in range(5):
            await each.charge(user, price, {CALL: 2}, worst={CALL: 3}, payer=Payer(user, user, 1000))
            await each.ledger.adjust(user, -7, reason="A little", actor=None)

    work = [busy(each, user) for each in (books, there) for user in users]
    released = await asyncio.gather(books.charges.release_expired(), there.charges.release_expired(), *work)
    assert released[0] + released[1] == len(forgotten)
    for user in users:
        wallet = await books.wallet(user)
        assert (wallet.available, wallet.held) == (10_000 - 2 * 5 * (20 + 7), 0)
    assert await books.discrepancies() == []
    await elsewhere.close()


async def started(url: str, user: str, key: str, cap: int, sku: str, calls: int, at_once: int) -> Process:
    arguments = [url, user, key, str(cap), sku, str(calls), str(at_once)]
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), *arguments, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def together(processes: list[Process]) -> Counter[str]:
    """Let them all charge at the same time; how many charges ended how."""
    ended = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * len(processes)
    return sum((Counter(json.loads(output)) for output, _ in ended), Counter())


async def test_two_processes_on_one_wallet(books: Books, database_url: str) -> None:
    user, price = await books.user(60), await books.price(1)
    outcome = await together([await started(database_url, user, "", 0, price.sku, 100, 8) for _ in range(2)])
    wallet = await books.wallet(user)
    assert set(outcome) == {"served", "insufficient_credits"}
    assert outcome.total() == 200
    assert (wallet.available, wallet.held) == (60 - outcome["served"], 0)
    assert 0 <= wallet.available <= 1
    assert len(await books.billing.usage(user, limit=1000)) == outcome["served"]
    assert await books.discrepancies() == []


async def test_two_processes_on_one_key(books: Books, database_url: str) -> None:
    user, price = await books.user(10_000), await books.price(1)
    processes = [await started(database_url, user, "key", 40, price.sku, 80, 8) for _ in range(2)]
    outcome = await together(processes)
    assert set(outcome) == {"served", "spend_cap_reached"}
    assert 39 <= outcome["served"] <= 40
    assert (await books.wallet(user)).available == 10_000 - outcome["served"]
    assert await books.discrepancies() == []


async def test_two_processes_on_wallets_in_a_different_order(books: Books, database_url: str) -> None:
    """Four processes, two wallets each in common: nobody waits for ever, and nothing is lost."""
    users = [await books.user(1000) for _ in range(2)]
    price = await books.price(1)
    processes = [await started(database_url, users[n % 2], "", 0, price.sku, 60, 12) for n in range(4)]
    outcome = await together(processes)
    assert outcome == {"served": 240}
    assert [(await books.wallet(user)).available for user in users] == [880, 880]
    assert await books.discrepancies() == []
