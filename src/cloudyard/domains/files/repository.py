"""The statements on the tables of files."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloudyard.domains.files.models import file_usage, files
from cloudyard.domains.files.records import FileDetails, FileRecord, StagedFile
from cloudyard.foundation.database import Transaction

LEASE = timedelta(minutes=10)
NEVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


async def begin(tx: Transaction, staged: StagedFile, now: datetime) -> None:
    """Write the row of a file whose bytes are arriving, leased to who receives them."""
    await tx.execute(_usage_row(tx, staged.user_id))
    await tx.execute(
        insert(files).values(
            id=staged.id,
            user_id=staged.user_id,
            state="pending",
            filename=staged.filename,
            content_type=staged.content_type,
            size=staged.size,
            tags=[],
            public=False,
            created_at=now,
            due_at=now,
            lease_until=now + LEASE,
        )
    )


async def grow(tx: Transaction, file_id: str, size: int, now: datetime) -> bool:
    """Count more bytes of an arriving file and renew its lease; False if it was given up."""
    more = update(files).where(pending(file_id)).values(size=files.c.size + size, lease_until=now + LEASE)
    return bool((await tx.execute(more)).rowcount)


async def reserve(tx: Transaction, user_id: str, size: int, quota: int) -> bool:
    """Take room out of a user's quota, exactly, whoever else does at the same time; False if there is not enough."""
    taken = (
        update(file_usage)
        .where(file_usage.c.user_id == user_id, file_usage.c.bytes + size <= quota)
        .values(bytes=file_usage.c.bytes + size)
    )
    return bool((await tx.execute(taken)).rowcount)


async def free(tx: Transaction, user_id: str, size: int) -> None:
    """Give room back."""
    given = update(file_usage).where(file_usage.c.user_id == user_id).values(bytes=file_usage.c.bytes - size)
    await tx.execute(given)


async def keep(tx: Transaction, staged: StagedFile, details: FileDetails, now: datetime) -> FileRecord | None:
    """Make an arrived file its owner's; None if it was given up meanwhile."""
    expires_at = None if details.expires_in is None else now + details.expires_in
    kept = (
        update(files)
        .where(pending(staged.id))
        .values(
            state="stored",
            sha256=staged.sha256,
            purpose=details.purpose,
            description=details.description,
            tags=list(details.tags),
            public=details.public,
            expires_at=expires_at,
            due_at=expires_at or NEVER,
            lease_until=None,
        )
        .returning(*files.c)
    )
    row = await tx.first(kept)
    return None if row is None else record_of(row)


async def retire(tx: Transaction, *which: ColumnElement[bool], now: datetime) -> Row[Any] | None:
    """Take a file from its owner and leave its object to be removed; None if there was none."""
    gone = update(files).where(*which).values(state="deleted", due_at=now, lease_until=None).returning(*files.c)
    row = await tx.first(gone)
    if row is not None:
        await free(tx, row.user_id, row.size)
    return row


async def used(tx: Transaction, user_id: str) -> int:
    """Bytes counted against a user's quota."""
    return int(await tx.scalar(select(file_usage.c.bytes).where(file_usage.c.user_id == user_id)) or 0)


async def count(tx: Transaction, *which: ColumnElement[bool]) -> int:
    """Number of files."""
    return int(await tx.scalar(select(func.count()).select_from(files).where(*which)))


def pending(file_id: str) -> ColumnElement[bool]:
    """An arriving file that was not given up: the reconciler raises the epoch of what it claims."""
    return (files.c.id == file_id) & (files.c.state == "pending") & (files.c.epoch == 0)


def visible(now: datetime) -> ColumnElement[bool]:
    """Files that are there for their owners."""
    return (files.c.state == "stored") & or_(files.c.expires_at.is_(None), files.c.expires_at > now)


def record_of(row: Row[Any]) -> FileRecord:
    """A stored file out of its row."""
    return FileRecord(
        id=row.id,
        user_id=row.user_id,
        filename=row.filename,
        size=row.size,
        content_type=row.content_type,
        sha256=row.sha256,
        purpose=row.purpose,
        description=row.description,
        tags=tuple(row.tags),
        public=row.public,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _usage_row(tx: Transaction, user_id: str) -> Any:
    upsert = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
    return upsert(file_usage).values(user_id=user_id, bytes=0).on_conflict_do_nothing()
