"""A process that tells of usage and may be killed on its way: `usage_process.py DATABASE_URL ENCRYPTION_KEY`."""

import asyncio
import sys

from cloudyard.domains.billing import UsageFeed
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.webhooks import webhook_parts


async def main(url: str, key: str) -> None:
    """Tell of everything that was used."""
    clock, database = SystemClock(), Database(url)
    parts = webhook_parts(database, clock, SystemIds(), Outbox(clock), box=SecretBox([key]))
    feed = UsageFeed(database, clock, CreditRate(100), [parts.usage])
    while await feed.tell():
        pass
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
