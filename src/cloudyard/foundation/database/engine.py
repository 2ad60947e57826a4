"""Engines and the unit of work. Only this module commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloudyard.foundation.database.errors import DatabaseUnavailable, lost_to_another, translated_errors, turn_awaited
from cloudyard.foundation.database.postgresql import postgresql_engine
from cloudyard.foundation.database.sqlite import (
    grouping_engine,
    prepared_file,
    reading_engine,
    run_statement,
    writing_engine,
)
from cloudyard.foundation.database.transaction import Transaction

T = TypeVar("T")
V = TypeVar("V")

BUSY_TIMEOUT_MS = 5000
TRIES = 3
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Database:
    """One SQLite file or one PostgreSQL database.

    On SQLite writers of this process take turns through a fair lock, since SQLite's own waiting is a poll;
    grouped work runs on one writer thread, which costs one thread hop a group and not one a statement.
    """

    def __init__(self, url: str, *, pool_size: int = 10, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        parsed = make_url(url)
        self._grouping: _WriterThread | None = None
        self._write_lock: asyncio.Lock | None = None
        self._patience = busy_timeout_ms / 1000
        match parsed.get_backend_name():
            case "sqlite":
                file = prepared_file(parsed)
                self._dialect = "sqlite"
                self._writing = writing_engine(file, busy_timeout_ms)
                self._reading = reading_engine(file, busy_timeout_ms, pool_size)
                self._grouping = _WriterThread(grouping_engine(file, busy_timeout_ms))
                self._write_lock = asyncio.Lock()
            case "postgresql" | "postgres":
                self._dialect = "postgresql"
                self._writing = postgresql_engine(parsed, pool_size)
                self._reading = self._writing.execution_options(**SNAPSHOT)
            case other:
                raise ValueError(f"{other} is not supported: the database URL begins with sqlite or postgresql.")

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._dialect

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

    async def run(self, work: Callable[[Connection], T], *, written: Callable[[T], None] | None = None) -> T:
        """Run synchronous statements as one unit of work (the path of grouped commits).

        `written` hears of the result as soon as everything is written, before it is durable: the commit may still
        fail. `work` is run again where PostgreSQL gave up its transaction in favour of another, so it must have no
        effect but its statements. Raises `DatabaseUnavailable`.
        """
        if self._grouping is not None:
            async with self._turn():
                with translated_errors():
                    return await _to_its_end(self._grouping.submit(work, written))
        for _ in range(TRIES - 1):
            try:
                return await self._run_once(work, written)
            except DatabaseUnavailable as error:
                if not lost_to_another(error):
                    raise
        return await self._run_once(work, written)

    async def ping(self) -> None:
        """Prove that the database answers and can be written to; raises `DatabaseUnavailable`."""
        async with self.transaction() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Release every connection."""
        await self._writing.dispose()
        await self._reading.dispose()
        if self._grouping is not None:
            self._grouping.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The right to write, waited for no longer than SQLite itself waits for another process: where one holds the
        file, those who queue here would wait that long one after the other."""
        lock = self._write_lock
        if lock is None:
            yield
            return
        with turn_awaited():
            async with asyncio.timeout(self._patience):
                await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    async def _run_once(self, work: Callable[[Connection], T], written: Callable[[T], None] | None) -> T:
        async with self.transaction() as tx:
            result = await tx.run_sync(work)
            if written is not None:
                written(result)
            return result


class _WriterThread:
    """The thread that runs grouped work, on a connection that it keeps: taking one from a pool costs as much as a
    small statement, and an executor's bookkeeping as much as two."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], T], written: Callable[[T], None] | None) -> asyncio.Future[T]:
        if self._closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def heard(result: T) -> None:
            if written is not None:
                _tell(loop, written, result)

        def job() -> None:
            try:
                result = self._in_transaction(work, heard)
            except BaseException as error:  # noqa: BLE001 - raised where the outcome is awaited
                _tell(loop, outcome.set_exception, error)
            else:
                _tell(loop, outcome.set_result, result)

        self._jobs.put(job)
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="database-writer", daemon=True)
            self._thread.start()
        return outcome

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        for job in iter(self._jobs.get, None):
            job()
        self._disconnect()

    def _in_transaction(self, work: Callable[[Connection], T], heard: Callable[[T], None]) -> T:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            run_statement(self._connection, "BEGIN IMMEDIATE")
            result = work(self._connection)
            heard(result)
            run_statement(self._connection, "COMMIT")
        except BaseException:
            self._disconnect()  # it rolls back, and what state it is in is not worth finding out
            raise
        return result

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[V], object], value: V) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, value)


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
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it
        raise
