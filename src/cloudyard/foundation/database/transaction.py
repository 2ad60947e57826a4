"""What callers hold while a unit of work is open."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from cloudyard.foundation.database.errors import translated_errors

T = TypeVar("T")


class Transaction:
    """Statements that take effect together, when the surrounding `Database.transaction()` ends.

    Every method raises `DatabaseUnavailable` where the database cannot be used.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._after_commit: list[Callable[[], None]] = []

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._connection.dialect.name

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement; a list of parameter sets runs it for each."""
        with translated_errors():
            return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable) -> Any:
        """First column of the first row, or None."""
        return (await self.execute(statement)).scalar()

    async def first(self, statement: Executable) -> Row[Any] | None:
        """The first row, or None."""
        return (await self.execute(statement)).first()

    async def all(self, statement: Executable) -> list[Row[Any]]:
        """Every row."""
        return list((await self.execute(statement)).all())

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run synchronous statements (shared with `Database.run`) inside this transaction."""
        with translated_errors():
            return await self._connection.run_sync(work)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the change is durable; never if it is rolled back. The callback must not fail."""
        self._after_commit.append(callback)

    def committed(self) -> None:
        """Run what waits for the commit (called by `Database` alone)."""
        for callback in self._after_commit:
            callback()
