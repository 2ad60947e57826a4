"""Files as surfaces and other domains use them."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import ColumnElement, or_, select

from cloudyard.domains.files import repository
from cloudyard.domains.files.content_types import SNIFF_BYTES, content_type_of
from cloudyard.domains.files.errors import FileNotFound
from cloudyard.domains.files.intake import Intake, lapsed, over_quota, too_large
from cloudyard.domains.files.models import files
from cloudyard.domains.files.names import safe_filename
from cloudyard.domains.files.ports import ObjectStore
from cloudyard.domains.files.records import (
    LONGEST_PURPOSE,
    FileDetails,
    FileRecord,
    FileUsage,
    StagedFile,
    check_text,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.files import FileSettings

ID = re.compile(r"[A-Za-z0-9_-]{1,48}")
HEAD_BYTES = 256 * 1024
NOTHING_SAID = FileDetails()


class Files:
    """Uploaded files and their owners.

    A file's row is written before its object and becomes the owner's after it; whatever is cut off in between
    is removed by the reconciler, so that no object or row is left over.
    """

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, objects: ObjectStore, settings: FileSettings
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._objects = objects
        self._settings = settings

    @property
    def max_file_bytes(self) -> int:
        """The size of the largest file that is accepted."""
        return self._settings.max_file_bytes

    async def upload(
        self,
        user_id: str,
        *,
        filename: str | None,
        content_type: str | None,
        chunks: AsyncIterator[bytes],
        purpose: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        public: bool = False,
        expires_in: timedelta | None = None,
        size_hint: int | None = None,
    ) -> FileRecord:
        """Store a file of which everything is known but its bytes. Raises what `receive` and `FileDetails` raise."""
        details = FileDetails(purpose, description, tuple(tags), public, expires_in)
        staged = await self.receive(
            user_id, filename=filename, content_type=content_type, chunks=chunks, size_hint=size_hint
        )
        return await self.keep(staged, details)

    async def receive(
        self,
        user_id: str,
        *,
        filename: str | None,
        content_type: str | None,
        chunks: AsyncIterator[bytes],
        size_hint: int | None = None,
    ) -> StagedFile:
        """Take in the bytes of a file; `keep` or `discard` must follow. `size_hint` refuses a file before it is read.

        An error of `chunks` comes out unchanged, and nothing is kept, as with the errors of its own:
        `FileTooLarge`, `QuotaExceeded`, `UploadLapsed`, `ObjectStoreUnavailable`.
        """
        await self._refuse_early(user_id, size_hint or 0)
        head = await _head(chunks)
        name = safe_filename(filename)
        kind = content_type_of(head[:SNIFF_BYTES], content_type, name)
        file = StagedFile(f"file-{self._ids.new()}", user_id, name, kind, size=0, sha256="")
        intake = Intake(self._database, self._clock, self._settings, file)
        await intake.begin(head)
        try:
            await self._objects.put(object_key(file.id), intake.rest(head, chunks))
        except BaseException:
            await self.discard(file)
            raise
        crash_point("files.received")
        return intake.received()

    async def keep(self, staged: StagedFile, details: FileDetails = NOTHING_SAID) -> FileRecord:
        """Make a received file its owner's. Raises `UploadLapsed` if it was given up meanwhile."""
        async with self._database.transaction() as tx:
            record = await repository.keep(tx, staged, details, self._clock.now())
        if record is None:
            raise lapsed()
        return record

    async def discard(self, staged: StagedFile) -> None:
        """Give up a file that is not to be kept. If the database cannot be reached, it lapses by itself."""
        with suppress(DatabaseUnavailable):
            async with self._database.transaction() as tx:
                await repository.retire(tx, repository.pending(staged.id), now=self._clock.now())

    async def get(self, user_id: str, file_id: str) -> FileRecord:
        """A file of the user's own, or one that its owner made public. Raises `FileNotFound`."""
        _check_id(file_id)
        allowed = or_(files.c.user_id == user_id, files.c.public)
        async with self._database.reading() as tx:
            row = await tx.first(select(files).where(files.c.id == file_id, self._visible(), allowed))
        if row is None:
            raise _not_found(file_id)
        return repository.record_of(row)

    async def read(self, record: FileRecord, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a file that `get` gave, from `start` up to and not including `end`.

        Raises `ObjectMissing` and `ObjectStoreUnavailable`, as far as possible before the first byte.
        """
        return await self._objects.read(object_key(record.id), start=start, end=record.size if end is None else end)

    async def list(
        self, user_id: str, *, limit: int, offset: int = 0, purpose: str | None = None
    ) -> tuple[Sequence[FileRecord], int]:
        """A page of a user's own files, newest first, and the number of all."""
        which = self._owned(user_id, purpose)
        page = select(files).where(*which).order_by(files.c.id.desc()).limit(limit).offset(offset)
        async with self._database.reading() as tx:
            rows = await tx.all(page)
            total = await repository.count(tx, *which)
        return [repository.record_of(row) for row in rows], total

    async def page(
        self,
        user_id: str,
        *,
        limit: int,
        after: str | None = None,
        newest_first: bool = True,
        purpose: str | None = None,
    ) -> tuple[Sequence[FileRecord], bool]:
        """Up to `limit` of a user's own files behind the one whose id is `after`, and whether more follow.

        Raises `FileNotFound` for what cannot be an id.
        """
        query = select(files).where(*self._owned(user_id, purpose))
        if after is not None:
            _check_id(after)
            query = query.where(files.c.id < after if newest_first else files.c.id > after)
        query = query.order_by(files.c.id.desc() if newest_first else files.c.id).limit(limit + 1)
        async with self._database.reading() as tx:
            rows = await tx.all(query)
        return [repository.record_of(row) for row in rows[:limit]], len(rows) > limit

    async def delete(self, user_id: str, file_id: str) -> None:
        """Delete a file of the user's own; its bytes go shortly after. Raises `FileNotFound`."""
        _check_id(file_id)
        own = (files.c.id == file_id, files.c.user_id == user_id, self._visible())
        async with self._database.transaction() as tx:
            row = await repository.retire(tx, *own, now=self._clock.now())
        if row is None:
            raise _not_found(file_id)

    async def usage(self, user_id: str) -> FileUsage:
        """What a user keeps and may keep."""
        async with self._database.reading() as tx:
            number = await repository.count(tx, *self._owned(user_id, None))
            used = await repository.used(tx, user_id)
        return FileUsage(number, used, self._settings.user_quota_bytes)

    async def _refuse_early(self, user_id: str, size: int) -> None:
        if size > self._settings.max_file_bytes:
            raise too_large(self._settings.max_file_bytes)
        async with self._database.reading() as tx:
            used = await repository.used(tx, user_id)
        if used + size > self._settings.user_quota_bytes:
            raise over_quota(self._settings.user_quota_bytes)

    def _owned(self, user_id: str, purpose: str | None) -> Sequence[ColumnElement[bool]]:
        which = [files.c.user_id == user_id, self._visible()]
        if purpose is not None:
            check_text("purpose", purpose, LONGEST_PURPOSE)
            which.append(files.c.purpose == purpose)
        return which

    def _visible(self) -> ColumnElement[bool]:
        return repository.visible(self._clock.now())


def object_key(file_id: str) -> str:
    """Where a file's bytes are; the last characters of its id spread them over 256 directories."""
    return f"files/{file_id[-2:]}/{file_id}"


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)


def _check_id(file_id: str) -> None:
    if not ID.fullmatch(file_id):
        raise _not_found(file_id)


def _not_found(file_id: str) -> FileNotFound:
    return FileNotFound(f"There is no file {file_id!r} that you may use. Check the id, or upload the file.")
