"""Signing keys of tokens: they rotate, and an old one verifies until all that it signed has expired."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, true, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.models import sessions, signing_keys
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.foundation.settings.security import SecuritySettings

DISCARDED = "signing_key.discarded"
SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key is at least as long as the hash

# A new key signs only after every process has had the time to learn of it.
LEARN_SECONDS = 60.0
RELOAD_SECONDS = 30.0
RELOAD_FOR_UNKNOWN_SECONDS = 1.0  # tokens with made-up key ids must not become database load


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One HS256 key. It verifies tokens until `verifies_until`, for ever while that is None."""

    kid: str
    secret: str
    created_at: datetime
    verifies_until: datetime | None


class SigningKeys:
    """The ring of keys: in the database encrypted, in memory for half a minute at a time.

    Rotation needs no job: whoever finds the newest key too old adds the next one.
    """

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, box: SecretBox, audit: AuditLog, settings: SecuritySettings
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._audit = audit
        self._max_age = timedelta(days=settings.signing_key_days)
        self._longest_token = timedelta(seconds=max(settings.access_token_seconds, settings.refresh_token_seconds))
        self._ring: dict[str, SigningKey] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def current(self) -> SigningKey:
        """The key that signs now. Raises `SecretUnreadable` where the encryption key is gone."""
        await self._fresh(RELOAD_SECONDS)
        known_to_all = self._clock.now() - timedelta(seconds=LEARN_SECONDS)
        oldest_first = sorted(self._ring.values(), key=lambda key: (key.created_at, key.kid))
        learnt = [key for key in oldest_first if key.created_at <= known_to_all]
        return learnt[-1] if learnt else oldest_first[0]

    async def find(self, kid: str) -> SigningKey | None:
        """The key of that id, if it may still verify."""
        await self._fresh(RELOAD_SECONDS)
        if kid not in self._ring:
            await self._fresh(RELOAD_FOR_UNKNOWN_SECONDS)
        key = self._ring.get(kid)
        if key is None or (key.verifies_until is not None and key.verifies_until <= self._clock.now()):
            return None
        return key

    async def prune(self) -> None:
        """Forget keys whose tokens have all expired."""
        async with self._database.transaction() as tx:
            await tx.execute(delete(signing_keys).where(signing_keys.c.verifies_until < self._clock.now()))

    async def unreadable(self) -> Sequence[str]:
        """Ids of the stored keys that no encryption key at hand can read, oldest first."""
        async with self._database.reading() as tx:
            return await self._unreadable(tx)

    async def discard_unreadable(self, tx: Transaction) -> Sequence[str]:
        """Delete the stored keys that cannot be read, and end all sessions if there are any: nothing tells which of
        them those keys signed. Their ids, oldest first."""
        lost = await self._unreadable(tx)
        if not lost:
            return lost
        await tx.execute(delete(signing_keys).where(signing_keys.c.kid.in_(lost)))
        ended = await repository.end_sessions(tx, true(), now=self._clock.now(), reason=DISCARDED)
        for kid in lost:
            await self._audit.record(tx, None, DISCARDED, f"signing_key:{kid}", {"sessions_ended": len(ended)})
        tx.after_commit(self._forget)
        return lost

    async def _unreadable(self, tx: Transaction) -> Sequence[str]:
        rows = await tx.all(select(signing_keys).order_by(signing_keys.c.created_at))
        return [row.kid for row in rows if not self._box.can_read(row.sealed_secret)]

    def _forget(self) -> None:
        self._loaded_at = float("-inf")

    async def _fresh(self, seconds: float) -> None:
        if self._age() < seconds:
            return
        async with self._loading:
            if self._age() >= seconds:
                await self._load()

    def _age(self) -> float:
        return self._clock.monotonic() - self._loaded_at

    async def _load(self) -> None:
        keys = await self._read()
        newest = max((key.created_at for key in keys), default=None)
        if newest is None or newest <= self._clock.now() - self._max_age:
            await self._add()
            keys = await self._read()
        self._ring = {key.kid: key for key in keys}
        self._loaded_at = self._clock.monotonic()

    async def _read(self) -> Sequence[SigningKey]:
        async with self._database.reading() as tx:
            rows = await tx.all(select(signing_keys))
        return [SigningKey(r.kid, self._box.decrypt(r.sealed_secret), r.created_at, r.verifies_until) for r in rows]

    async def _add(self) -> None:
        kid, sealed = self._ids.new(), self._box.encrypt(self._ids.token(SECRET_BYTES))
        now = self._clock.now()
        async with self._database.transaction() as tx:
            newest = await tx.scalar(select(func.max(signing_keys.c.created_at)))
            if newest is not None and newest > now - self._max_age:
                return  # another process was first
            await self._retire(tx, now)
            await tx.execute(insert(signing_keys).values(kid=kid, sealed_secret=sealed, created_at=now))
            await self._audit.record(tx, None, "signing_key.created", f"signing_key:{kid}")

    async def _retire(self, tx: Transaction, now: datetime) -> None:
        """Give the present keys their end: when the last token that they can have signed has expired."""
        last_signature = now + timedelta(seconds=LEARN_SECONDS + RELOAD_SECONDS)
        latest_session = await tx.scalar(select(func.max(sessions.c.expires_at)).where(sessions.c.ended_at.is_(None)))
        until = max(last_signature + self._longest_token, latest_session or now) + timedelta(seconds=LEARN_SECONDS)
        await tx.execute(
            update(signing_keys).where(signing_keys.c.verifies_until.is_(None)).values(verifies_until=until)
        )
