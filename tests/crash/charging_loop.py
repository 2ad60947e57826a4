"""A process that charges until it is killed: `charging_loop.py URL USER SKU AT_ONCE`.

It says the hold of every usage record as soon as its charge is settled.
"""

import asyncio
import sys

from cloudyard.domains.billing import Price
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.factories import Books, open_books


async def charge_for_ever(books: Books, user: str, price: Price) -> None:
    """One charge after the other."""
    while True:
        settlement = await books.charge(user, price)
        sys.stdout.write(settlement.hold_id + "\n")
        sys.stdout.flush()


async def main(url: str, user: str, sku: str, at_once: str) -> None:
    """Charge on several calls at once."""
    books = open_books(Database(url), SystemClock(), SystemIds())
    await books.prices.load()
    price = books.prices.current(sku)
    await asyncio.gather(*(charge_for_ever(books, user, price) for _ in range(int(at_once))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
