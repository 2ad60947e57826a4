"""Files in tests: bodies of uploads, and what is left of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import func, select

from cloudyard.domains.files import FileRecord, Files
from cloudyard.domains.files.models import file_usage
from cloudyard.domains.files.models import files as files_table
from cloudyard.foundation.database import Database


async def stream(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """The content in pieces, with others getting their turn in between."""
    for at in range(0, len(content), size):
        yield content[at : at + size]
        await asyncio.sleep(0)


async def upload(files: Files, user_id: str, content: bytes, *, name: str = "a.bin") -> FileRecord:
    """A file of which only the bytes matter."""
    return await files.upload(user_id, filename=name, content_type="application/octet-stream", chunks=stream(content))


async def content_of(files: Files, record: FileRecord, start: int = 0, end: int | None = None) -> bytes:
    """What a reader gets."""
    return b"".join([chunk async for chunk in await files.read(record, start=start, end=end)])


class Left:
    """What is left in the database and on the disk."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    def on_disk(self) -> int:
        """Number of files, half-written ones included."""
        return sum(1 for path in self._directory.rglob("*") if path.is_file())

    async def rows(self) -> int:
        """Number of rows, whatever their state."""
        async with self._database.reading() as tx:
            return int(await tx.scalar(select(func.count()).select_from(files_table)))

    async def counted(self) -> int:
        """Bytes counted against all quotas."""
        async with self._database.reading() as tx:
            return int(await tx.scalar(select(func.coalesce(func.sum(file_usage.c.bytes), 0))))

    async def anything(self) -> tuple[int, int, int]:
        """Files on disk, rows, bytes counted."""
        return self.on_disk(), await self.rows(), await self.counted()
