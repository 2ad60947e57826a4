"""What payments do in the background: no payment stays undecided because an answer or a webhook was lost."""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row

from cloudyard.domains.payments.bookkeeping import PaymentBooks
from cloudyard.domains.payments.errors import PaymentProviderUnavailable
from cloudyard.domains.payments.models import payments
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.records import ProviderIntent, ProviderState
from cloudyard.domains.payments.side_by_side import side_by_side
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Schedule
from cloudyard.foundation.durable.leases import backoff, claim, give_back
from cloudyard.foundation.errors import DomainError

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=30)
LEASE = timedelta(minutes=5)
BATCH = 32
"""Looked after in four rounds of at most two requests each, which all time out well within the lease."""
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
PATIENCE = {
    ProviderState.UNCONFIRMED: timedelta(0),
    ProviderState.DECLINED: timedelta(hours=1),
    ProviderState.ACTION_REQUIRED: timedelta(hours=24),
}
"""How long after its beginning a payment that waits for its buyer may still be paid: nobody waits for the answer of one
that was never confirmed; a buyer may try another card, or take a while to authenticate."""


class PaymentReconciler:
    """Asks the provider for payments that stay open, and ends those that nobody goes on with."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider, books: PaymentBooks) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._books = books

    def schedule(self) -> Schedule:
        """When it runs."""
        return Schedule("payments.reconcile", EVERY, self.run)

    async def run(self) -> int:
        """Look after a batch of what is due; the number of payments. The rest is due at the next run."""
        return await side_by_side(self._database, payments, await self._claim(), self._look_after)

    async def _claim(self) -> list[Row[Any]]:
        open_ones = [payments.c.closed.is_(False)]
        async with self._database.transaction() as tx:
            return await claim(tx, payments, now=self._clock.now(), lease=LEASE, limit=BATCH, where=open_ones)

    async def _look_after(self, row: Row[Any]) -> bool:
        there = True
        try:
            await self._settle(row)
        except DomainError as error:
            there = not isinstance(error, PaymentProviderUnavailable)
            log.warning("payment not settled, trying again later", payment=row.id, error=str(error))
        pause = backoff(row.attempts, first=FIRST_PAUSE_SECONDS, largest=LONGEST_PAUSE_SECONDS)
        async with self._database.transaction() as tx:
            await give_back(tx, payments, row, due_at=self._clock.now() + pause)
        return there

    async def _settle(self, row: Row[Any]) -> None:
        if row.provider_id is None:
            await self._books.give_up(row.id, "It was broken off before it reached the payment provider.")
            return
        intent = await self._provider.retrieve(row.provider_id)
        if self._is_given_up(row, intent):
            intent = await self._provider.cancel(intent.id, key=f"{row.id}:cancel")
        await self._books.apply(intent)

    def _is_given_up(self, row: Row[Any], intent: ProviderIntent) -> bool:
        patience = PATIENCE.get(intent.state)
        return patience is not None and self._clock.now() - row.created_at >= patience
