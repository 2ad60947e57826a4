"""A process that pushes what is due and may be killed on its way: `push_process.py DATABASE_URL ENCRYPTION_KEY`."""

import asyncio
import sys

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.notices import push_parts


async def main(url: str, key: str) -> None:
    """Push what is due now."""
    database = Database(url)
    parts = push_parts(database, SystemClock(), SystemIds(), box=SecretBox([key]))
    await parts.pusher.send_due()
    await parts.sender.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
