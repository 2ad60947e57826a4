"""Idempotency keys: the same key and body give the same answer, once.

Follows draft-ietf-httpapi-idempotency-key-header-07: a repeat while the first is in flight and a key that
comes with another body are both refused. A claim lapses on its own, so that a process that was killed blocks no
key for long; while its request runs in this process it is extended.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, UtcDateTime, metadata
from cloudyard.foundation.durable.pruning import delete_in_batches
from cloudyard.foundation.errors import DomainError, ErrorKind, InvalidInput

KEPT_FOR = timedelta(hours=24)
IN_FLIGHT_FOR = timedelta(minutes=15)
EXTENDED_EVERY = timedelta(minutes=3)
LONGEST_KEY = 255

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("key", String(LONGEST_KEY), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer),
    Column("headers", JSON),
    Column("body", LargeBinary),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)


class IdempotencyKeyInFlight(DomainError):
    """The first request with this key has not ended yet."""

    code = "idempotency_key_in_flight"
    kind = ErrorKind.CONFLICT


class IdempotencyKeyReused(DomainError):
    """The key was used before with another request body."""

    code = "idempotency_key_reused"
    kind = ErrorKind.INVALID


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it was given the first time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The right to answer the first request of a key, until another may claim it. `scope` is the caller and the
    operation, `since` when it was claimed: of the claims of one key no two have the same."""

    scope: str
    key: str
    since: datetime

    @property
    def row(self) -> ColumnElement[bool]:
        """The row, as long as it is still this claim's."""
        table = idempotency_keys
        guard: ColumnElement[bool] = and_(
            table.c.scope == self.scope,
            table.c.key == self.key,
            table.c.status.is_(None),
            table.c.claimed_at == self.since,
        )
        return guard


class IdempotencyKeys:
    """Keeps the answers of requests that carried a key, for a day."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._running: set[KeyClaim] = set()
        self._put_off: set[KeyClaim] = set()

    async def begin(self, scope: str, key: str, fingerprint: str) -> KeyClaim | StoredAnswer:
        """Claim a key, or get the stored answer of its first use.

        Raises `IdempotencyKeyInFlight`, `IdempotencyKeyReused` or `InvalidInput`.
        """
        if not 1 <= len(key) <= LONGEST_KEY:
            raise InvalidInput(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters.", field="Idempotency-Key")
        now = self._clock.now()
        claim = KeyClaim(scope, key, now)
        table = idempotency_keys
        row = {"scope": scope, "key": key, "fingerprint": fingerprint, "claimed_at": now}
        try:
            async with self._database.transaction() as tx:
                await tx.execute(
                    delete(table).where(table.c.scope == scope, table.c.key == key, table.c.expires_at < now)
                )
                await tx.execute(insert(table).values(**row, expires_at=now + IN_FLIGHT_FOR))
        except IntegrityError:
            return await self._stored(scope, key, fingerprint)
        return claim

    @contextmanager
    def running(self, claim: KeyClaim) -> Iterator[None]:
        """While the block runs, the claim is one that `extend_running` extends."""
        self._running.add(claim)
        try:
            yield
        finally:
            self._running.discard(claim)

    async def extend_running(self) -> None:
        """Keep the claims of requests that still run here from lapsing.

        Every process calls this for its own, `EXTENDED_EVERY` so often. What has run for less than that is left alone.
        """
        now = self._clock.now()
        for claim in [claim for claim in self._running | self._put_off if now - claim.since >= EXTENDED_EVERY]:
            async with self._database.transaction() as tx:  # one row each: no lock is held while waiting for another
                await tx.execute(update(idempotency_keys).where(claim.row).values(expires_at=now + IN_FLIGHT_FOR))

    def completion(self, claim: KeyClaim, answer: StoredAnswer) -> "Completion":
        """The write that stores an answer, to run inside the transaction of the change it belongs to."""
        return Completion(claim, answer, self._clock, self._put_off)

    async def complete(self, claim: KeyClaim, answer: StoredAnswer) -> None:
        """Store the answer in a transaction of its own (where the change itself is idempotent)."""
        await self._database.run(self.completion(claim, answer))

    async def abandon(self, claim: KeyClaim) -> None:
        """Forget a key whose request changed nothing, so that a retry may run. One whose answer will yet be stored
        is kept."""
        if claim in self._put_off:
            return
        async with self._database.transaction() as tx:
            await tx.execute(delete(idempotency_keys).where(claim.row))

    async def prune(self) -> None:
        """Forget keys that are past their time."""
        expired = idempotency_keys.c.expires_at < self._clock.now()
        await delete_in_batches(self._database, idempotency_keys, expired)

    async def _stored(self, scope: str, key: str, fingerprint: str) -> StoredAnswer:
        table = idempotency_keys
        async with self._database.reading() as tx:
            row = await tx.first(select(table).where(table.c.scope == scope, table.c.key == key))
        if row is not None and row.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was already used with another request body. Use a new key for a new request.",
                field="Idempotency-Key",
            )
        if row is None or row.status is None:
            raise IdempotencyKeyInFlight(
                "The first request with this Idempotency-Key is still running. Wait for it, then ask again.",
                retry_after=1,
            )
        return StoredAnswer(row.status, row.headers or {}, row.body or b"")


@dataclass(frozen=True, slots=True)
class Completion:
    """A write of one stored answer, callable inside any transaction. A claim that ran out stores nothing.

    Whoever puts the write off says so: until it is `done` with, the claim is extended and never abandoned.
    """

    claim: KeyClaim
    answer: StoredAnswer
    clock: Clock
    waiting: set[KeyClaim]

    def put_off(self) -> None:
        """The write comes later."""
        self.waiting.add(self.claim)

    def done(self) -> None:
        """The write was made, or never will be."""
        self.waiting.discard(self.claim)

    def __call__(self, connection: Connection) -> None:
        """Store the answer."""
        connection.execute(
            update(idempotency_keys)
            .where(self.claim.row)
            .values(
                status=self.answer.status,
                headers=dict(self.answer.headers),
                body=self.answer.body,
                expires_at=self.clock.now() + KEPT_FOR,
            )
        )
