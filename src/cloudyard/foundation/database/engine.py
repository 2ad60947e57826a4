"""Engines and the unit of work. Only this module commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloudyard.foundation.database.address import database_address, is_sqlite
from cloudyard.foundation.database.errors import (
    DatabaseUnavailable,
    lost_to_another,
    translated_errors,
    turn_awaited,
)
from cloudyard.foundation.database.postgresql import postgresql_engine
from cloudyard.foundation.database.sqlite import (
    prepared_file,
    reading_engine,
    thread_engine,
    writing_engine,
)
from cloudyard.foundation.database.transaction import Transaction
from cloudyard.foundation.database.unit_thread import BEGIN, BEGIN_WRITING, UnitThread
from cloudyard.foundation.finishing import ended

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000
TRIES = 3
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Database:
    """One SQLite file or one PostgreSQL database.

    On SQLite writers of this process take turns through a fair lock, since SQLite's own waiting is a poll;
    grouped work and glances run on a thread each, which costs one thread hop and not one a statement.
    A PostgreSQL that says nothing for `silence_seconds` is unavailable; None waits for ever.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        silence_seconds: float | None = None,
    ) -> None:
        """Raises `DatabaseUrlInvalid`, `PlaceUnusable` or `FeatureUnavailable`."""
        address = database_address(url)
        self._grouping: UnitThread | None = None
        self._glancing: UnitThread | None = None
        self._write_turn: asyncio.Lock | None = None
        self._patience = busy_timeout_ms / 1000
        if is_sqlite(address):
            self._dialect = "sqlite"
            file = prepared_file(address)
            self._writing = writing_engine(file, busy_timeout_ms)
            self._reading = reading_engine(file, busy_timeout_ms, pool_size)
            self._grouping = UnitThread(
                thread_engine(file, busy_timeout_ms), name="database-writer", begin=BEGIN_WRITING
            )
            self._glancing = UnitThread(
                thread_engine(file, busy_timeout_ms, query_only=True), name="database-reader", begin=BEGIN
            )
            self._write_turn = asyncio.Lock()
        else:
            self._dialect = "postgresql"
            self._writing = postgresql_engine(address, pool_size, silence_seconds)
            self._reading = self._writing.execution_options(**SNAPSHOT)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._dialect

    @property
    def may_wait(self) -> bool:
        """Whether work that is given to `run` has a thread to itself, and may wait there for what is to come."""
        return self._grouping is not None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A unit of work: commits when the block ends, rolls back when it raises.

        A commit that has begun is waited for, even by a caller that is cancelled meanwhile.
        Raises `DatabaseUnavailable`.
        """
        async with self._turn(), _begun(self._writing) as connection:
            tx = Transaction(connection)
            yield tx
            await _to_its_end(_commit(connection, tx))

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """A unit of work that is begun again where PostgreSQL gave it up in favour of another.

        `work` must have no effect but its statements. Raises `DatabaseUnavailable`.
        """
        for _ in range(TRIES - 1):
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except DatabaseUnavailable as error:
                if not lost_to_another(error):
                    raise
        async with self.transaction() as tx:
            return await work(tx)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A consistent snapshot for reading, which never waits for writers. Raises `DatabaseUnavailable`."""
        async with _begun(self._reading) as connection:
            yield Transaction(connection)

    async def glance(self, look: Callable[[Connection], T]) -> T:
        """Read a little with synchronous statements, at a fraction of what `reading` costs: for what is looked at
        again and again. Raises `DatabaseUnavailable`.
        """
        if self._glancing is not None:
            with translated_errors():
                return await _to_its_end(self._glancing.submit(look))
        async with self.reading() as tx:
            return await tx.run_sync(look)

    async def run(
        self,
        work: Callable[[Connection], T],
        *,
        durable: Callable[[T], None] | None = None,
    ) -> T:
        """Run synchronous statements as one unit of work (the path of grouped commits).

        `durable` hears of the result once it is on disk, some turns of the event loop before this returns. `work` is
        run again where PostgreSQL gave up its transaction in favour of another, so it must have no effect but its
        statements. Raises `DatabaseUnavailable`.
        """
        if self._grouping is not None:
            async with self._turn():
                with translated_errors():
                    return await _to_its_end(self._grouping.submit(work, durable))
        for _ in range(TRIES - 1):
            try:
                return await self._run_once(work, durable)
            except DatabaseUnavailable as error:
                if not lost_to_another(error):
                    raise
        return await self._run_once(work, durable)

    async def ping(self) -> None:
        """Prove that the database answers and can be written to; raises `DatabaseUnavailable`."""
        async with self.transaction() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Release every connection."""
        await self._writing.dispose()
        await self._reading.dispose()
        for thread in (self._grouping, self._glancing):
            if thread is not None:
                thread.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The right to write, waited for no longer than SQLite itself waits for another process: where one holds the
        file, those who queue here would wait that long one after the other."""
        turn = self._write_turn
        if turn is None:
            yield
            return
        with turn_awaited():
            async with asyncio.timeout(self._patience):
                await turn.acquire()
        try:
            yield
        finally:
            turn.release()

    async def _run_once(self, work: Callable[[Connection], T], durable: Callable[[T], None] | None) -> T:
        async with self.transaction() as tx:
            result = await tx.run_sync(work)
            if durable is not None:
                tx.after_commit(partial(durable, result))
            return result


@asynccontextmanager
async def _begun(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction, which is rolled back unless it was committed."""
    with translated_errors():
        connection = await engine.connect()
    try:
        with translated_errors():
            await connection.begin()
        yield connection
    finally:
        with translated_errors():
            await _to_its_end(connection.close())


async def _commit(connection: AsyncConnection, tx: Transaction) -> None:
    try:
        with translated_errors(committing=True):
            await connection.commit()
    except BaseException:
        await connection.invalidate()  # the transaction may still be open: nobody may go on in it
        raise
    tx.committed()


async def _to_its_end(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Wait for `work` to its end even when cancelled: the write turn is given up only once nothing is under way."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it
        raise
