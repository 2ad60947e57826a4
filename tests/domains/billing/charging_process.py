"""A process that charges: `charging_process.py URL USER KEY CAP SKU CALLS AT_ONCE`.

It says `ready`, waits for a line, charges as often as it was told (a call used of two set aside), and prints how many
charges were served and why the others were refused, as JSON.
"""

import asyncio
import json
import sys
from collections import Counter

from cloudyard.domains.billing import Meter, Payer, Usage
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.factories import Books, open_books


async def charge(books: Books, payer: Payer, sku: str, places: asyncio.Semaphore) -> str:
    """One charge; how it ended."""
    async with places:
        try:
            held = await books.charges.open(payer, books.prices.current(sku), {Meter.CALL: 2}, "From a process")
            await books.charges.settle(held, Usage({Meter.CALL: 1}))
        except DomainError as error:
            return error.code
    return "served"


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str, user: str, key: str, cap: str, sku: str, calls: str, at_once: str) -> None:
    """Charge when told to."""
    books = open_books(Database(url), SystemClock(), SystemIds())
    await books.prices.load()
    payer = Payer(user, key, int(cap)) if key else Payer(user)
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    places = asyncio.Semaphore(int(at_once))
    ended = await asyncio.gather(*(charge(books, payer, sku, places) for _ in range(int(calls))))
    await books.database.close()
    say(json.dumps(Counter(ended)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
