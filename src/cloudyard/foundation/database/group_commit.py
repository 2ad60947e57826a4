"""Group commit: concurrent commands share one transaction, and so one disk flush.

Whatever has queued while the previous group was being written forms the next group, so that nobody who waits for the
disk waits for company, and a crowd pays for one flush together. A group that nobody waits for waits a moment for what
follows from it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from cloudyard.foundation.database.engine import Database
from cloudyard.foundation.database.errors import DatabaseUnavailable
from cloudyard.foundation.database.joining import OpenGroup
from cloudyard.foundation.database.unit_thread import tell
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.finishing import until_done

C = TypeVar("C")
R = TypeVar("R")

OPEN_SECONDS = 0.001
"""How long a group stays open that nobody waits for. A quick answer comes within that time, and is charged in the same
commit as its hold; everybody else who writes waits so much longer."""

CommandT = TypeVar("CommandT", contravariant=True)
OutcomeT = TypeVar("OutcomeT", covariant=True)


class Batch(Protocol[CommandT, OutcomeT]):
    """What decides and writes the commands of one transaction. It must have no effect but its statements."""

    def decide(self, commands: Sequence[CommandT]) -> Sequence[OutcomeT | DomainError]:
        """Answer each command with its outcome, or with what refuses it; a refused command leaves nothing behind.

        There may be more commands later, which see what was decided before.
        """
        ...

    def write(self) -> None:
        """Write what was decided and not yet written."""
        ...


OpenBatch = Callable[[Connection], Batch[C, R]]


class _AtOnce(Generic[C, R]):
    def __init__(self, connection: Connection, apply: Callable[[Connection, Sequence[C]], Sequence[R]]) -> None:
        self._connection = connection
        self._apply = apply

    def decide(self, commands: Sequence[C]) -> Sequence[R]:
        return self._apply(self._connection, commands)

    def write(self) -> None:
        """All of it is written."""


def at_once(apply: Callable[[Connection, Sequence[C]], Sequence[R]]) -> OpenBatch[C, R]:
    """A batch that writes what it decides with the same statements."""
    return lambda connection: _AtOnce(connection, apply)


class UnderWay(Generic[R]):
    """A command whose caller does not wait for the disk, or not yet."""

    __slots__ = ("_member",)

    def __init__(self, member: "_Member[Any, R]") -> None:
        self._member = member

    @property
    def was_refused(self) -> bool:
        """Whether nothing came of it, as far as is known."""
        future = self._member.future
        return future.done() and (future.cancelled() or future.exception() is not None)

    async def durable(self) -> R:
        """Wait until it is on disk, soon. Raises what it was refused with, or what the commit failed with."""
        self._member.hurry()
        return await asyncio.shield(self._member.future)


class _Member(Generic[C, R]):
    """A command and its caller, who hears of the outcome, or at least of the moment when there is one.

    `is_urgent` tells whether its caller waits until it is durable, `accepted` is there for one who waits until it is
    decided, and `door` is that of its group while others may join that.
    """

    __slots__ = ("_decided", "_waiter", "accepted", "command", "door", "future", "is_urgent")

    def __init__(self, command: C, *, is_urgent: bool, accepted: asyncio.Future[None] | None) -> None:
        self.command = command
        self.is_urgent = is_urgent
        self.accepted = accepted
        self.door: OpenGroup[Any] | None = None
        self.future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._decided = False
        self._waiter: asyncio.Event | None = None
        if not is_urgent:
            self.future.add_done_callback(_heard)

    def hurry(self) -> None:
        """From now on its caller waits until it is durable."""
        self.is_urgent = True
        if self.door is not None and not self.future.done():
            self.door.hurry()

    def accept(self, outcome: R | DomainError) -> None:
        """Tell a caller who goes on early, unless it was cancelled. A refusal waits until what led to it is durable."""
        if self.accepted is None or self.accepted.done() or isinstance(outcome, DomainError):
            return
        self.accepted.set_result(None)

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


class _Group(Generic[C, R]):
    """Commands that are written and committed together. Others may join while it is open."""

    def __init__(
        self, members: list[_Member[C, R]], open_batch: OpenBatch[C, R], door: OpenGroup[_Member[C, R]] | None
    ) -> None:
        self.members = members
        self._open_batch = open_batch
        self._door = door
        self._outcomes: list[R | DomainError] = []
        self._loop = asyncio.get_running_loop()
        for member in members:
            member.door = door

    def joined_by(self, member: _Member[C, R]) -> bool:
        """Whether the member has become one of the group."""
        if self._door is None or not self._door.join(member):
            return False
        member.door = self._door
        return True

    def write(self, connection: Connection) -> Sequence[R | DomainError]:
        """Write every command, and those that come meanwhile where nobody waits for these."""
        batch = self._open_batch(connection)
        self._outcomes = []
        self._decide(batch, self.members)
        if self._door is not None:
            self._decide_what_follows(batch, self._door)
        batch.write()
        return self._outcomes

    def close(self) -> None:
        """Let nobody join any more. Where writing failed, those who did share its fate."""
        if self._door is not None:
            self.members.extend(self._door.close())

    def resolve(self, outcomes: Sequence[R | DomainError]) -> None:
        """Tell everyone what came of it."""
        for member, outcome in zip(self.members, outcomes, strict=True):
            member.resolve(outcome)

    def fail(self, error: Exception) -> None:
        """Tell everyone that nothing came of it."""
        for member in self.members:
            member.resolve(error)

    def _decide_what_follows(self, batch: Batch[C, R], door: OpenGroup[_Member[C, R]]) -> None:
        until = monotonic() + OPEN_SECONDS
        while joined := door.more(until):
            self.members.extend(joined)
            self._decide(batch, joined)
            if any(member.is_urgent for member in joined):
                break
        if late := door.close():
            self.members.extend(late)
            self._decide(batch, late)

    def _decide(self, batch: Batch[C, R], members: Sequence[_Member[C, R]]) -> None:
        outcomes = batch.decide([member.command for member in members])
        self._outcomes.extend(outcomes)
        early = [(m, outcome) for m, outcome in zip(members, outcomes, strict=True) if m.accepted is not None]
        if early:
            tell(self._loop, self._accept, early)

    def _accept(self, early: Sequence[tuple[_Member[C, R], R | DomainError]]) -> None:
        for member, outcome in early:
            member.accept(outcome)


class GroupCommit(Generic[C, R]):
    """Applies commands in groups, in the order of their submission.

    `open_batch` begins a batch in an open transaction. Where the batch or the database fails (a broken constraint, a
    value that does not fit), the group is split and applied again, so that only the command at fault fails. `on_group`
    hears of the size of each group.
    """

    def __init__(
        self,
        database: Database,
        open_batch: OpenBatch[C, R],
        *,
        largest: int = 512,
        on_group: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._open_batch = open_batch
        self._largest = largest
        self._on_group = on_group
        self._waiting: deque[_Member[C, R]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._under_way: _Group[C, R] | None = None

    async def submit(self, command: C) -> R:
        """Queue a command and wait until it is durable. Raises what it was refused with.

        A command is never undone by cancelling its caller; a cancelled caller goes on only once its command is
        decided, so that what it undoes then cannot overtake it.
        """
        member = self._queue(_Member(command, is_urgent=True, accepted=None))
        try:
            return await member.future
        except asyncio.CancelledError:
            await member.decided()
            raise

    async def begin(self, command: C) -> UnderWay[R]:
        """Queue a command and wait until it is accepted, but not until it is durable: that goes on meanwhile.

        What the caller does next must be of no consequence if writing it fails. Commands that are queued later see
        this one. Otherwise as `submit`.
        """
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        member = self._queue(_Member(command, is_urgent=False, accepted=accepted))
        try:
            await accepted
        except asyncio.CancelledError:
            await member.decided()
            raise
        return UnderWay(member)

    def ahead(self, command: C) -> UnderWay[R]:
        """Queue a command and wait for nothing: it may be refused yet. Otherwise as `begin`."""
        return UnderWay(self._queue(_Member(command, is_urgent=False, accepted=None)))

    def _queue(self, member: _Member[C, R]) -> _Member[C, R]:
        if self._under_way is not None and not self._waiting and self._under_way.joined_by(member):
            return member
        self._waiting.append(member)
        if self._worker is None:
            self._worker = asyncio.create_task(self._drain(), name="group-commit")
            self._worker.add_done_callback(self._ended)
        return member

    async def _drain(self) -> None:
        members: list[_Member[C, R]] = []
        try:
            while self._waiting:
                size = min(len(self._waiting), self._largest)
                members = [self._waiting.popleft() for _ in range(size)]
                await self._commit(members, stays_open=True)
                if self._on_group is not None:
                    self._on_group(len(members))
        except BaseException:
            self._abandon([*members, *self._waiting])
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

    async def _commit(self, members: list[_Member[C, R]], *, stays_open: bool = False) -> None:
        """Commit a group; those who join it become members."""
        waits = stays_open and self._database.may_wait and not any(member.is_urgent for member in members)
        group = _Group(members, self._open_batch, OpenGroup(self._largest - len(members)) if waits else None)
        self._under_way = group
        try:
            await self._database.run(group.write, durable=group.resolve)
        except DatabaseUnavailable as error:
            group.close()
            group.fail(error)
        except Exception as error:  # noqa: BLE001 - handed to the caller at fault, none is swallowed
            group.close()
            await self._commit_apart(members, error)
        finally:
            group.close()
            self._under_way = None

    async def _commit_apart(self, members: list[_Member[C, R]], error: Exception) -> None:
        """One bad command must not fail its neighbours: halve the group until it stands alone."""
        if len(members) == 1:
            members[0].resolve(error)
            return
        middle = len(members) // 2
        await self._commit(members[:middle])
        await self._commit(members[middle:])


def _fail(future: asyncio.Future[Any] | None, error: BaseException) -> None:
    if future is not None and not future.done():
        future.set_exception(error)


def _heard(future: asyncio.Future[Any]) -> None:
    """Whoever goes on early need not come back to ask."""
    if not future.cancelled():
        future.exception()
