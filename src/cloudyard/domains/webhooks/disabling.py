"""Stopping to send to an endpoint, and saying so."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.webhooks.models import webhook_endpoints
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Event, Outbox

log = structlog.get_logger(__name__)

WEBHOOK_DISABLED = "webhook.disabled"


class Disabling:
    """Disables endpoints; administrators are told by the event `webhook.disabled`, subject `webhook:<id>`."""

    def __init__(self, outbox: Outbox, audit: AuditLog) -> None:
        self._outbox = outbox
        self._audit = audit

    async def disable(self, tx: Transaction, endpoint: Row[Any], reason: str, now: datetime, **changes: Any) -> None:
        """Send nothing more to an endpoint, and write these columns with it."""
        subject = f"webhook:{endpoint.id}"
        payload = {"webhook_id": endpoint.id, "url": endpoint.url, "reason": reason}
        disabled = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id)
        await tx.execute(disabled.values(active=False, disabled_at=now, disabled_reason=reason, **changes))
        await self._outbox.emit(tx, Event(WEBHOOK_DISABLED, subject, payload))
        await self._audit.record(tx, None, WEBHOOK_DISABLED, subject, {"reason": reason})
        log.warning("webhook disabled", webhook=endpoint.id, reason=reason)
