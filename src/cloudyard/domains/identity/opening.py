"""Opening an account, whoever asks for it: the row, the event that reports it, the entry in the audit log."""

from collections.abc import Mapping
from typing import Any

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.records import Role, User, UserStatus
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import Ids

USER_CREATED = "user.created"


class Opening:
    """Opens accounts."""

    def __init__(self, clock: Clock, ids: Ids, outbox: Outbox, audit: AuditLog) -> None:
        self._clock = clock
        self._ids = ids
        self._outbox = outbox
        self._audit = audit

    async def open(
        self,
        tx: Transaction,
        email: str,
        role: Role,
        columns: Mapping[str, Any],
        *,
        verified: bool,
        details: Mapping[str, Any] | None = None,
    ) -> User:
        """Add an account and report it by `user.created`. Only the platform itself opens those of administrators.

        Raises SQLAlchemy's IntegrityError where another account has the address or the username.
        """
        now = self._clock.now()
        user = await repository.add_user(
            tx,
            id=self._ids.new(),
            email=email,
            role=role.value,
            status=UserStatus.ACTIVE.value,
            email_verified=verified,
            created_at=now,
            updated_at=now,
            **columns,
        )
        await self._outbox.emit(tx, user_event(USER_CREATED, user))
        actor = None if role is Role.ADMIN else user.id
        await self._audit.record(tx, actor, USER_CREATED, f"user:{user.id}", {"role": role.value, **(details or {})})
        return user


def user_event(kind: str, user: User) -> Event:
    """An event that shows an account as it is now."""
    payload = {
        "user_id": user.id,
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role.value,
        "status": user.status.value,
    }
    return Event(kind, f"user:{user.id}", payload)
