"""A process that makes one charge and may be killed on its way: `charge_process.py URL USER SKU settle|release`."""

import asyncio
import sys

from cloudyard.domains.billing import Meter, Payer, Usage
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.factories import open_books


async def main(url: str, user: str, sku: str, how: str) -> None:
    """Set five calls aside; settle for three of them, or give all back."""
    books = open_books(Database(url), SystemClock(), SystemIds())
    await books.prices.load()
    charge = await books.charges.open(Payer(user, "key", 1000), books.prices.current(sku), {Meter.CALL: 5}, "Doomed")
    if how == "settle":
        await books.charges.settle(charge, Usage({Meter.CALL: 3}))
    else:
        await books.charges.release(charge, "Not served")
    await books.database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
