"""Users with credit, prices and charges, for tests of whatever costs something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import (
    Billing,
    Charge,
    Charges,
    Meter,
    Payer,
    Price,
    PriceBook,
    PriceLine,
    Settlement,
    Usage,
    verify,
)
from cloudyard.domains.ledger import Discrepancy, Ledger, Wallet
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import CreditRate

HOLD_LIFE = timedelta(minutes=10)
WELCOME_CREDITS = 1000
A_CALL = {Meter.CALL: 1}


@dataclass(frozen=True, slots=True)
class Books:
    """Ledger and billing over one database, as a server has them."""

    database: Database
    ids: Ids
    rate: CreditRate
    ledger: Ledger
    billing: Billing
    prices: PriceBook
    charges: Charges

    async def user(self, nanos: int = 0) -> str:
        """A user's id, with so much credit in the wallet."""
        user_id = self.ids.new()
        if nanos:
            await self.ledger.adjust(user_id, nanos, reason="Credit for a test", actor=None)
        return user_id

    async def wallet(self, user_id: str) -> Wallet:
        """A user's balances."""
        return await self.ledger.wallet(user_id)

    async def price(self, nanos: int = 1, *, meter: Meter = Meter.CALL, per: int = 1, sku: str | None = None) -> Price:
        """A published price of one line: so many nano-dollars for `per` units of a meter."""
        return await self.prices.publish(sku or f"test:{self.ids.new()}", [PriceLine(meter, nanos, per)])

    async def open(
        self, user_id: str, price: Price, worst: Mapping[Meter, int] | None = None, *, payer: Payer | None = None
    ) -> Charge:
        """An open charge; of a single call where nothing else is said."""
        return await self.charges.open(payer or Payer(user_id), price, worst or A_CALL, "A test")

    async def charge(
        self,
        user_id: str,
        price: Price,
        used: Mapping[Meter, int] | None = None,
        *,
        worst: Mapping[Meter, int] | None = None,
        payer: Payer | None = None,
    ) -> Settlement:
        """A whole charge: set aside and settled. The worst case is what is used, where nothing else is said."""
        charge = await self.open(user_id, price, worst or used, payer=payer)
        return await self.charges.settle(charge, Usage(used or A_CALL))

    async def discrepancies(self) -> Sequence[Discrepancy]:
        """Everything in ledger and billing that does not add up."""
        async with self.database.reading() as tx:
            return await tx.run_sync(verify)


def open_books(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    hold_life: timedelta = HOLD_LIFE,
    welcome_credits: int = WELCOME_CREDITS,
) -> Books:
    """Build the services. A second call over the same database acts as another process."""
    rate = CreditRate()
    ledger = Ledger(database, clock, ids, AuditLog(database, clock))
    return Books(
        database=database,
        ids=ids,
        rate=rate,
        ledger=ledger,
        billing=Billing(database, ledger, rate, welcome_credits=welcome_credits),
        prices=PriceBook(database, clock, ids),
        charges=Charges(database, clock, ids, hold_life=hold_life),
    )
