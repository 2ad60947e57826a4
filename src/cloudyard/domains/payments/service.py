"""Buying credits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement

from cloudyard.domains.payments import refund_rows, repository
from cloudyard.domains.payments.bookkeeping import FINAL, PaymentBooks
from cloudyard.domains.payments.errors import (
    PaymentFailed,
    PaymentMethodRefused,
    PaymentMismatch,
    PaymentNotFound,
    PaymentProviderUnavailable,
    PaymentRefused,
    TooManyOpenPurchases,
)
from cloudyard.domains.payments.models import payments
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.price_list import Price, PriceList
from cloudyard.domains.payments.records import (
    Order,
    Package,
    Payment,
    PaymentOverview,
    PaymentState,
    ProviderIntent,
    ProviderState,
    Purchase,
    Refund,
    RefundsChanged,
    Reversal,
    ReversalKind,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable.idempotency import LONGEST_KEY, IdempotencyKeyReused
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import Ids

MOST_OPEN = 10
"""Unsettled purchases a buyer: the reconciler asks Stripe about each of them."""
LONGEST_PAYMENT_METHOD = 255
NOT_PAID = frozenset({PaymentState.FAILED, PaymentState.CANCELLED})


class Payments:
    """Purchases: an intent row first, then the provider outside any transaction, then what it said into the books."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        provider: PaymentProvider,
        books: PaymentBooks,
        price_list: PriceList,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._provider = provider
        self._books = books
        self._price_list = price_list

    def packages(self) -> Sequence[Package]:
        """What can be bought, the cheapest first."""
        return self._price_list.packages

    async def purchase(self, user_id: str, order: Order, *, key: str | None = None) -> Purchase:
        """Buy credits. What the provider confirms at once is in the wallet on return; the same `key` buys once.

        Raises `InvalidInput`, `PackageNotFound`, `IdempotencyKeyReused`, `TooManyOpenPurchases`,
        `PaymentMethodRefused`, `PaymentFailed` (nothing was charged), `PaymentMismatch`,
        `PaymentProviderUnavailable`, `PaymentRefused`; `FeatureUnavailable` without a provider.
        """
        await self._provider.ping()
        if len(order.payment_method) > LONGEST_PAYMENT_METHOD or not order.payment_method.isprintable():
            raise InvalidInput("Give the id of a payment method of Stripe's.", field="payment_method_id")
        payment = await self._begin(user_id, order, self._price_list.price(order), key)
        if payment.closed or payment.state in NOT_PAID:
            return _outcome(Purchase(payment))
        crash_point("payment.begun")
        try:
            return _outcome(await self._pursue(payment))
        except PaymentProviderUnavailable as error:
            raise PaymentProviderUnavailable(
                f"{error.message} Purchase {payment.id} settles by itself: you are charged once, and credited, or not "
                "at all. Ask for it later, or repeat the request with the same Idempotency-Key.",
                retry_after=error.retry_after,
                for_operators=error.for_operators,
            ) from error

    async def status(self, user_id: str, payment_id: str) -> Purchase:
        """How a purchase stands, asking the provider where it is not settled. Raises `PaymentNotFound`."""
        payment = await self._find(payments.c.id == repository.plain(payment_id), payments.c.user_id == user_id)
        if payment is None:
            raise PaymentNotFound("You have no purchase of this id.", field="purchase_id")
        if payment.closed or payment.provider_id is None:
            return Purchase(payment)
        return await self._take_in(payment, await self._provider.retrieve(payment.provider_id))

    async def list(
        self, *, user_id: str | None = None, state: PaymentState | None = None, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[PaymentOverview], int]:
        """A page of the payments of all users that match, newest first, and how many match."""
        wanted = {payments.c.user_id: user_id, payments.c.state: state.value if state is not None else None}
        where = [column == repository.plain(value) for column, value in wanted.items() if value is not None]
        async with self._database.reading() as tx:
            found = await repository.page(tx, where, limit, offset)
            total = await repository.count(tx, where)
            back = await refund_rows.reversed_cents(tx, [payment.id for payment in found])
        return [_overview(payment, back) for payment in found], total

    async def details(self, payment_id: str) -> tuple[PaymentOverview, Sequence[Refund]]:
        """A payment of any user and the refunds that were asked for here, newest first. Raises `PaymentNotFound`."""
        async with self._database.reading() as tx:
            row = await repository.find(tx, payments.c.id == repository.plain(payment_id))
            if row is None:
                raise PaymentNotFound("There is no payment of this id.", field="payment_id")
            back = await refund_rows.reversed_cents(tx, [payment_id])
            refunds = await refund_rows.of_payment(tx, payment_id)
        return _overview(repository.payment_of(row), back), refunds

    async def receive(self, body: bytes, signature: str | None) -> None:
        """Take in an event of the provider: late, twice or out of order, it does no harm.

        Raises `ForgedPaymentEvent`, and whatever asks the provider to send it again.
        """
        await self._provider.ping()
        notice = self._provider.read_event(body, signature, self._clock.now())
        match notice:
            case ProviderIntent():
                await self._books.apply(notice)
            case Reversal():
                await self.reverse(notice)
            case RefundsChanged():
                found = await self._provider.refunds(notice.charge_id)
                await self._reverse(found, notice.intent_id, notice.charge_id)
            case None:
                return

    async def reverse(self, reversal: Reversal) -> None:
        """Take in a refund or dispute that the provider tells of, by an event or in a list; once, however often.

        Raises `PaymentMismatch` if the provider has not received the payment, and whatever it raises itself.
        """
        await self._reverse([reversal], reversal.intent_id, reversal.charge_id)

    async def _begin(self, user_id: str, order: Order, price: Price, key: str | None) -> Payment:
        """The intent row of a purchase; that of its first time where the key was used before."""
        if key is not None and not 1 <= len(key) <= LONGEST_KEY:
            raise InvalidInput(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters.", field="Idempotency-Key")
        request_key = _digest(key) if key is not None else None
        fingerprint = _digest(f"{order.package_id}\n{order.value}\n{order.payment_method}")
        payment_id = self._ids.new()
        mine = payments.c.id == payment_id
        if request_key is not None:
            mine = (payments.c.user_id == user_id) & (payments.c.request_key == request_key)
        async with self._database.transaction() as tx:
            await repository.lock_buyer(tx, user_id)
            row = await repository.find(tx, mine)
            if row is None:
                await _check_open(tx, user_id)
                request = (request_key, fingerprint)
                now = self._clock.now()
                await repository.begin(tx, payment_id, user_id, price, order.payment_method, request, now)
                row = await repository.find(tx, mine)
        if row is None or row.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was already used for another purchase. Use a new key for a new one.",
                field="Idempotency-Key",
            )
        return repository.payment_of(row)

    async def _pursue(self, payment: Payment) -> Purchase:
        """Go on with a payment from wherever it stands."""
        intent: ProviderIntent | None = None
        if payment.provider_id is None:
            intent = await self._create(payment)
            crash_point("payment.created")
            payment = await self._books.bind(payment.id, intent.id)
        if payment.closed or payment.provider_id is None:
            return Purchase(payment)
        if intent is None or intent.id != payment.provider_id:
            intent = await self._provider.retrieve(payment.provider_id)
        if intent.state is ProviderState.UNCONFIRMED:
            crash_point("payment.bound")
            intent = await self._confirm(payment, intent.id)
            crash_point("payment.confirmed")
        return await self._take_in(payment, intent)

    async def _create(self, payment: Payment) -> ProviderIntent:
        try:
            return await self._provider.create(
                cents=payment.cents,
                payment_method=payment.payment_method,
                payment_id=payment.id,
                user_id=payment.user_id,
            )
        except (PaymentMethodRefused, PaymentRefused) as error:
            await self._books.give_up(payment.id, error.message)
            raise

    async def _confirm(self, payment: Payment, intent_id: str) -> ProviderIntent:
        """Charge; what the provider refuses to charge is cancelled there at once, and ends with its words."""
        try:
            return await self._provider.confirm(intent_id, key=f"{payment.id}:confirm")
        except PaymentRefused as error:
            ended = await self._provider.cancel(intent_id, key=f"{payment.id}:cancel")
            await self._books.apply(replace(ended, failure=error.message))
            raise

    async def _take_in(self, payment: Payment, intent: ProviderIntent) -> Purchase:
        after = await self._books.apply(intent) or payment
        waiting = after.state is PaymentState.ACTION_REQUIRED
        return Purchase(after, intent.client_secret if waiting else None)

    async def _reverse(self, reversals: Sequence[Reversal], intent_id: str | None, charge_id: str | None) -> None:
        """Take in reversals of one payment, which is first made to stand as it does at the provider."""
        payment = await self._find(repository.named(intent_id, charge_id))
        if payment is None or payment.provider_id is None:
            return
        if payment.state not in FINAL:
            await self._books.apply(await self._provider.retrieve(payment.provider_id))
        for reversal in reversals:
            await self._books.reverse(reversal)

    async def _find(self, *where: ColumnElement[bool]) -> Payment | None:
        async with self._database.reading() as tx:
            row = await repository.find(tx, *where)
        return repository.payment_of(row) if row is not None else None


async def _check_open(tx: Transaction, user_id: str) -> None:
    """Raises `TooManyOpenPurchases`."""
    unsettled = [payments.c.user_id == user_id, payments.c.closed.is_(False)]
    if await repository.count(tx, unsettled) >= MOST_OPEN:
        raise TooManyOpenPurchases(
            f"{MOST_OPEN} of your purchases are not settled yet, and nobody may have more. Authenticate them, or wait: "
            "one that is declined ends after an hour, one that nobody authenticates after a day."
        )


def _overview(payment: Payment, back: Mapping[tuple[str, ReversalKind], int]) -> PaymentOverview:
    refunded, disputed = (back.get((payment.id, kind), 0) for kind in (ReversalKind.REFUND, ReversalKind.DISPUTE))
    return PaymentOverview(payment, refunded, disputed)


def _outcome(purchase: Purchase) -> Purchase:
    """Raises `PaymentFailed` for a purchase that came to nothing, `PaymentMismatch` for one paid otherwise."""
    payment = purchase.payment
    if payment.state is PaymentState.MISMATCH:
        raise PaymentMismatch(f"Purchase {payment.id} was not credited: {payment.failure}")
    if payment.state in NOT_PAID:
        raise PaymentFailed(
            f"The payment failed, and nothing was charged: {payment.failure} Try again with another payment method.",
            field="payment_method_id",
        )
    return purchase


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
