"""Webhooks whose secret cannot be decrypted any more."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select, update

from cloudyard.domains.webhooks.disabling import Disabling
from cloudyard.domains.webhooks.models import webhook_endpoints
from cloudyard.domains.webhooks.records import Webhook
from cloudyard.domains.webhooks.repository import webhook_of
from cloudyard.domains.webhooks.signatures import new_secret
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.secret_box import SecretBox

REASON = (
    "Its secret could not be decrypted any more, since the encryption key was lost, and was discarded. "
    "Give it a new one with rotate-secret, tell the receiver, then set `active` to true; what waits is sent then."
)
ENDPOINTS = select(webhook_endpoints).order_by(webhook_endpoints.c.id)
NO_PREVIOUS: dict[str, Any] = {"previous_secret": None, "previous_secret_until": None}


class LostSecrets:
    """Finds such webhooks, and disables them."""

    def __init__(self, clock: Clock, ids: Ids, box: SecretBox, disabling: Disabling) -> None:
        self._clock = clock
        self._ids = ids
        self._box = box
        self._disabling = disabling

    async def unreadable(self, tx: Transaction) -> Sequence[Webhook]:
        """The webhooks with a secret that no encryption key at hand can read, oldest first."""
        return [webhook_of(row) for row in await tx.all(ENDPOINTS) if self._is_lost(row)]

    async def discard_unreadable(self, tx: Transaction) -> Sequence[Webhook]:
        """Disable these webhooks, and put random secrets that nobody knows in the place of the lost ones.

        A former secret that is still kept for a while and cannot be read is dropped and its webhook goes on.
        """
        lost = []
        for row in await tx.all(ENDPOINTS.with_for_update()):
            if self._is_lost(row):
                lost.append(webhook_of(row))
                sealed = self._box.encrypt(new_secret(self._ids))
                await self._disabling.disable(tx, row, REASON, self._clock.now(), secret=sealed, **NO_PREVIOUS)
            elif row.previous_secret is not None and not self._box.can_read(row.previous_secret):
                table = webhook_endpoints
                await tx.execute(update(table).where(table.c.id == row.id).values(NO_PREVIOUS))
        return lost

    def _is_lost(self, row: Row[Any]) -> bool:
        return not self._box.can_read(row.secret)
