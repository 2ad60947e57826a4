"""A process that sends webhooks and may be killed on its way: `webhook_process.py URL ENCRYPTION_KEY`."""

import asyncio
import sys

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.webhooks import webhook_parts


async def main(url: str, key: str) -> None:
    """Hand over what the outbox holds and send what is due."""
    clock, database = SystemClock(), Database(url)
    parts = webhook_parts(database, clock, SystemIds(), Outbox(clock), box=SecretBox([key]))
    await parts.settle()
    await parts.sender.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
