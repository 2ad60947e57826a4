"""Leases: the right to work on a row until a time, numbered by an epoch.

Claim a due row, work outside any transaction, apply guarded by its epoch. A worker that lost its lease finds
its epoch outdated and its result refused; a killed worker's rows come due again when the lease ends.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Integer, Row, Table, bindparam, or_, select, update

from cloudyard.foundation.database import Transaction, UtcDateTime

Moment = datetime | BindParameter[datetime]

NOW: BindParameter[datetime] = bindparam("now", type_=UtcDateTime())
"""Stands for the moment in a query that is built once and asked every second: building costs more than asking."""


def lease_columns(*, indexed: bool = True) -> list[Column[Any]]:
    """Columns that make a table's rows claimable; not `indexed` where the table has an index of its own for it."""
    return [
        Column("due_at", UtcDateTime, nullable=False, index=indexed),
        Column("lease_until", UtcDateTime),
        Column("epoch", Integer, nullable=False, default=0, server_default="0"),
        Column("attempts", Integer, nullable=False, default=0, server_default="0"),
    ]


def claimable(table: Table, now: Moment) -> list[ColumnElement[bool]]:
    """Whether a row is due and nobody's."""
    return [table.c.due_at <= now, or_(table.c.lease_until.is_(None), table.c.lease_until < now)]


async def claim(
    tx: Transaction,
    table: Table,
    *,
    now: datetime,
    lease: timedelta,
    limit: int,
    where: Sequence[ColumnElement[bool]] = (),
) -> list[Row[Any]]:
    """Lease up to `limit` due rows, earliest first, and return them with their new epoch."""
    key = table.primary_key.columns[0]
    due = (
        select(key)
        .where(*claimable(table, now), *where)
        .order_by(table.c.due_at, key)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = [row[0] for row in await tx.all(due)]
    if not keys:
        return []
    claimed = (
        update(table)
        .where(key.in_(keys))
        .values(lease_until=now + lease, epoch=table.c.epoch + 1, attempts=table.c.attempts + 1)
        .returning(*table.c)
    )
    rows = await tx.all(claimed)
    return sorted(rows, key=lambda row: keys.index(row._mapping[key.name]))


def held(table: Table, row: Row[Any]) -> ColumnElement[bool]:
    """The guard of every write back: the row is still ours."""
    key = table.primary_key.columns[0]
    guard: ColumnElement[bool] = (key == row._mapping[key.name]) & (table.c.epoch == row.epoch)
    return guard


async def give_back(tx: Transaction, table: Table, row: Row[Any], **values: Any) -> bool:
    """Write a result and end the lease; False if the lease was lost meanwhile and nothing was written."""
    result = await tx.execute(update(table).where(held(table, row)).values(lease_until=None, **values))
    return result.rowcount == 1


def backoff(attempts: int, *, first: float = 1.0, largest: float = 300.0) -> timedelta:
    """How long to wait after the given number of failed attempts: doubling, up to `largest` seconds."""
    return timedelta(seconds=min(first * 2 ** min(attempts - 1, 30), largest))
