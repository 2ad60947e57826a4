"""The ledger as other domains and surfaces use it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.ledger.batch import LedgerBatch
from cloudyard.domains.ledger.history import read_history
from cloudyard.domains.ledger.records import (
    MANUAL,
    PROMOTIONS,
    Account,
    Entry,
    EntryKind,
    HistoryEntry,
    HistoryFilter,
    Line,
    Posted,
    Statement,
    Wallet,
    wallet_of,
)
from cloudyard.domains.ledger.repository import read_wallet
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import usd_from_nanos

EVERYTHING = HistoryFilter()
LONGEST_REASON = 500
LONGEST_KEY = 300
LARGEST_ADJUSTMENT = 10**16
"""Nano-dollars: ten million dollars, so that no mistake at the keyboard fills an account."""


class Ledger:
    """Wallets, their history, and the entries that move money without a hold."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, audit: AuditLog) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit

    async def wallet(self, user_id: str) -> Wallet:
        """A user's balances."""
        async with self._database.reading() as tx:
            return await read_wallet(tx, user_id, self._clock.now())

    async def history(
        self, user_id: str, *, limit: int, offset: int = 0, wanted: HistoryFilter = EVERYTHING
    ) -> tuple[Sequence[HistoryEntry], int]:
        """A page of a user's history, newest first unless wanted otherwise, and how many lines match."""
        async with self._database.reading() as tx:
            return await tx.run_sync(lambda connection: read_history(connection, user_id, wanted, limit, offset))

    async def adjust(
        self,
        user_id: str,
        nanos: int,
        *,
        reason: str,
        actor: str | None,
        bonus: bool = False,
        idempotency_key: str | None = None,
    ) -> Posted:
        """Add to a wallet (or take from it, below zero never) by hand, with a reason, in the audit log.

        `actor` is the administrator's user id, None for the command line. A bonus comes out of promotions,
        anything else out of the clearing account for what was settled by hand. The same `idempotency_key` works once.
        Raises `InvalidInput`, `InsufficientCredits`, `IdempotencyConflict` and `AmountOutOfRange`.
        """
        reason = reason.strip()
        _check_adjustment(nanos, reason, idempotency_key)
        key = f"adjustment:{idempotency_key or self._ids.new()}"
        entry = _credit(user_id, nanos, key, reason, actor, PROMOTIONS if bonus else MANUAL)

        async def adjusted(tx: Transaction) -> Posted:
            posted = await tx.run_sync(lambda connection: self._post_one(connection, entry))
            if not posted.repeated:
                details = {"nanos": nanos, "reason": reason, "transaction_id": posted.id}
                await self._audit.record(tx, actor, "ledger.adjusted", f"user:{user_id}", details)
            return posted

        return await self._database.transact(adjusted)

    async def grant_once(self, user_id: str, nanos: int, *, key: str, reason: str) -> Posted:
        """Give promotional credit under a key that works a single time."""
        entry = _credit(user_id, nanos, key, reason, None, PROMOTIONS)
        return await self._database.run(lambda connection: self._post_one(connection, entry))

    def _post_one(self, connection: Connection, entry: Entry) -> Posted:
        batch = LedgerBatch(connection, self._ids, self._clock.now())
        batch.load([line.account for line in entry.lines], keys=[entry.idempotency_key])
        posted = batch.post(entry)
        batch.flush()
        return posted


def _check_adjustment(nanos: int, reason: str, idempotency_key: str | None) -> None:
    if not 0 < abs(nanos) <= LARGEST_ADJUSTMENT:
        raise InvalidInput(
            f"The amount must not be zero, nor larger than {usd_from_nanos(LARGEST_ADJUSTMENT):,} dollars either way.",
            field="amount",
        )
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(f"Give a reason of 1 to {LONGEST_REASON} printable characters.", field="reason")
    if idempotency_key is not None and len(idempotency_key) > LONGEST_KEY:
        raise InvalidInput(f"The idempotency key has more than {LONGEST_KEY} characters.", field="Idempotency-Key")


def _credit(user_id: str, nanos: int, key: str, reason: str, actor: str | None, source: Account) -> Entry:
    return Entry(
        EntryKind.BONUS if source is PROMOTIONS else EntryKind.ADJUSTMENT,
        key,
        (Line(source, -nanos), Line(wallet_of(user_id), nanos)),
        reason,
        Statement(user_id, nanos),
        actor,
    )
