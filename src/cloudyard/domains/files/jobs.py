"""What files do in the background: nothing that was cut off, deleted or has expired is left over."""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, delete

from cloudyard.domains.files import repository
from cloudyard.domains.files.models import files
from cloudyard.domains.files.ports import ObjectStore, ObjectStoreUnavailable
from cloudyard.domains.files.service import object_key
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Schedule
from cloudyard.foundation.durable.leases import backoff, claim, give_back, held

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=30)
LEASE = timedelta(minutes=5)
BATCH = 50


class FileReconciler:
    """Removes objects and rows of uploads that lapsed and of files that were deleted or have expired."""

    def __init__(self, database: Database, clock: Clock, objects: ObjectStore) -> None:
        self._database = database
        self._clock = clock
        self._objects = objects

    def schedule(self) -> Schedule:
        """When it runs."""
        return Schedule("files.reconcile", EVERY, self.run)

    async def run(self) -> int:
        """Remove all that is due; the number of files tried."""
        tried = 0
        while rows := await self._claim():
            for row in rows:
                await self._remove(row)
            tried += len(rows)
        return tried

    async def _claim(self) -> list[Row[Any]]:
        async with self._database.transaction() as tx:
            return await claim(tx, files, now=self._clock.now(), lease=LEASE, limit=BATCH)

    async def _remove(self, row: Row[Any]) -> None:
        try:
            await self._objects.delete(object_key(row.id))
        except ObjectStoreUnavailable as error:
            log.warning("object not removed, trying again later", file=row.id, error=str(error))
            await self._later(row)
            return
        async with self._database.transaction() as tx:
            gone = await tx.execute(delete(files).where(held(files, row)))
            if gone.rowcount and row.state != "deleted":
                await repository.free(tx, row.user_id, row.size)

    async def _later(self, row: Row[Any]) -> None:
        async with self._database.transaction() as tx:
            await give_back(tx, files, row, due_at=self._clock.now() + backoff(row.attempts))
