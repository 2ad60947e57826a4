"""One file as it arrives: measured, hashed, and counted against its owner's quota while it streams."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

from cloudyard.domains.files import repository
from cloudyard.domains.files.errors import FileTooLarge, QuotaExceeded, UploadLapsed
from cloudyard.domains.files.records import StagedFile
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.settings.files import FileSettings

RESERVED_AT_ONCE = 8 * 1024 * 1024
RENEWAL_SECONDS = repository.LEASE.total_seconds() / 4


class Intake:
    """Lets the bytes of one upload through.

    Room is reserved for exactly the bytes that came, so that parallel uploads neither pass the quota together
    nor hinder one another with room that they do not need.
    """

    def __init__(self, database: Database, clock: Clock, settings: FileSettings, file: StagedFile) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0
        self._unreserved = 0
        self._renewed = clock.monotonic()

    def received(self) -> StagedFile:
        """The file, as far as it has come."""
        return replace(self._file, size=self._size, sha256=self._hash.hexdigest())

    async def begin(self, head: bytes) -> None:
        """Write the file's row and reserve room for its first bytes. Raises `FileTooLarge`, `QuotaExceeded`."""
        self._measure(head)
        async with self._database.transaction() as tx:
            await repository.begin(tx, self.received(), self._clock.now())
            await self._take(tx)
        self._unreserved = 0

    async def rest(self, head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Everything, the first bytes included. Raises `FileTooLarge`, `QuotaExceeded` and `UploadLapsed`."""
        yield head
        async for chunk in chunks:
            self._measure(chunk)
            if self._unreserved >= RESERVED_AT_ONCE or self._clock.monotonic() - self._renewed > RENEWAL_SECONDS:
                await self._reserve()
            yield chunk
        if self._unreserved:
            await self._reserve()

    def _measure(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._unreserved += len(chunk)
        if self._size > self._settings.max_file_bytes:
            raise too_large(self._settings.max_file_bytes)
        self._hash.update(chunk)

    async def _reserve(self) -> None:
        async with self._database.transaction() as tx:
            if not await repository.grow(tx, self._file.id, self._unreserved, self._clock.now()):
                raise lapsed()
            await self._take(tx)
        self._unreserved = 0
        self._renewed = self._clock.monotonic()

    async def _take(self, tx: Transaction) -> None:
        quota = self._settings.user_quota_bytes
        if not await repository.reserve(tx, self._file.user_id, self._unreserved, quota):
            raise over_quota(quota)


def too_large(limit: int) -> FileTooLarge:
    """The refusal of a file over the size limit."""
    return FileTooLarge(
        f"The file is larger than {limit} bytes, the most that is accepted. Nothing was kept; send a smaller one.",
        details={"max_file_bytes": limit},
        field="file",
    )


def over_quota(quota: int) -> QuotaExceeded:
    """The refusal of a file that the quota has no room for."""
    return QuotaExceeded(
        f"The file does not fit into the {quota} bytes that you may keep. Nothing was kept; delete files first.",
        details={"quota_bytes": quota},
        field="file",
    )


def lapsed() -> UploadLapsed:
    """The refusal of an upload that was given up."""
    return UploadLapsed("The upload stood still for too long and was given up. Nothing was kept; send it again.")
