"""Administration as surfaces use it. Every act is in the audit log, in the transaction that performs it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from cloudyard.domains.administration import repository
from cloudyard.domains.administration.records import Figures, Overview
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import Role, User, UserOrder, Users, UserStatus
from cloudyard.domains.ledger import Entry, EntryKind, LedgerBatch, Line, Posted, Statement, wallet_of
from cloudyard.domains.ledger.records import MANUAL
from cloudyard.domains.ledger.repository import read_wallet
from cloudyard.domains.ledger.service import LARGEST_ADJUSTMENT, LONGEST_REASON
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import usd_from_nanos


class Administration:
    """Users with their credit, changes of both in one go, and the installation in numbers."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, audit: AuditLog, users: Users) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._users = users

    async def users(
        self,
        *,
        role: Role | None = None,
        status: UserStatus | None = None,
        search: str | None = None,
        order: UserOrder = UserOrder.CREATED_AT,
        descending: bool = True,
        limit: int = 20,
        offset: int = 0,
    ) -> tuple[Sequence[Overview], int]:
        """A page of the users that match, with their credit, and how many match. See `Users.list`."""
        found = await self._users.list(
            role=role, status=status, search=search, order=order, descending=descending, limit=limit, offset=offset
        )
        async with self._database.reading() as tx:
            credit = await repository.available_credit(tx, [user.id for user in found])
        total = await self._users.count(role=role, status=status, search=search)
        return [Overview(user, credit.get(user.id, 0)) for user in found], total

    async def change(
        self,
        user_id: str,
        *,
        actor: str,
        role: Role | None = None,
        status: UserStatus | None = None,
        credit: int | None = None,
        reason: str = "",
    ) -> User:
        """Change role, status and free credit together or not at all; None leaves it as it is.

        The credit is reached by an adjustment in the ledger with the `reason`; `actor` is the administrator's id.
        Raises `UserNotFound`, `LastAdmin`, and `InvalidInput` for a credit or reason that cannot be.
        """

        async def change(tx: Transaction) -> User:
            user = await self._users.administer(tx, user_id, role=role, status=status, actor=actor)
            if credit is not None:
                await self._reach(tx, user_id, credit, reason.strip(), actor)
            return user

        return await self._database.transact(change)

    async def figures(self) -> Figures:
        """The installation in numbers, as they are now."""
        month = self._clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        async with self._database.reading() as tx:
            turnover = await repository.turnover(tx)
            received = await repository.received(tx)
        return Figures(
            users=await self._users.count(),
            active_users=await self._users.count(status=UserStatus.ACTIVE),
            new_users=await self._users.count(since=month),
            purchased=turnover[EntryKind.PURCHASE],
            used=-turnover[EntryKind.USAGE],
            received=received,
        )

    async def _reach(self, tx: Transaction, user_id: str, credit: int, reason: str, actor: str) -> None:
        """Adjust what is free to spend to `credit`. The balance is read under the lock that the adjustment holds."""
        now = self._clock.now()
        batch = await tx.run_sync(lambda connection: _loaded(connection, self._ids, now, user_id))
        nanos = credit - (await read_wallet(tx, user_id, now)).available
        if nanos == 0:
            return
        _check(credit, nanos, reason)
        entry = _adjustment(user_id, nanos, f"adjustment:{self._ids.new()}", reason, actor)
        posted = await tx.run_sync(lambda _: _posted(batch, entry))
        details = {"nanos": nanos, "reason": reason, "transaction_id": posted.id}
        await self._audit.record(tx, actor, "ledger.adjusted", f"user:{user_id}", details)


def _loaded(connection: Connection, ids: Ids, now: datetime, user_id: str) -> LedgerBatch:
    batch = LedgerBatch(connection, ids, now)
    batch.load([MANUAL, wallet_of(user_id)])
    return batch


def _posted(batch: LedgerBatch, entry: Entry) -> Posted:
    posted = batch.post(entry)
    batch.flush()
    return posted


def _check(credit: int, nanos: int, reason: str) -> None:
    if credit < 0:
        raise InvalidInput("No balance goes below zero. Set it to zero or more.", field="credits")
    if abs(nanos) > LARGEST_ADJUSTMENT:
        raise InvalidInput(
            f"This changes the balance by more than {usd_from_nanos(LARGEST_ADJUSTMENT):,} dollars at once.",
            field="credits",
        )
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(f"Give a reason of 1 to {LONGEST_REASON} printable characters.", field="reason")


def _adjustment(user_id: str, nanos: int, key: str, reason: str, actor: str) -> Entry:
    lines = (Line(MANUAL, -nanos), Line(wallet_of(user_id), nanos))
    return Entry(EntryKind.ADJUSTMENT, key, lines, reason, Statement(user_id, nanos), actor)
