"""Refunds that administrators ask for: an intent row first, then the provider, then what it said into the books."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, literal_column

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.payments import refund_rows, repository
from cloudyard.domains.payments.bookkeeping import PaymentBooks
from cloudyard.domains.payments.errors import (
    NotRefundable,
    PaymentNotFound,
    PaymentProviderUnavailable,
    RefundRefused,
)
from cloudyard.domains.payments.models import payment_refunds, payments
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.records import NANOS_PER_CENT, PaymentState, Refund, RefundState
from cloudyard.domains.payments.side_by_side import AT_ONCE, side_by_side
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Schedule
from cloudyard.foundation.durable.idempotency import LONGEST_KEY, IdempotencyKeyReused
from cloudyard.foundation.durable.leases import backoff, claim, give_back
from cloudyard.foundation.errors import DomainError, InvalidInput
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import usd_from_nanos

log = structlog.get_logger(__name__)

LONGEST_REASON = 500
EVERY = timedelta(seconds=30)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 3600.0
BATCH = AT_ONCE
"""All at once, so that every request of a run ends within the lease."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an administrator asks for; `cents` is None for all that is left."""

    payment_id: str
    actor: str
    reason: str
    cents: int | None
    key: str | None

    @property
    def request_key(self) -> str | None:
        return _digest(self.key) if self.key is not None else None

    @property
    def fingerprint(self) -> str:
        return _digest(f"{self.payment_id}\n{self.cents}\n{self.reason}")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A refund's row; `leased` is the same with a lease of ours, None if it has ended or another works on it."""

    row: Row[Any]
    leased: Row[Any] | None
    is_new: bool


class Refunds:
    """Gives money of purchases back, once for each refund: a worker has its row to itself while it asks the provider,
    and looks for what an earlier try left there before it asks again.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        provider: PaymentProvider,
        books: PaymentBooks,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._provider = provider
        self._books = books
        self._audit = audit

    async def refund(
        self, payment_id: str, *, actor: str, reason: str, cents: int | None = None, key: str | None = None
    ) -> Refund:
        """Refund cents of a purchase, or all that is left of it; the same `key` of an administrator refunds once.

        What the provider takes on at once is in the books on return; otherwise the refund is open, and settles by
        itself. Raises `InvalidInput`, `IdempotencyKeyReused`, `PaymentNotFound`, `NotRefundable`, `RefundRefused`,
        `PaymentProviderUnavailable`, `PaymentRefused`; `FeatureUnavailable` without a provider.
        """
        wish = _Wish(payment_id, actor, reason.strip(), cents, key)
        _check(wish)
        await self._provider.ping()
        begun = await self._begin(wish)
        crash_point("refund.begun")
        if begun.leased is not None:
            await self._pursue_for_caller(begun.leased, look_first=not begun.is_new)
        elif begun.row.state == RefundState.OPEN.value:
            await self._take_in_known(begun.row, await self._charge_of(begun.row))
        async with self._database.reading() as tx:
            refund = await refund_rows.find(tx, begun.row.id)
        if refund.state is RefundState.FAILED:
            raise RefundRefused(f"The refund failed: {refund.failure}")
        return refund

    def schedule(self) -> Schedule:
        """When refunds that were broken off are gone on with."""
        return Schedule("payments.refund", EVERY, self.settle_due)

    async def settle_due(self) -> int:
        """Go on with a batch of the refunds that are due; the number of refunds. The rest is due at the next run."""
        return await side_by_side(self._database, payment_refunds, await self._claim(), self._go_on)

    async def _go_on(self, row: Row[Any]) -> bool:
        try:
            await self._pursue(row, look_first=True)
        except DomainError as error:
            log.warning("refund not settled", refund=row.id, error=str(error))
            return not isinstance(error, PaymentProviderUnavailable)
        return True

    async def _begin(self, wish: _Wish) -> _Begun:
        """The intent row; that of its first time where the key was used before."""
        async with self._database.transaction() as tx:
            payment = await repository.lock(tx, payments.c.id == repository.plain(wish.payment_id))
            if payment is None:
                raise PaymentNotFound("There is no payment of this id.", field="payment_id")
            row = await refund_rows.under_key(tx, wish.actor, wish.request_key) if wish.request_key else None
            if row is None:
                row = await self._add(tx, payment, wish)
                return _Begun(row, row, is_new=True)
            if row.fingerprint != wish.fingerprint:
                raise _key_reused()
            return _Begun(row, await refund_rows.lease(tx, row, self._clock.now()), is_new=False)

    async def _add(self, tx: Transaction, payment: Row[Any], wish: _Wish) -> Row[Any]:
        if payment.state != PaymentState.COMPLETED.value:
            raise NotRefundable(
                f"The payment is {payment.state}: nothing was received under it, so nothing can be refunded."
            )
        left = await refund_rows.left_cents(tx, payment.id, payment.cents)
        cents = left if wish.cents is None else wish.cents
        if not 0 < cents <= left:
            raise NotRefundable(
                f"{_dollars(left)} of the {_dollars(payment.cents)} paid can still be refunded. Ask for no more than "
                "that; what went back by a refund or dispute, or is about to, counts as gone.",
                field="usd",
            )
        refund_id, now = self._ids.new(), self._clock.now()
        request = (wish.request_key, wish.fingerprint)
        row = await refund_rows.add(tx, refund_id, payment.id, wish.actor, request, cents, wish.reason, now)
        if row is None:
            raise _key_reused()
        details = {"refund_id": refund_id, "cents": cents, "reason": wish.reason, "user_id": payment.user_id}
        await self._audit.record(tx, wish.actor, "payment.refund", f"payment:{payment.id}", details)
        return row

    async def _pursue_for_caller(self, row: Row[Any], *, look_first: bool) -> None:
        try:
            await self._pursue(row, look_first=look_first)
        except PaymentProviderUnavailable as error:
            raise PaymentProviderUnavailable(
                f"{error.message} Refund {row.id} settles by itself, once. Look at the payment later, or repeat the "
                "request with the same Idempotency-Key.",
                retry_after=error.retry_after,
                for_operators=error.for_operators,
            ) from error

    async def _pursue(self, row: Row[Any], *, look_first: bool) -> None:
        """Bring a leased refund to its end, or put it off."""
        try:
            charge_id = await self._charge_of(row)
            if look_first and await self._take_in_known(row, charge_id):
                return
            made = await self._provider.refund(charge_id, cents=row.cents, refund_id=row.id)
            crash_point("refund.made")
            await self._books.reverse(made)
        except RefundRefused as error:
            await self._fail(row, error.message)
            raise
        except DomainError:
            pause = backoff(row.attempts, first=FIRST_PAUSE_SECONDS, largest=LONGEST_PAUSE_SECONDS)
            async with self._database.transaction() as tx:
                await give_back(tx, payment_refunds, row, due_at=self._clock.now() + pause)
            raise

    async def _charge_of(self, row: Row[Any]) -> str:
        async with self._database.reading() as tx:
            payment = await repository.find(tx, payments.c.id == row.payment_id)
        if payment is None or payment.provider_id is None:
            raise RefundRefused("The payment is not known to Stripe, so Stripe cannot refund it.")
        charge_id = payment.charge_id or (await self._provider.retrieve(payment.provider_id)).charge_id
        if charge_id is None:
            raise RefundRefused(f"Stripe names no charge of {payment.provider_id}. Refund it in Stripe's dashboard.")
        return str(charge_id)

    async def _take_in_known(self, row: Row[Any], charge_id: str) -> bool:
        """Book what an earlier try left at the provider; whether there was anything."""
        found = await self._provider.refunds(charge_id)
        made = next((reversal for reversal in found if reversal.refund_id == row.id), None)
        if made is not None:
            await self._books.reverse(made)
        return made is not None

    async def _fail(self, row: Row[Any], failure: str) -> None:
        async with self._database.transaction() as tx:
            if await refund_rows.fail(tx, row, failure, self._clock.now()):
                details = {"refund_id": row.id, "failure": failure}
                await self._audit.record(tx, None, "payment.refund_failed", f"payment:{row.payment_id}", details)

    async def _claim(self) -> list[Row[Any]]:
        still_open = [payment_refunds.c.state == literal_column(f"'{RefundState.OPEN}'")]  # as in its partial index
        async with self._database.transaction() as tx:
            now = self._clock.now()
            return await claim(tx, payment_refunds, now=now, lease=refund_rows.LEASE, limit=BATCH, where=still_open)


def _check(wish: _Wish) -> None:
    if not 1 <= len(wish.reason) <= LONGEST_REASON or not wish.reason.isprintable():
        raise InvalidInput(f"Give a reason of 1 to {LONGEST_REASON} printable characters.", field="reason")
    if wish.cents is not None and wish.cents <= 0:
        raise InvalidInput("Refund more than nothing, or leave the amount out to refund all that is left.", field="usd")
    if wish.key is not None and not 1 <= len(wish.key) <= LONGEST_KEY:
        raise InvalidInput(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters.", field="Idempotency-Key")


def _key_reused() -> IdempotencyKeyReused:
    return IdempotencyKeyReused(
        "This Idempotency-Key was already used for another refund. Use a new key for a new one.",
        field="Idempotency-Key",
    )


def _dollars(cents: int) -> str:
    return f"${usd_from_nanos(cents * NANOS_PER_CENT):.2f}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
