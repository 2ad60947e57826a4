"""Events written to the outbox of a running server, as its own transactions write them."""

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Event, Outbox


class _Webhooks:
    """Stands for the server's own consumer, so that the outbox keeps the events for it."""

    name = "webhooks"

    def __init__(self, kind: str) -> None:
        self.kinds = frozenset({kind})

    async def handle(self, event: Delivered) -> None:
        """The server does it."""
        raise NotImplementedError


async def write_events(url: str, kind: str, count: int) -> None:
    """Write so many events at once, each about another user."""
    database, outbox = Database(url), Outbox(SystemClock())
    outbox.subscribe(_Webhooks(kind))
    try:
        async with database.transaction() as tx:
            for number in range(count):
                await outbox.emit(tx, Event(kind, f"user:{number}", {"user_id": str(number), "number": number}))
    finally:
        await database.close()
