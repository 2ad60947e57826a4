"""A batch that decides in several rounds before it writes comes to the same as a transaction for each command."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from cloudyard.domains.billing import Meter, Price
from cloudyard.domains.billing.batch import ChargeBatches, Command, Expire, OpenHold, Outcome, Release, Settle
from cloudyard.domains.billing.models import budgets, usage_records
from cloudyard.domains.ledger import Hold, HoldNotOpen
from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books

USERS = 3
COMMANDS = 60
PURSE = 100_000
CAP = 60_000


@dataclass(frozen=True, slots=True)
class World:
    """The same commands may be run in several, which have their users, holds and keys to themselves."""

    name: str
    users: Sequence[str]
    price: Price

    def commands(self, seed: int) -> list[Command]:
        """Any commands in any order: many are refused, and holds are opened and ended in one batch."""
        chance = random.Random(seed)
        opened = [OpenHold("none", self.users[0], 0, timedelta(), "never opened")]
        made: list[Command] = []
        for number in range(COMMANDS):
            kind = chance.random()
            if kind < 0.45:
                opened.append(self._hold(f"{self.name}-{number}", chance))
                made.append(opened[-1])
            elif kind < 0.75:
                quantities = {Meter.CALL: chance.choice([0, 1, 40, 100_000])}
                hold = chance.choice(opened)
                payer = (hold.hold_id, hold.user_id, hold.budget_id)
                made.append(Settle(*payer, self.price, quantities, "completed", "work", {}))
            elif kind < 0.9:
                made.append(Release(chance.choice(opened).hold_id, "not served"))
            else:
                made.append(Expire(chance.choice(opened).hold_id))
        return made

    def _hold(self, hold_id: str, chance: random.Random) -> OpenHold:
        place = chance.randrange(USERS)
        capped = chance.random() < 0.6
        key, cap = (f"{self.name}-key-{place}", CAP) if capped else (None, None)
        amount, life = chance.choice([0, 100, 5_000, 40_000]), timedelta(seconds=chance.choice([-5, 60]))
        return OpenHold(hold_id, self.users[place], amount, life, "work", key, cap)

    def said(self, outcome: Outcome | DomainError) -> str:
        """An outcome, without what differs between worlds."""
        if isinstance(outcome, Hold):
            return f"held {outcome.amount} of {self.users.index(outcome.user_id)}"
        words = outcome.message if isinstance(outcome, DomainError) else str(outcome)
        return f"{type(outcome).__name__}: {words}".replace(self.name, "")


async def world_of(books: Books, name: str) -> World:
    return World(name, [await books.user(PURSE) for _ in range(USERS)], await books.price(10))


async def run(books: Books, clock: ManualClock, commands: Sequence[Sequence[Command]]) -> list[Outcome | DomainError]:
    """Decide these rounds in one batch, and write it."""
    batches = ChargeBatches(clock, books.ids)

    def write(connection: Connection) -> list[Outcome | DomainError]:
        batch = batches(connection)
        outcomes = [outcome for some in commands for outcome in batch.decide(some)]
        batch.write()
        return outcomes

    return await books.database.run(write)


def rounds(commands: Sequence[Command], chance: random.Random) -> list[list[Sequence[Command]]]:
    """The commands in batches of some rounds of some commands each."""
    batches: list[list[Sequence[Command]]] = []
    rest = list(commands)
    while rest:
        sizes = [chance.randint(1, 6) for _ in range(chance.randint(1, 6))]
        batches.append([part for size in sizes if (part := [rest.pop(0) for _ in range(min(size, len(rest)))])])
    return batches


async def state(books: Books, world: World) -> list[Any]:
    """Whatever the commands changed."""
    wallets = [await books.wallet(user) for user in world.users]
    kept: list[Any] = [(wallet.available, wallet.held) for wallet in wallets]
    for user in world.users:
        lines, _ = await books.ledger.history(user, limit=100)
        kept.append([(line.kind, line.amount, line.balance) for line in lines])
    async with books.database.reading() as tx:
        for columns, key in (
            ((holds.c.id, holds.c.state, holds.c.captured_nanos), holds.c.id),
            ((budgets.c.id, budgets.c.spent_nanos, budgets.c.held_nanos), budgets.c.id),
            ((usage_records.c.hold_id, usage_records.c.amount_nanos), usage_records.c.hold_id),
        ):
            mine = func.substr(key, 1, len(world.name)) == world.name
            found = await tx.all(select(*columns).where(mine).order_by(key))
            kept.append([(row[0].removeprefix(world.name), *row[1:]) for row in found])
    return kept


@pytest.mark.parametrize("seed", range(6))
async def test_rounds_of_a_batch_come_to_the_same_as_transactions_of_their_own(
    books: Books, clock: ManualClock, seed: int
) -> None:
    alone, together = await world_of(books, "alone"), await world_of(books, "batch")
    said_alone = [
        alone.said(outcome) for command in alone.commands(seed) for outcome in await run(books, clock, [[command]])
    ]
    said_together: list[str] = []
    for batch in rounds(together.commands(seed), random.Random(seed + 1)):
        said_together += [together.said(outcome) for outcome in await run(books, clock, batch)]
    assert said_together == said_alone
    assert await state(books, together) == await state(books, alone)
    assert await books.discrepancies() == []


async def test_a_hold_is_opened_and_settled_before_anything_is_written(books: Books, clock: ManualClock) -> None:
    world = await world_of(books, "world")
    user, price = world.users[0], world.price
    opening = OpenHold("world-1", user, 500, timedelta(seconds=60), "work")
    ending = Settle("world-1", user, None, price, {Meter.CALL: 20}, "completed", "work", {})
    held, settled, again = await run(books, clock, [[opening], [ending], [ending]])
    assert isinstance(held, Hold)
    assert settled is not None and not isinstance(settled, DomainError)
    assert isinstance(again, HoldNotOpen)
    wallet = await books.wallet(user)
    assert (wallet.available, wallet.held) == (PURSE - 200, 0)
    assert await books.discrepancies() == []
