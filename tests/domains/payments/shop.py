"""A shop: payments over a database, at a real server of Stripe's API whose answers and events a test may lose."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2
from pydantic import SecretStr
from sqlalchemy import select

from cloudyard.backends.payments import stripe_signature
from cloudyard.backends.payments.stripe import StripeProvider
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.payments import (
    MissedReversals,
    Notice,
    Order,
    PaymentBooks,
    PaymentProviderUnavailable,
    PaymentReconciler,
    PaymentRefused,
    Payments,
    PriceList,
    ProviderIntent,
    RefundRefused,
    Refunds,
    Reversal,
)
from cloudyard.domains.payments.models import payments
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Dispatcher, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books
from cloudyard.testing.local_stripe import KEY

SECRET = "whsec_test"
VISA = "pm_card_visa"
DECLINED = "pm_card_chargeCustomerFail"
AUTHENTICATED = "pm_card_authenticationRequired"
AUTHENTICATED_DECLINED = "pm_card_authenticationRequiredChargeDeclined"
STARTER_CENTS = 1000
STARTER = STARTER_CENTS * 10_000_000


class LossyProvider:
    """Stripe over a bad line: a request named in `lost` never arrives, the answer of one in `unanswered` is lost,
    what is in `refused` Stripe does not do, and who sends what is in `dies_at` does not live to see it arrive.
    """

    def __init__(self, provider: StripeProvider) -> None:
        self._provider = provider
        self.lost: set[str] = set()
        self.unanswered: set[str] = set()
        self.refused: set[str] = set()
        self.dies_at: set[str] = set()
        self.created: list[str] = []
        self.asked: list[str] = []
        self.most_refunded = STARTER_CENTS

    async def ping(self) -> None:
        await self._provider.ping()

    async def create(self, *, cents: int, payment_method: str, payment_id: str, user_id: str) -> ProviderIntent:
        self._fail_if("create", self.lost)
        self._refuse_if("create")
        intent = await self._provider.create(
            cents=cents, payment_method=payment_method, payment_id=payment_id, user_id=user_id
        )
        self.created.append(intent.id)
        self._fail_if("create", self.unanswered)
        return intent

    async def confirm(self, intent_id: str, *, key: str) -> ProviderIntent:
        self._fail_if("confirm", self.lost)
        self._refuse_if("confirm")
        intent = await self._provider.confirm(intent_id, key=key)
        self._fail_if("confirm", self.unanswered)
        return intent

    async def retrieve(self, intent_id: str) -> ProviderIntent:
        self.asked.append(intent_id)
        self._fail_if("retrieve", self.lost)
        return await self._provider.retrieve(intent_id)

    async def cancel(self, intent_id: str, *, key: str) -> ProviderIntent:
        intent = await self._provider.cancel(intent_id, key=key)
        self._fail_if("cancel", self.unanswered)
        return intent

    async def refund(self, charge_id: str, *, cents: int, refund_id: str) -> Reversal:
        self._fail_if("refund", self.lost)
        if "refund" in self.dies_at:
            raise asyncio.CancelledError
        gone = sum(each.cents for each in await self._provider.refunds(charge_id))
        if "refund" in self.refused or gone + cents > self.most_refunded:  # localstripe refunds more than was paid
            raise RefundRefused("Stripe does not refund this: it is more than what is left of the charge.")
        reversal = await self._provider.refund(charge_id, cents=cents, refund_id=refund_id)
        self._fail_if("refund", self.unanswered)
        return reversal

    async def refunds(self, charge_id: str) -> Sequence[Reversal]:
        self._fail_if("refunds", self.lost)
        return await self._provider.refunds(charge_id)

    async def refunds_since(self, since: datetime) -> Sequence[Reversal]:
        self._fail_if("refunds", self.lost)
        return await self._provider.refunds_since(since)

    async def disputes_since(self, since: datetime) -> Sequence[Reversal]:
        self._fail_if("disputes", self.lost)
        return await self._provider.disputes_since(since)

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> Notice | None:
        return self._provider.read_event(body, signature, now)

    async def close(self) -> None:
        await self._provider.close()

    def _refuse_if(self, request: str) -> None:
        if request in self.refused:
            raise PaymentRefused("Stripe refused the request with 400: no amounts like this.")

    def _fail_if(self, request: str, troubled: set[str]) -> None:
        if request in troubled:
            raise PaymentProviderUnavailable("The line broke.", for_operators=f"at {request}")


class Listener:
    """Keeps what it hears."""

    name = "test.payments"
    kinds = frozenset(
        {
            "payment.completed",
            "payment.failed",
            "credit.purchased",
            "payment.refunded",
            "payment.disputed",
            "payment.mismatch",
        }
    )

    def __init__(self) -> None:
        self.heard: list[Delivered] = []

    async def handle(self, event: Delivered) -> None:
        self.heard.append(event)


@dataclass
class Shop:
    """Everything about payments, and Stripe's side of it."""

    database: Database
    clock: ManualClock
    books: Books
    provider: LossyProvider
    payments: Payments
    refunds: Refunds
    reconciler: PaymentReconciler
    missed: MissedReversals
    stripe: httpx2.Client
    listener: Listener
    dispatcher: Dispatcher
    sent: list[bytes] = field(default_factory=list)

    def order(self, card: str = VISA) -> Order:
        return Order("pkg_starter", None, card)

    def intent(self, intent_id: str) -> dict[str, Any]:
        """What Stripe has of a payment."""
        found: dict[str, Any] = self.stripe.get(f"/v1/payment_intents/{intent_id}").json()
        return found

    def authenticate(self, intent_id: str, *, success: bool = True) -> None:
        """The buyer answers the bank."""
        form = {"client_secret": self.intent(intent_id)["client_secret"], "success": str(success).lower()}
        assert self.stripe.post(f"/v1/payment_intents/{intent_id}/_authenticate", data=form).status_code == 200

    def refund(self, intent_id: str, cents: int) -> dict[str, Any]:
        """The merchant gives money back; the event that tells of it."""
        charge = self.intent(intent_id)["latest_charge"]["id"]
        assert self.stripe.post("/v1/refunds", data={"charge": charge, "amount": str(cents)}).status_code == 200
        found: dict[str, Any] = self.stripe.get(f"/v1/charges/{charge}").json()
        return found

    def dispute(self, intent_id: str, status: str, cents: int = STARTER_CENTS) -> dict[str, Any]:
        """The buyer's bank disputes a payment, or decides on it; what Stripe's events are about."""
        about = {"id": f"dp_{intent_id}", "amount": cents, "status": status, "payment_intent": intent_id}
        assert self.stripe.post("/_config/disputes", json=about).status_code == 200
        return about

    async def event(self, kind: str, about: dict[str, Any]) -> None:
        """Stripe tells of something."""
        await self.resend(json.dumps({"id": "evt_1", "type": kind, "data": {"object": about}}).encode())

    async def resend(self, body: bytes) -> None:
        """Stripe sends an event, perhaps again; each time with a new signature."""
        self.sent.append(body)
        now = int(self.clock.now().timestamp())
        await self.payments.receive(body, f"t={now},v1={stripe_signature.sign(body, SECRET, now)}")

    async def heard(self) -> list[str]:
        """The kinds of all events so far, in order."""
        while await self.dispatcher.deliver_due():
            pass
        return [event.kind for event in self.listener.heard]

    async def rows(self) -> dict[str, Any]:
        """The rows of payments by id."""
        async with self.database.reading() as tx:
            return {row.id: row for row in await tx.all(select(payments))}


def open_shop(database: Database, clock: ManualClock, stripe_url: str) -> Shop:
    """Build the services, as the wiring does."""
    ids = SystemIds()
    outbox, listener = Outbox(clock), Listener()
    outbox.subscribe(listener)
    books = open_books(database, clock, ids)
    settings = PaymentSettings(
        stripe_key=SecretStr(KEY), stripe_webhook_secret=SecretStr(SECRET), stripe_url=stripe_url
    )
    provider = LossyProvider(StripeProvider(settings))
    audit = AuditLog(database, clock)
    payment_books = PaymentBooks(database, clock, ids, outbox, audit)
    buying = Payments(database, clock, ids, provider, payment_books, PriceList(settings, books.rate))
    return Shop(
        database=database,
        clock=clock,
        books=books,
        provider=provider,
        payments=buying,
        refunds=Refunds(database, clock, ids, provider, payment_books, audit),
        reconciler=PaymentReconciler(database, clock, provider, payment_books),
        missed=MissedReversals(database, clock, provider, buying),
        stripe=httpx2.Client(base_url=stripe_url, headers={"Authorization": f"Bearer {KEY}"}),
        listener=listener,
        dispatcher=Dispatcher(database, outbox, clock),
    )
