"""The thread that waits for SQLite's disk, and runs work of groups."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from cloudyard.foundation.database.sqlite import run_statement

T = TypeVar("T")
V = TypeVar("V")

BEGIN = "BEGIN IMMEDIATE"
IMPATIENT = "PRAGMA busy_timeout=0"


class WriterThread:
    """Runs work on a connection that it keeps: taking one from a pool costs as much as a small statement, and an
    executor's bookkeeping as much as two.

    A caller on the event loop may write by itself and leave the thread nothing but the commit. The connection is used
    by one of both at a time, since whoever writes has the database's turn to write.
    """

    def __init__(self, engine: Engine, busy_timeout_ms: int) -> None:
        self._engine = engine
        self._busy_timeout_ms = busy_timeout_ms
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], T], written: Callable[[T], None] | None) -> asyncio.Future[T]:
        """Run `work` as a unit of work in the thread; `written` hears of its result before the commit."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                self._begin_patiently()
                result = self.write(work)
                if written is not None:
                    _tell(loop, written, result)
                self._commit()
            except BaseException as error:  # noqa: BLE001 - raised where the outcome is awaited
                _tell(loop, outcome.set_exception, error)
            else:
                _tell(loop, outcome.set_result, result)

        self._hand_over(job)
        return outcome

    def begin(self) -> bool:
        """Begin a unit of work in the caller's thread: not where another process is writing, nor the first."""
        if self._closed or self._connection is None:
            return False
        try:
            run_statement(self._connection, BEGIN)
        except DBAPIError:
            return False  # whoever tries it in the thread waits for the other, or hears what is wrong
        return True

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in the unit that was begun. Where it fails everything is rolled back."""
        with self._given_up():
            return work(self._open())

    def commit_soon(self, result: T, ended: Callable[[T | Exception], None]) -> None:
        """Have the thread commit what the caller wrote; `ended` hears of `result` then, or of what failed."""
        loop = asyncio.get_running_loop()

        def job() -> None:
            try:
                self._commit()
            except Exception as error:  # noqa: BLE001 - told to whoever waits for the end
                _tell(loop, ended, error)
            else:
                _tell(loop, ended, result)

        self._hand_over(job)

    def close(self) -> None:
        """End the thread, once it has done what it was given."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        self._engine.dispose()

    def _hand_over(self, job: Callable[[], None]) -> None:
        if self._closed:
            raise RuntimeError("the database is closed")
        self._jobs.put(job)
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="database-writer", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        for job in iter(self._jobs.get, None):
            job()
        self._disconnect()

    def _begin_patiently(self) -> None:
        """Begin, waiting for another process that is writing."""
        connection = self._open()
        with self._given_up():
            run_statement(connection, f"PRAGMA busy_timeout={self._busy_timeout_ms}")
            run_statement(connection, BEGIN)
            run_statement(connection, IMPATIENT)

    def _commit(self) -> None:
        with self._given_up():
            run_statement(self._open(), "COMMIT")

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    @contextmanager
    def _given_up(self) -> Iterator[None]:
        """Give the connection up where something fails: that rolls back, and its state is not worth finding out."""
        try:
            yield
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[V], object], value: V) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, value)
