"""Refunds and disputes of which no event arrived: Stripe's lists of them are read every hour."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from cloudyard.domains.payments import repository
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.records import Reversal
from cloudyard.domains.payments.service import Payments
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Schedule
from cloudyard.foundation.errors import DomainError, FeatureUnavailable

log = structlog.get_logger(__name__)

EVERY = timedelta(hours=1)
LEASE = timedelta(minutes=30)
REFUNDS_BACK = timedelta(days=40)
"""A refund may fail at the bank weeks after it began."""
DISPUTES_BACK = timedelta(days=200)
"""A dispute is decided months after it began."""
CHUNK = 200

List = Callable[[datetime], Awaitable[Sequence[Reversal]]]


class MissedReversals:
    """Compares the provider's refunds and disputes with the books, and takes in what these lack."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider, payments: Payments) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._payments = payments

    def schedule(self) -> Schedule:
        """When it runs."""
        return Schedule("payments.missed_reversals", EVERY, self.run, LEASE)

    async def run(self) -> int:
        """Read both lists as far back as anything in them still changes; the number of reversals taken in."""
        try:
            await self._provider.ping()
        except FeatureUnavailable:
            return 0
        refunds = await self._read("refunds", self._provider.refunds_since, REFUNDS_BACK)
        return refunds + await self._read("disputes", self._provider.disputes_since, DISPUTES_BACK)

    async def _read(self, name: str, list_since: List, back: timedelta) -> int:
        try:
            found = await list_since(self._clock.now() - back)
        except DomainError as error:
            log.warning("the provider's list was not read, trying again later", list=name, error=str(error))
            return 0
        taken_in = 0
        for start in range(0, len(found), CHUNK):
            async with self._database.reading() as tx:
                news = await repository.news(tx, found[start : start + CHUNK])
            for reversal in news:
                taken_in += await self._take_in(reversal)
        return taken_in

    async def _take_in(self, reversal: Reversal) -> bool:
        try:
            await self._payments.reverse(reversal)
        except DomainError as error:
            log.warning("reversal not taken in, trying again later", reversal=reversal.id, error=str(error))
            return False
        return True
