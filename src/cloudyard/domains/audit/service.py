"""The audit log."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select

from cloudyard.domains.audit.models import audit_entries
from cloudyard.domains.audit.records import AuditEntry
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction


class AuditLog:
    """Records acts and lists them. The database refuses to change or delete what was recorded."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(
        self,
        tx: Transaction,
        actor: str | None,
        action: str,
        subject: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an act in the transaction that performs it, so that neither exists without the other."""
        await tx.execute(
            insert(audit_entries).values(
                at=self._clock.now(), actor=actor, action=action, subject=subject, details=dict(details or {})
            )
        )

    async def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[AuditEntry]:
        """Entries that match, newest first. To page on, give the id of the last entry as `before`."""
        table = audit_entries
        wanted = {table.c.actor: actor, table.c.action: action, table.c.subject: subject}
        query = select(table).where(*(column == value for column, value in wanted.items() if value is not None))
        if before is not None:
            query = query.where(table.c.id < before)
        async with self._database.reading() as tx:
            rows = await tx.all(query.order_by(table.c.id.desc()).limit(limit))
        return [AuditEntry(r.id, r.at, r.actor, r.action, r.subject, r.details) for r in rows]
