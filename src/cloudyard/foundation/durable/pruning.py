"""Deleting many rows without holding up those who write."""

from sqlalchemy import ColumnElement, Table, delete, select, tuple_

from cloudyard.foundation.database import Database

BATCH = 1000


async def delete_in_batches(database: Database, table: Table, *where: ColumnElement[bool], batch: int = BATCH) -> int:
    """Delete the rows that match, so many in a transaction of their own; how many there were.

    Between two transactions others have their turn to write. A crash in between leaves the rest for the next time.
    Raises `DatabaseUnavailable`.
    """
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(*where).limit(batch)
    deleted = 0
    while True:
        async with database.transaction() as tx:
            # Asked for again: PostgreSQL looks at it once more if somebody has just changed the row, and spares it.
            count = (await tx.execute(delete(table).where(key.in_(some), *where))).rowcount
        deleted += count
        if count < batch:
            return deleted
