"""Engines and the unit of work. Only this module commits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Row, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cloudyard.foundation.database.errors import translated_errors

T = TypeVar("T")

READ_ONLY = "cloudyard_read_only"
BUSY_TIMEOUT_MS = 5000
STATEMENT_TIMEOUT_MS = 30_000


class Transaction:
    """Statements that take effect together, when the surrounding `Database.transaction()` ends."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._after_commit: list[Callable[[], None]] = []

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._connection.dialect.name

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement; a list of parameter sets runs it for each."""
        return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable) -> Any:
        """First column of the first row, or None."""
        return await self._connection.scalar(statement)

    async def first(self, statement: Executable) -> Row[Any] | None:
        """The first row, or None."""
        return (await self._connection.execute(statement)).first()

    async def all(self, statement: Executable) -> list[Row[Any]]:
        """Every row."""
        return list((await self._connection.execute(statement)).all())

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run synchronous statements (shared with `Database.run`) inside this transaction."""
        return await self._connection.run_sync(work)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the change is durable; never if it is rolled back. The callback must not fail."""
        self._after_commit.append(callback)

    def committed(self) -> None:
        """Run what waits for the commit (called by `Database` alone)."""
        for callback in self._after_commit:
            callback()


class Database:
    """One SQLite file or one PostgreSQL database.

    On SQLite writers of this process take turns through a fair lock, since SQLite's own waiting is a poll;
    grouped work runs on one writer thread, which costs one thread hop a group and not one a statement.
    """

    def __init__(self, url: str, *, pool_size: int = 10, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        parsed = make_url(url)
        self._dialect = parsed.get_backend_name()
        if self._dialect == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), pool_size=pool_size)
            writer = create_engine(parsed.set(drivername="sqlite"), pool_size=1, max_overflow=0)
            _configure_sqlite(engine.sync_engine, busy_timeout_ms)
            _configure_sqlite(writer, busy_timeout_ms)
            self._writer: Engine | None = writer
            self._write_lock: asyncio.Lock | None = asyncio.Lock()
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-writer")
        else:
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"),
                pool_size=pool_size,
                pool_pre_ping=True,
                connect_args={
                    "timeout": 10,
                    "server_settings": {
                        "application_name": "cloudyard",
                        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                        "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
                    },
                },
            )
            self._writer = None
            self._write_lock = None
        self._engine: AsyncEngine = engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A unit of work: commits when the block ends, rolls back when it raises."""
        with translated_errors():
            async with self._turn(), self._engine.begin() as connection:
                tx = Transaction(connection)
                yield tx
            tx.committed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A consistent snapshot for reading, which never waits for writers."""
        with translated_errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(**{READ_ONLY: True})
                async with connection.begin():
                    yield Transaction(connection)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run synchronous statements as one unit of work (the path of grouped commits)."""
        with translated_errors():
            if self._writer is None:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            async with self._turn():
                loop = asyncio.get_running_loop()
                job = loop.run_in_executor(self._thread, _in_transaction, self._writer, work)
                return await _uninterrupted(job)

    async def ping(self) -> None:
        """Prove that the database answers; raises `DatabaseUnavailable`."""
        async with self.reading() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Release every connection."""
        await self._engine.dispose()
        if self._writer is not None:
            self._thread.shutdown(wait=True)
            self._writer.dispose()

    def _turn(self) -> AbstractAsyncContextManager[object]:
        return self._write_lock if self._write_lock is not None else nullcontext()


def _in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


async def _uninterrupted(job: "asyncio.Future[T]") -> T:
    """Wait for `job` to its end even when cancelled: the write turn is given up only once the thread is idle."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        raise


def _configure_sqlite(engine: Engine, busy_timeout_ms: int) -> None:
    def connected(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to say, not the driver's
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={busy_timeout_ms}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
