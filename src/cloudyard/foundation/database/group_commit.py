"""Group commit: concurrent commands share one transaction, and so one disk flush.

Whatever has queued while the previous group was being written forms the next group, so a lone caller
never waits for company and a crowd pays for one flush together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from cloudyard.foundation.database.engine import Database
from cloudyard.foundation.database.errors import DatabaseUnavailable
from cloudyard.foundation.errors import DomainError

C = TypeVar("C")
R = TypeVar("R")

Apply = Callable[[Connection, Sequence[C]], Sequence[R | DomainError]]


class _Member(Generic[C, R]):
    """A command and its caller. `decided` exists only where the caller was cancelled and waits for that alone."""

    __slots__ = ("command", "decided", "future")

    def __init__(self, command: C, future: asyncio.Future[R]) -> None:
        self.command = command
        self.future = future
        self.decided: asyncio.Event | None = None

    def resolve(self, outcome: R | BaseException) -> None:
        if self.decided is not None:
            self.decided.set()
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class GroupCommit(Generic[C, R]):
    """Applies commands in groups, in the order of their submission.

    `apply` gets an open transaction and a group, and answers each command with its outcome or with the
    `DomainError` that refuses it; a refused command must have written nothing. Where `apply` or the database fails
    (a broken constraint, a value that does not fit), the group is split and applied again, so that only the command
    at fault fails: `apply` must have no effect but its statements.
    """

    def __init__(self, database: Database, apply: Apply[C, R], *, largest: int = 512) -> None:
        self._database = database
        self._apply = apply
        self._largest = largest
        self._waiting: deque[_Member[C, R]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, command: C) -> R:
        """Queue a command and wait until it is durable. Raises what `apply` refused it with.

        A command is never undone by cancelling its caller; a cancelled caller goes on only once its command is
        decided, so that what it undoes then cannot overtake it.
        """
        member: _Member[C, R] = _Member(command, asyncio.get_running_loop().create_future())
        self._waiting.append(member)
        if self._worker is None:
            self._worker = asyncio.create_task(self._drain(), name="group-commit")
        try:
            return await member.future
        except asyncio.CancelledError:
            if member.future.cancelled() and self._worker is not None:
                member.decided = asyncio.Event()
                await member.decided.wait()
            raise

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._largest)
                await self._commit([self._waiting.popleft() for _ in range(size)])
        except asyncio.CancelledError:
            _cancel(self._waiting)
            self._waiting.clear()
            raise
        finally:
            self._worker = None

    async def _commit(self, group: Sequence[_Member[C, R]]) -> None:
        commands = [member.command for member in group]
        try:
            outcomes = await self._database.run(lambda connection: self._apply(connection, commands))
        except DatabaseUnavailable as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001 - handed to the caller at fault, none is swallowed
            await self._commit_apart(group, error)
        except asyncio.CancelledError:
            _cancel(group)
            raise
        else:
            for member, outcome in zip(group, outcomes, strict=True):
                member.resolve(outcome)

    async def _commit_apart(self, group: Sequence[_Member[C, R]], error: Exception) -> None:
        """One bad command must not fail its neighbours: halve the group until it stands alone."""
        if len(group) == 1:
            _fail(group, error)
            return
        middle = len(group) // 2
        await self._commit(group[:middle])
        await self._commit(group[middle:])


def _fail(group: Sequence[_Member[C, R]], error: Exception) -> None:
    for member in group:
        member.resolve(error)


def _cancel(group: Iterable[_Member[C, R]]) -> None:
    for member in group:
        member.future.cancel()
        if member.decided is not None:
            member.decided.set()
