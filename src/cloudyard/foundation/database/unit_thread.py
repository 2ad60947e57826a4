"""A thread that runs units of work on SQLite, and waits for its disk."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from sqlalchemy import Connection, Engine

from cloudyard.foundation.database.sqlite import run_statement

T = TypeVar("T")
V = TypeVar("V")

BEGIN = "BEGIN"
BEGIN_WRITING = "BEGIN IMMEDIATE"


class UnitThread:
    """Runs work on a connection that it keeps: taking one from a pool costs as much as a small statement, and an
    executor's bookkeeping as much as two."""

    def __init__(self, engine: Engine, *, name: str, begin: str) -> None:
        self._engine = engine
        self._name = name
        self._begin_statement = begin
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], T], durable: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Run `work` as a unit of work in the thread; `durable` hears of its result before the future does."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def committed(result: T) -> None:
            try:
                if durable is not None:
                    durable(result)
            finally:
                outcome.set_result(result)

        def job() -> None:
            try:
                self._begin()
                result = self._write(work)
                self._commit()
            except BaseException as error:  # noqa: BLE001 - raised where the outcome is awaited
                tell(loop, outcome.set_exception, error)
            else:
                tell(loop, committed, result)

        self._hand_over(job)
        return outcome

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
            self._thread = Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        for job in iter(self._jobs.get, None):
            job()
        self._disconnect()

    def _begin(self) -> None:
        with self._given_up():
            run_statement(self._open(), self._begin_statement)

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Do work in the unit that was begun. Where it fails everything is rolled back."""
        with self._given_up():
            return work(self._open())

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


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[[V], object], value: V) -> None:
    """Have the loop call back, from another thread."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, value)
