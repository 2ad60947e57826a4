"""The call into Cloudyard's ledger, alone: no HTTP, no model, only durable charges.

A charge is what a billable call makes of it: a hold of the worst case, then a settlement with its usage
record, each on disk before the next step begins.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from cloudyard.domains.billing import Meter, Price, PriceBook, PriceLine, verify
from cloudyard.domains.billing.batch import ChargeBatches, Command, OpenHold, Outcome, Settle
from cloudyard.domains.ledger import Entry, EntryKind, LedgerBatch, Line, Statement, wallet_of
from cloudyard.domains.ledger.records import PROMOTIONS
from cloudyard.foundation.clock import Clock, SystemClock
from cloudyard.foundation.database import Database, GroupCommit, metadata
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import Ids, SystemIds

Submit = Callable[[Command], Awaitable[Outcome]]

FUNDS_NANOS = 10**15
WORST = {Meter.INPUT_TOKEN: 40, Meter.OUTPUT_TOKEN: 64}
USED = {Meter.INPUT_TOKEN: 24, Meter.OUTPUT_TOKEN: 16}
LINES = (PriceLine(Meter.INPUT_TOKEN, 150_000_000, 1_000_000), PriceLine(Meter.OUTPUT_TOKEN, 600_000_000, 1_000_000))
HOLD_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class LedgerUnderTest:
    """An empty database with funded wallets."""

    database: Database
    ids: Ids
    price: Price
    submit: Submit

    async def charge(self, user_id: str) -> None:
        """One whole charge; returns when both halves are on disk."""
        hold_id = self.ids.new()
        worst = self.price.amount(WORST)
        await self.submit(OpenHold(hold_id, user_id, worst, HOLD_LIFE, "bench"))
        await self.submit(Settle(hold_id, user_id, None, self.price, USED, "completed", "bench", {}))

    async def discrepancies(self) -> Sequence[object]:
        """What does not add up when everything is recomputed."""
        return await self.database.run(verify)


@asynccontextmanager
async def open_ledger(url: str, users: Sequence[str], *, alone: bool) -> AsyncIterator[LedgerUnderTest]:
    """Make the tables and fund a wallet for each user.

    With `alone` every command has a transaction of its own; otherwise concurrent ones are committed in groups, as
    the server does it.
    """
    database, clock, ids = Database(url), SystemClock(), SystemIds()
    try:
        await database.run(metadata.create_all)
        await database.run(lambda connection: _fund(connection, clock, ids, users))
        price = await PriceBook(database, clock, ids).publish("model:bench", LINES)
        batches = ChargeBatches(clock, ids)
        submit = _each_alone(database, batches) if alone else GroupCommit(database, batches).submit
        yield LedgerUnderTest(database, ids, price, submit)
    finally:
        await database.close()


def _each_alone(database: Database, batches: ChargeBatches) -> Submit:
    async def submit(command: Command) -> Outcome:
        def write(connection: Connection) -> Outcome | DomainError:
            batch = batches(connection)
            (outcome,) = batch.decide([command])
            batch.write()
            return outcome

        outcome = await database.run(write)
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    return submit


def _fund(connection: Connection, clock: Clock, ids: Ids, users: Sequence[str]) -> None:
    batch = LedgerBatch(connection, ids, clock.now())
    batch.load([PROMOTIONS, *(wallet_of(user) for user in users)])
    for user in users:
        lines = (Line(PROMOTIONS, -FUNDS_NANOS), Line(wallet_of(user), FUNDS_NANOS))
        batch.post(Entry(EntryKind.BONUS, f"bench:{user}", lines, "bench", Statement(user, FUNDS_NANOS)))
    batch.flush()
