"""Tells audiences of settled usage, while they have anybody who wants to hear of it.

No charge writes anything for this: the feed reads the ledger on from a cursor, and where nobody listens it does not
even keep one.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import Connection, bindparam, delete, select, update

from cloudyard.domains.billing.settled_usage import newest_before, settled_after
from cloudyard.domains.billing.usage_feed_models import usage_cursors
from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Delivered
from cloudyard.foundation.money import CreditRate

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
AT_ONCE = 200
"""Charges a transaction: few enough that no call waits long for it."""

CURSOR = select(usage_cursors.c.posting_id).where(usage_cursors.c.audience == bindparam("name"))

Afterwards = Callable[[], Awaitable[None]]


class Audience(Protocol):
    """Those who hear of usage in one way."""

    @property
    def name(self) -> str:
        """Stable name; the cursor is stored under it."""
        ...

    def since(self, connection: Connection) -> datetime | None:
        """Since when somebody has been listening, None while nobody does."""
        ...

    async def take(self, tx: Transaction, used: Sequence[Delivered]) -> Afterwards:
        """Write what was used, in the transaction that moves the cursor: once, whatever is killed.

        Gives what is to be done after the commit; it may be lost.
        """
        ...


class _Place(NamedTuple):
    """Whether anybody listens, how far they have heard, and where to begin with those who have heard nothing yet."""

    listened_to: bool
    cursor: int | None
    start: int


class UsageFeed:
    """Reads on for each audience. Any number of processes may run one."""

    def __init__(self, database: Database, clock: Clock, rate: CreditRate, audiences: Sequence[Audience]) -> None:
        self._database = database
        self._clock = clock
        self._rate = rate
        self._audiences = audiences

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            if await self.tell() == 0:
                await self._clock.sleep(until_beat(self._clock, POLL_SECONDS))

    async def tell(self) -> int:
        """Tell each audience of the next charges; how many there were. None is held up by the failure of another."""
        return sum([await self._tried(*each) for each in zip(self._audiences, await self._places(), strict=True)])

    async def _places(self) -> list[_Place | None]:
        """Where each audience is; None for all where one of them cannot be asked, so that each is asked alone."""
        try:
            return await self._database.glance(lambda connection: [_place_of(connection, a) for a in self._audiences])
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told of the audience that has it
            log.debug("audiences not asked together", error=str(error))
            return [None] * len(self._audiences)

    async def _tried(self, audience: Audience, place: _Place | None) -> int:
        try:
            if place is None:
                place = await self._database.glance(lambda connection: _place_of(connection, audience))
            return await self._tell(audience, place)
        except Exception as error:  # noqa: BLE001 - whatever it was, the others are told, and it is logged
            reason = f"{type(error).__name__}: {error}"
            log.error("audience not told of usage, trying again", audience=audience.name, error=reason)
            return 0

    async def _tell(self, audience: Audience, place: _Place) -> int:
        cursor = await self._cursor(audience, place)
        if cursor is None:
            return 0
        async with self._database.reading() as tx:
            settled = await settled_after(tx, cursor, AT_ONCE, self._rate)
        if settled.charges == 0:
            return 0
        async with self._database.transaction() as tx:
            if not await self._advance(tx, audience.name, cursor, settled.last):
                return 0  # another process was first
            afterwards = await audience.take(tx, settled.events)
            crash_point("usage.taken")
        crash_point("usage.told")
        await afterwards()
        return settled.charges

    async def _cursor(self, audience: Audience, place: _Place) -> int | None:
        """Where the audience is; None where nobody listens. Who begins to listen begins with what comes then."""
        table, name = usage_cursors, audience.name
        if place.listened_to and place.cursor is not None:
            return place.cursor
        if not place.listened_to and place.cursor is None:
            return None
        async with self._database.transaction() as tx:
            if not place.listened_to:
                await tx.execute(delete(table).where(table.c.audience == name, table.c.posting_id == place.cursor))
                return None
            row = {"audience": name, "posting_id": place.start, "updated_at": self._clock.now()}
            await tx.execute(insert_or_ignore(tx.dialect, table).values(row))
            return place.start

    async def _advance(self, tx: Transaction, name: str, before: int, after: int) -> bool:
        table = usage_cursors
        mine = (table.c.audience == name) & (table.c.posting_id == before)
        moved = await tx.execute(update(table).where(mine).values(posting_id=after, updated_at=self._clock.now()))
        return moved.rowcount == 1


def _place_of(connection: Connection, audience: Audience) -> _Place:
    since = audience.since(connection)
    cursor = connection.scalar(CURSOR, {"name": audience.name})
    start = newest_before(connection, since) if since is not None and cursor is None else 0
    return _Place(since is not None, cursor, start)
