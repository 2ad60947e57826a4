"""Warnings before credits or a spend cap run out.

They are found by looking over the balances every so often, so that no charge has to look.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, select

from cloudyard.domains.billing.models import budgets
from cloudyard.domains.billing.warning_models import low_balance_warnings, spend_cap_warnings
from cloudyard.domains.identity.models import api_keys
from cloudyard.domains.ledger.models import accounts
from cloudyard.domains.ledger.records import AccountKind
from cloudyard.domains.notifications import SPEND_CAP_NEAR, WALLET_LOW
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable import Event, Outbox, Schedule
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.settings.billing import BillingSettings

EVERY = timedelta(minutes=1)
AT_ONCE = 100
"""Warnings a transaction: few enough that no charge waits long for it."""
CENT = Decimal("0.01")

_wallet = accounts.alias("wallet")
_held = accounts.alias("held")
_owned: ColumnElement[int] = _wallet.c.balance_nanos + func.coalesce(_held.c.balance_nanos, 0)
"""What a user owns: credit that is set aside for a call that runs may come back."""


class BillingWarnings:
    """Reports low wallets and API keys close to their spend cap (`wallet.low`, `spend_cap.near`), subject `user:<id>`.

    A low wallet is reported once until it has risen again; a spend cap once, since nothing lowers what was spent.
    """

    def __init__(
        self, database: Database, clock: Clock, outbox: Outbox, rate: CreditRate, settings: BillingSettings
    ) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._rate = rate
        self._threshold = rate.nanos(settings.low_balance_credits)
        self._percent = settings.spend_cap_warning_percent

    def schedule(self) -> Schedule:
        """Once a minute."""
        return Schedule("billing.warnings", EVERY, self.run)

    async def run(self) -> None:
        """Report what is low now, and forget the warnings of wallets that rose again."""
        await self._rearm()
        while await self._warn_of_wallets():
            pass
        while await self._warn_of_caps():
            pass

    async def _rearm(self) -> None:
        risen = _wallets().with_only_columns(_wallet.c.owner).where(_owned >= self._threshold, _warned_wallet())
        if await self._found(risen.limit(1)):
            async with self._database.transaction() as tx:
                await tx.execute(delete(low_balance_warnings).where(low_balance_warnings.c.user_id.in_(risen)))

    async def _warn_of_wallets(self) -> int:
        low = _wallets().where(_owned < self._threshold, _wallet.c.statement_lines > 0, ~_warned_wallet())
        rows = await self._found(low.limit(AT_ONCE))
        if rows:
            async with self._database.transaction() as tx:
                for row in rows:
                    await self._warn_of_wallet(tx, row)
        return len(rows)

    async def _warn_of_wallet(self, tx: Transaction, row: Row[Any]) -> None:
        given = insert_or_ignore(tx.dialect, low_balance_warnings)
        inserted = await tx.execute(given.values(user_id=row.owner, warned_at=self._clock.now()))
        if inserted.rowcount == 1:
            payload = {"credits": self._credits(row.owned), "threshold_credits": self._credits(self._threshold)}
            await self._outbox.emit(tx, Event(WALLET_LOW, f"user:{row.owner}", payload))

    async def _warn_of_caps(self) -> int:
        if self._percent == 0:
            return 0
        rows = await self._found(_caps(self._percent).limit(AT_ONCE))
        if rows:
            async with self._database.transaction() as tx:
                for row in rows:
                    await self._warn_of_cap(tx, row)
        return len(rows)

    async def _warn_of_cap(self, tx: Transaction, row: Row[Any]) -> None:
        given = insert_or_ignore(tx.dialect, spend_cap_warnings)
        inserted = await tx.execute(given.values(api_key_id=row.id, warned_at=self._clock.now()))
        if inserted.rowcount == 1:
            payload = {
                "key_prefix": row.prefix,
                "spent_credits": self._credits(row.spent_nanos),
                "cap_credits": self._credits(row.cap_nanos),
            }
            await self._outbox.emit(tx, Event(SPEND_CAP_NEAR, f"user:{row.user_id}", payload))

    async def _found(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self._database.reading() as tx:
            return await tx.all(query)

    def _credits(self, nanos: int) -> str:
        """Credits as people read them, rounded down to the hundredth."""
        return f"{self._rate.credits(nanos).quantize(CENT, ROUND_DOWN):f}".removesuffix(".00")


def _wallets() -> Select[Any]:
    """Every wallet with what its user owns."""
    both = _wallet.outerjoin(_held, (_held.c.owner == _wallet.c.owner) & (_held.c.kind == AccountKind.HELD.value))
    query = select(_wallet.c.owner, _owned.label("owned")).select_from(both)
    return query.where(_wallet.c.kind == AccountKind.WALLET.value)


def _warned_wallet() -> ColumnElement[bool]:
    return exists().where(low_balance_warnings.c.user_id == _wallet.c.owner)


def _caps(percent: int) -> Select[Any]:
    """Live keys that have spent so much of their cap, and whose users were not told."""
    near = budgets.c.spent_nanos >= budgets.c.cap_nanos // 100 * percent
    told = exists().where(spend_cap_warnings.c.api_key_id == budgets.c.id)
    return (
        select(budgets.c.id, budgets.c.cap_nanos, budgets.c.spent_nanos, api_keys.c.user_id, api_keys.c.prefix)
        .join(api_keys, api_keys.c.id == budgets.c.id)
        .where(budgets.c.spent_nanos > 0, near, api_keys.c.revoked_at.is_(None), ~told)
    )
