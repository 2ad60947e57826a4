"""Group commit: concurrent commands share one transaction, and so one disk flush.

Whatever has queued while the previous group was being written forms the next group, so a lone caller
never waits for company and a crowd pays for one flush together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from cloudyard.foundation.database.engine import Database
from cloudyard.foundation.database.errors import DatabaseUnavailable
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.finishing import until_done

C = TypeVar("C")
R = TypeVar("R")

Apply = Callable[[Connection, Sequence[C]], Sequence[R | DomainError]]


class Accepted(Generic[R]):
    """A command that was accepted and written, and will be durable unless its commit fails."""

    __slots__ = ("_durable", "outcome")

    def __init__(self, outcome: R, durable: asyncio.Future[R]) -> None:
        self.outcome = outcome
        self._durable = durable

    async def durable(self) -> None:
        """Wait until it is on disk. Raises what the commit failed with."""
        await asyncio.shield(self._durable)


class _Member(Generic[C, R]):
    """A command and its caller, who hears of the outcome, or at least of the moment when there is one."""

    __slots__ = ("_decided", "_waiter", "accepted", "command", "future")

    def __init__(self, command: C, accepted: asyncio.Future[Accepted[R]] | None) -> None:
        self.command = command
        self.accepted = accepted
        self.future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._decided = False
        self._waiter: asyncio.Event | None = None
        if accepted is not None:
            self.future.add_done_callback(_heard)

    def written(self, outcome: R | DomainError) -> None:
        """Tell a caller who goes on early, unless it was cancelled. A refusal waits until what led to it is durable."""
        if self.accepted is None or self.accepted.done() or isinstance(outcome, DomainError):
            return
        self.accepted.set_result(Accepted(outcome, self.future))

    def resolve(self, outcome: R | BaseException) -> None:
        """Tell the caller, unless it was cancelled."""
        self._decide()
        if isinstance(outcome, BaseException):
            _fail(self.future, outcome)
            _fail(self.accepted, outcome)
        elif not self.future.done():
            self.future.set_result(outcome)

    def abandon(self) -> None:
        """Nobody will ever know the outcome."""
        self._decide()
        self.future.cancel()
        if self.accepted is not None:
            self.accepted.cancel()

    async def decided(self) -> None:
        """Return once there is an outcome: it may have come in the very turn in which the caller was cancelled."""
        if not self._decided:
            self._waiter = asyncio.Event()
            await until_done(lambda: self._decided, self._waiter.wait)

    def _decide(self) -> None:
        self._decided = True
        if self._waiter is not None:
            self._waiter.set()


class GroupCommit(Generic[C, R]):
    """Applies commands in groups, in the order of their submission.

    `apply` gets an open transaction and a group, and answers each command with its outcome or with the
    `DomainError` that refuses it; a refused command must have written nothing. Where `apply` or the database fails
    (a broken constraint, a value that does not fit), the group is split and applied again, so that only the command
    at fault fails: `apply` must have no effect but its statements. `on_group` hears of the size of each group.
    """

    def __init__(
        self,
        database: Database,
        apply: Apply[C, R],
        *,
        largest: int = 512,
        on_group: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._apply = apply
        self._largest = largest
        self._on_group = on_group
        self._waiting: deque[_Member[C, R]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, command: C) -> R:
        """Queue a command and wait until it is durable. Raises what `apply` refused it with.

        A command is never undone by cancelling its caller; a cancelled caller goes on only once its command is
        decided, so that what it undoes then cannot overtake it.
        """
        member = self._queue(command)
        try:
            return await member.future
        except asyncio.CancelledError:
            await member.decided()
            raise

    async def begin(self, command: C) -> Accepted[R]:
        """Queue a command and wait until it is written, but not until it is durable: that goes on meanwhile.

        What the caller does next must be of no consequence if the commit fails. Commands that are queued later see
        this one. Otherwise as `submit`.
        """
        accepted: asyncio.Future[Accepted[R]] = asyncio.get_running_loop().create_future()
        member = self._queue(command, accepted)
        try:
            return await accepted
        except asyncio.CancelledError:
            await member.decided()
            raise

    def _queue(self, command: C, accepted: asyncio.Future[Accepted[R]] | None = None) -> _Member[C, R]:
        member: _Member[C, R] = _Member(command, accepted)
        self._waiting.append(member)
        if self._worker is None:
            self._worker = asyncio.create_task(self._drain(), name="group-commit")
            self._worker.add_done_callback(self._ended)
        return member

    async def _drain(self) -> None:
        group: list[_Member[C, R]] = []
        try:
            while self._waiting:
                size = min(len(self._waiting), self._largest)
                group = [self._waiting.popleft() for _ in range(size)]
                if self._on_group is not None:
                    self._on_group(size)
                await self._commit(group)
        except BaseException:
            self._abandon([*group, *self._waiting])
            raise
        finally:
            self._worker = None

    def _ended(self, worker: asyncio.Task[None]) -> None:
        """A task that was cancelled before its first step could not clean up itself."""
        if self._worker is worker:
            self._worker = None
            self._abandon(list(self._waiting))

    def _abandon(self, members: Sequence[_Member[C, R]]) -> None:
        self._waiting.clear()
        for member in members:
            member.abandon()

    async def _commit(self, group: Sequence[_Member[C, R]]) -> None:
        commands = [member.command for member in group]
        early = [(place, member) for place, member in enumerate(group) if member.accepted is not None]

        def written(outcomes: Sequence[R | DomainError]) -> None:
            for place, member in early:
                member.written(outcomes[place])

        def apply(connection: Connection) -> Sequence[R | DomainError]:
            return self._apply(connection, commands)

        try:
            outcomes = await self._database.run(apply, written=written if early else None)
        except DatabaseUnavailable as error:
            _resolve_all(group, error)
        except Exception as error:  # noqa: BLE001 - handed to the caller at fault, none is swallowed
            await self._commit_apart(group, error)
        else:
            for member, outcome in zip(group, outcomes, strict=True):
                member.resolve(outcome)

    async def _commit_apart(self, group: Sequence[_Member[C, R]], error: Exception) -> None:
        """One bad command must not fail its neighbours: halve the group until it stands alone."""
        if len(group) == 1:
            _resolve_all(group, error)
            return
        middle = len(group) // 2
        await self._commit(group[:middle])
        await self._commit(group[middle:])


def _resolve_all(group: Sequence[_Member[C, R]], error: Exception) -> None:
    for member in group:
        member.resolve(error)


def _fail(future: asyncio.Future[Any] | None, error: BaseException) -> None:
    if future is not None and not future.done():
        future.set_exception(error)


def _heard(future: asyncio.Future[Any]) -> None:
    """Whoever goes on early need not come back to ask."""
    if not future.cancelled():
        future.exception()
