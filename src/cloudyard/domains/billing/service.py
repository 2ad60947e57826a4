"""Billing as surfaces use it."""

from collections.abc import Sequence

from sqlalchemy import select

from cloudyard.domains.billing.models import usage_records
from cloudyard.domains.billing.records import UsageRecord
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.database import Database
from cloudyard.foundation.money import CreditRate


class Billing:
    """Welcome credits and the record of what was used."""

    def __init__(self, database: Database, ledger: Ledger, rate: CreditRate, *, welcome_credits: int) -> None:
        self._database = database
        self._ledger = ledger
        self._welcome_nanos = rate.nanos(welcome_credits)

    async def welcome(self, user_id: str) -> None:
        """Give a new user the welcome credits, once however often it is called."""
        if self._welcome_nanos:
            key = f"welcome:{user_id}"
            await self._ledger.grant_once(user_id, self._welcome_nanos, key=key, reason="Welcome credits")

    async def usage(self, user_id: str, *, limit: int, offset: int = 0) -> Sequence[UsageRecord]:
        """What a user consumed, newest first."""
        query = (
            select(usage_records)
            .where(usage_records.c.user_id == user_id)
            .order_by(usage_records.c.created_at.desc(), usage_records.c.hold_id.desc())
            .limit(limit)
            .offset(offset)
        )
        async with self._database.reading() as tx:
            return [
                UsageRecord(
                    row.hold_id,
                    row.user_id,
                    row.api_key_id,
                    row.price_id,
                    row.quantities,
                    row.amount_nanos,
                    row.outcome,
                    row.details,
                    row.created_at,
                )
                for row in await tx.all(query)
            ]
