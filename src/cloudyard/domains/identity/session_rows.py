"""Rows of sessions: what logins and delegations share. Each runs in its caller's transaction."""

from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, insert, select, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.domains.identity.errors import AccountSuspended, InvalidToken
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.models import sessions, users
from cloudyard.domains.identity.records import User, UserStatus
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction

LONGEST_CLIENT = 200
REUSED = "refresh_token_reused"
CODE_REUSED = "authorization_code_reused"


class SessionRows:
    """Begins and ends sessions, and puts one secret of theirs in the place of the last."""

    def __init__(self, clock: Clock, audit: AuditLog, cache: CredentialCache) -> None:
        self._clock = clock
        self._audit = audit
        self._cache = cache

    async def add(
        self, tx: Transaction, session_id: str, user_id: str, secret: str, life: timedelta, client: str | None
    ) -> None:
        """Begin a session that `secret` continues, for as long as `life`."""
        now = self._clock.now()
        await tx.execute(
            insert(sessions).values(
                id=session_id,
                user_id=user_id,
                client=shown(client),
                refresh_hash=secret_hash(secret),
                created_at=now,
                refreshed_at=now,
                expires_at=now + life,
            )
        )
        await self._audit.record(tx, user_id, "session.started", f"session:{session_id}", {"client": shown(client)})

    async def live_user(self, tx: Transaction, session_id: str, user_id: str) -> User:
        """The user of a session that has not ended. Raises `InvalidToken`, `AccountSuspended`."""
        query = (
            select(*users.c, sessions.c.ended_at)
            .join(sessions, sessions.c.user_id == users.c.id)
            .where(sessions.c.id == session_id, users.c.id == user_id)
        )
        row = await tx.first(query)
        if row is None or row.ended_at is not None:
            raise InvalidToken("The session of this token has ended. Log in again.")
        user = repository.user_of(row)
        if user.status is not UserStatus.ACTIVE:
            raise suspended()
        return user

    async def swap(self, tx: Transaction, session_id: str, old: str, new: str, life: timedelta) -> bool:
        """Put the new secret in the place of the old one, if that is still the one that counts."""
        now = self._clock.now()
        swapped = await tx.execute(
            update(sessions)
            .where(
                sessions.c.id == session_id,
                sessions.c.refresh_hash == secret_hash(old),
                sessions.c.ended_at.is_(None),
            )
            .values(refresh_hash=secret_hash(new), refreshed_at=now, expires_at=now + life)
        )
        return swapped.rowcount == 1

    async def end(self, tx: Transaction, where: ColumnElement[bool], *, reason: str) -> int:
        """End the live sessions that match; how many they were."""
        ended = await repository.end_sessions(tx, where, now=self._clock.now(), reason=reason)
        for session_id, user_id in ended:
            actor = None if reason in (REUSED, CODE_REUSED) else user_id  # owner or thief: nobody knows
            await self._audit.record(tx, actor, "session.ended", f"session:{session_id}", {"reason": reason})
            tx.after_commit(partial(self._cache.forget, user_id))
        return len(ended)


def shown(client: str | None) -> str | None:
    """What is kept of a client's name for itself."""
    return "".join(filter(str.isprintable, client))[:LONGEST_CLIENT] if client else None


def suspended() -> AccountSuspended:
    """The refusal of a user who may not act."""
    return AccountSuspended("This account is suspended. Ask an administrator.")
