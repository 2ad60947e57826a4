"""The ledger, prices and charges, and what buys credits."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from cloudyard.backends.payments import open_payment_provider
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import Billing, BillingWarnings, Charges, PriceBook, WelcomeConsumer
from cloudyard.domains.ledger import Ledger
from cloudyard.domains.payments import MissedReversals, PaymentBooks, PaymentReconciler, Payments, PriceList, Refunds
from cloudyard.foundation.durable import Loop, Schedule, every
from cloudyard.foundation.money import CreditRate
from cloudyard.wiring.foundation import Foundation

EXPIRED_HOLDS_EVERY = timedelta(seconds=15)
PRICES_READ_EVERY_SECONDS = 5.0
"""How soon this process learns of a price that another one published."""


@dataclass(frozen=True, slots=True)
class Money:
    """The services of ledger, billing and payments, and what they do in the background."""

    rate: CreditRate
    ledger: Ledger
    billing: Billing
    prices: PriceBook
    charges: Charges
    payments: Payments
    refunds: Refunds
    loops: Mapping[str, Loop]
    schedules: Sequence[Schedule]


def open_money(base: Foundation, audit: AuditLog, stack: AsyncExitStack) -> Money:
    """Open the books and the payment provider as the settings have them; `stack` closes the latter."""
    settings, clock = base.settings.billing, base.clock
    rate = CreditRate(settings.credits_per_usd)
    ledger = Ledger(base.database, clock, base.ids, audit)
    billing = Billing(base.database, ledger, rate, welcome_credits=settings.welcome_credits)
    base.outbox.subscribe(WelcomeConsumer(billing))
    prices = PriceBook(base.database, clock, base.ids)
    charges = _charges(base)
    provider = open_payment_provider(base.settings.payments)
    stack.push_async_callback(provider.close)
    books = PaymentBooks(base.database, clock, base.ids, base.outbox, audit)
    price_list = PriceList(base.settings.payments, rate)
    payments = Payments(base.database, clock, base.ids, provider, books, price_list)
    refunds = Refunds(base.database, clock, base.ids, provider, books, audit)
    return Money(
        rate,
        ledger,
        billing,
        prices,
        charges,
        payments,
        refunds,
        loops={
            "holds": every(clock, settings.hold_seconds / 3, charges.extend_running),
            "prices": every(clock, PRICES_READ_EVERY_SECONDS, prices.load),
        },
        schedules=[
            Schedule("billing.release_expired_holds", EXPIRED_HOLDS_EVERY, charges.release_expired),
            BillingWarnings(base.database, clock, base.outbox, rate, settings).schedule(),
            PaymentReconciler(base.database, clock, provider, books).schedule(),
            refunds.schedule(),
            MissedReversals(base.database, clock, provider, payments).schedule(),
        ],
    )


def _charges(base: Foundation) -> Charges:
    charges = Charges(
        base.database,
        base.clock,
        base.ids,
        hold_life=timedelta(seconds=base.settings.billing.hold_seconds),
        on_group=base.metrics.ledger_group,
    )
    base.metrics.watch_holds_open(lambda: charges.running)
    return charges
