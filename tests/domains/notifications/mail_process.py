"""A process that mails what is due and may be killed on its way: `mail_process.py DATABASE_URL MAIL_FOLDER MOMENT`."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import identity_parts
from cloudyard.testing.notices import notice_parts


async def main(url: str, folder: str, moment: str) -> None:
    """Send what is due at that moment."""
    database, ids, clock = Database(url), SystemIds(), ManualClock(datetime.fromisoformat(moment))
    outbox, mailer = Outbox(clock), FileMailer(Path(folder), sender="Cloudyard <noreply@localhost>")
    identity = identity_parts(database, clock, ids, outbox, Path(folder))
    await notice_parts(database, clock, ids, outbox, identity, mailer).postman.send_due()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
