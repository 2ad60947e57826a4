"""Asking the provider about several rows at once, and no longer once it is away."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Row, Table

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable.leases import give_back

AT_ONCE = 8

Work = Callable[[Row[Any]], Awaitable[bool]]
"""Looks after a leased row; False if the provider was away."""


async def side_by_side(database: Database, table: Table, rows: Sequence[Row[Any]], work: Work) -> int:
    """Look after leased rows, `AT_ONCE` of them at a time, until the provider is found away; the number of rows.

    Those that nobody began with are given back as they were, and so come first the next time.
    """
    waiting, left = deque(rows), list[Row[Any]]()

    async def worker() -> None:
        while waiting:
            if not await work(waiting.popleft()):
                left.extend(waiting)
                waiting.clear()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(rows))):
            group.create_task(worker())
    if left:
        async with database.transaction() as tx:
            for row in left:
                await give_back(tx, table, row, attempts=row.attempts - 1)
    return len(rows) - len(left)
