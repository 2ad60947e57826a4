"""Welcome credits: once, even for a registration that was cut off."""

import asyncio

from cloudyard.domains.billing import WelcomeConsumer
from cloudyard.domains.ledger import EntryKind
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Dispatcher, Event, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import WELCOME_CREDITS, Books, open_books


async def test_a_user_is_welcomed_once(books: Books) -> None:
    await asyncio.gather(*(books.billing.welcome("ada") for _ in range(5)))
    assert (await books.wallet("ada")).available == books.rate.nanos(WELCOME_CREDITS)
    ((line,), total) = await books.ledger.history("ada", limit=5)
    assert (line.kind, total) == (EntryKind.BONUS, 1)
    assert await books.discrepancies() == []


async def test_without_welcome_credits_nothing_is_written(
    database: Database, clock: ManualClock, ids: SystemIds
) -> None:
    books = open_books(database, clock, ids, welcome_credits=0)
    await books.billing.welcome("ada")
    assert (await books.ledger.history("ada", limit=5))[1] == 0


async def test_the_event_of_a_registration_welcomes_too(books: Books, outbox: Outbox, clock: ManualClock) -> None:
    outbox.subscribe(WelcomeConsumer(books.billing))
    await books.billing.welcome("ada")
    async with books.database.transaction() as tx:
        await outbox.emit(tx, Event("user.created", "user:ada", {}), Event("user.created", "user:bob", {}))
    await Dispatcher(books.database, outbox, clock).deliver_due()
    wallets = [(await books.wallet(user)).available for user in ("ada", "bob")]
    assert wallets == [books.rate.nanos(WELCOME_CREDITS)] * 2
    assert await books.discrepancies() == []
