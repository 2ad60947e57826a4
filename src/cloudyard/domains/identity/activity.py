"""When users and keys were last seen: noted in memory, written beside the requests and not in them."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Column, Table, bindparam, or_, update

from cloudyard.domains.identity.models import api_keys, users
from cloudyard.domains.identity.records import Principal
from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.database import Database, DatabaseUnavailable, Transaction

log = structlog.get_logger(__name__)

NOTED_EVERY_SECONDS = 60.0
WRITTEN_EVERY_SECONDS = 10.0


class Activity:
    """Notes each user and each key at most once a minute. What a crash loses is noted again a minute later."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: dict[str, float] = {}
        self._users: dict[str, datetime] = {}
        self._keys: dict[str, datetime] = {}

    def seen(self, principal: Principal) -> None:
        """Note that the principal acted now."""
        self._note(self._users, principal.user_id)
        if principal.api_key is not None:
            self._note(self._keys, principal.api_key.id)

    async def run(self) -> None:
        """Write for ever what was noted."""
        while True:
            await self._clock.sleep(until_beat(self._clock, WRITTEN_EVERY_SECONDS))
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted since the last time."""
        seen_users, self._users = self._users, {}
        seen_keys, self._keys = self._keys, {}
        oldest = self._clock.monotonic() - NOTED_EVERY_SECONDS
        self._noted = {id: noted for id, noted in self._noted.items() if noted > oldest}
        if not seen_users and not seen_keys:
            return
        async with self._database.transaction() as tx:
            await _write(tx, users, users.c.last_active_at, seen_users)
            await _write(tx, api_keys, api_keys.c.last_used_at, seen_keys)

    async def close(self) -> None:
        """Write what is left at shutdown. It is not worth an unclean end where the database cannot be used."""
        try:
            await self.flush()
        except DatabaseUnavailable as error:
            log.warning("when users and keys were last seen was not written", error=str(error))

    def _note(self, noted: dict[str, datetime], id: str) -> None:
        now = self._clock.monotonic()
        last = self._noted.get(id)
        if last is not None and now - last < NOTED_EVERY_SECONDS:
            return
        self._noted[id] = now
        noted[id] = self._clock.now()


async def _write(tx: Transaction, table: Table, column: Column[Any], seen: dict[str, datetime]) -> None:
    if not seen:
        return
    later = or_(column.is_(None), column < bindparam("at"))
    statement = update(table).where(table.c.id == bindparam("row"), later).values({column: bindparam("at")})
    # in one order everywhere, so that two processes cannot wait for each other's rows
    await tx.execute(statement, [{"row": id, "at": seen[id]} for id in sorted(seen)])
