"""Taking the provider's word into the books: whatever the order and however often it comes, each thing happens once."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.ledger import Entry, LedgerBatch, Posted, wallet_of
from cloudyard.domains.ledger.models import accounts
from cloudyard.domains.payments import entries, refund_rows, repository
from cloudyard.domains.payments.errors import PaymentMismatch
from cloudyard.domains.payments.models import payments
from cloudyard.domains.payments.records import (
    CURRENCY,
    Payment,
    PaymentState,
    ProviderIntent,
    ProviderState,
    Reversal,
    ReversalKind,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import Ids

FINAL = frozenset({PaymentState.COMPLETED, PaymentState.MISMATCH})
UNDECIDED = frozenset({PaymentState.OPEN, PaymentState.ACTION_REQUIRED})
MISMATCH = "payment.mismatch"
"""For administrators; its subject is `payment:<id>`."""
NEXT_LOOK = timedelta(minutes=1)
LONGEST_FAILURE = 500


class PaymentBooks:
    """The rows of payments and their postings, in one transaction each."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, outbox: Outbox, audit: AuditLog) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._outbox = outbox
        self._audit = audit

    async def bind(self, payment_id: str, intent_id: str) -> Payment:
        """Note under which id the provider knows a payment, if it is still wanted and has none; the payment."""
        async with self._database.transaction() as tx:
            row = await repository.lock(tx, payments.c.id == payment_id)
            payment = repository.payment_of(_existing(row))
            if payment.provider_id is None and not payment.closed:
                payment = await repository.change(tx, payment_id, provider_id=intent_id)
        return payment

    async def give_up(self, payment_id: str, reason: str) -> Payment:
        """End a payment that the provider has never heard of; the payment as it then is."""
        async with self._database.transaction() as tx:
            row = await repository.lock(tx, payments.c.id == payment_id)
            payment = repository.payment_of(_existing(row))
            if payment.provider_id is None and not payment.closed:
                payment = await self._fail(tx, payment, PaymentState.CANCELLED, reason)
        return payment

    async def apply(self, intent: ProviderIntent) -> Payment | None:
        """Take in how a payment stands at the provider; the payment, None if it is none of ours.

        The credits are posted in the transaction that marks the payment completed, once. Where another amount or
        currency was received, nothing is credited, and administrators are told, once.
        """
        async with self._database.transaction() as tx:
            row = await repository.lock(tx, payments.c.provider_id == intent.id)
            if row is None:
                return None
            payment = repository.payment_of(row)
            target = _target(payment, intent.state)
            if target is None:
                return payment
            if target is PaymentState.COMPLETED:
                return await self._complete(tx, payment, intent)
            if target is PaymentState.ACTION_REQUIRED:
                due = self._clock.now() + NEXT_LOOK
                return await repository.change(tx, payment.id, state=target.value, due_at=due)
            closed = intent.state is ProviderState.CANCELLED
            return await self._fail(tx, payment, target, intent.failure, closed=closed)

    async def reverse(self, reversal: Reversal) -> Payment | None:
        """Take in a refund or a dispute, or that it came to nothing; the payment, None if it is none of ours.

        Raises `PaymentMismatch` if the payment is not in the books as received.
        """
        async with self._database.transaction() as tx:
            row = await repository.lock(tx, repository.named(reversal.intent_id, reversal.charge_id))
            if row is None:
                return None
            payment = repository.payment_of(row)
            if payment.state is PaymentState.MISMATCH:
                return payment
            if payment.state is not PaymentState.COMPLETED:
                raise PaymentMismatch(
                    f"Stripe reports {reversal.kind} {reversal.id} of payment {payment.id}, which was not received."
                )
            known = await repository.reversal(tx, reversal.id)
            if known is None:
                await self._take(tx, payment, reversal)
            elif reversal.returned and not known.returned:
                await self._give_back(tx, payment, known)
            if reversal.refund_id is not None:
                returned = reversal.returned or (known is not None and known.returned)
                await refund_rows.booked(tx, payment.id, reversal, self._clock.now(), returned=returned)
            return payment

    async def _complete(self, tx: Transaction, payment: Payment, intent: ProviderIntent) -> Payment:
        if intent.received_cents != payment.cents or intent.currency != CURRENCY:
            return await self._mismatch(tx, payment, intent)
        entry = entries.purchase(payment)
        posted = await tx.run_sync(lambda connection: self._post(connection, payment.user_id, entry))
        completed = await repository.change(
            tx,
            payment.id,
            state=PaymentState.COMPLETED.value,
            closed=True,
            charge_id=intent.charge_id,
            failure=None,
            transaction_id=posted.id,
            ended_at=self._clock.now(),
        )
        payload = _payload(completed) | {"transaction_id": posted.id}
        await self._emit(tx, completed, payload, "payment.completed", "credit.purchased")
        return completed

    async def _mismatch(self, tx: Transaction, payment: Payment, intent: ProviderIntent) -> Payment:
        now, received = self._clock.now(), {"received": intent.received_cents, "currency": intent.currency}
        failure = (
            f"Stripe received {intent.received_cents} {intent.currency} in its smallest unit, not {payment.cents} "
            f"{CURRENCY}. Nothing was credited; an administrator decides, with {intent.id} in Stripe's dashboard."
        )
        values = {"state": PaymentState.MISMATCH.value, "closed": True, "failure": failure, "ended_at": now}
        found = await repository.change(tx, payment.id, charge_id=intent.charge_id, **values)
        subject, details = f"payment:{payment.id}", {"provider_id": intent.id, "cents": payment.cents} | received
        await self._audit.record(tx, None, MISMATCH, subject, details)
        await self._outbox.emit(tx, Event(MISMATCH, subject, _payload(found) | {"reason": failure}))
        return found

    async def _fail(
        self, tx: Transaction, payment: Payment, state: PaymentState, reason: str | None, *, closed: bool = True
    ) -> Payment:
        now = self._clock.now()
        failure = (reason or payment.failure or "It was cancelled.")[:LONGEST_FAILURE]
        failed = await repository.change(
            tx, payment.id, state=state.value, closed=closed, failure=failure, ended_at=now, due_at=now + NEXT_LOOK
        )
        if payment.state in UNDECIDED:
            await self._emit(tx, failed, _payload(failed) | {"reason": failure}, "payment.failed")
        return failed

    async def _take(self, tx: Transaction, payment: Payment, reversal: Reversal) -> None:
        """Take back what was bought, as far as the wallet has it; promotions bear the rest."""
        if reversal.returned:
            await repository.add_reversal(tx, payment.id, reversal, 0, 0, self._clock.now())
            return
        gone, gone_cents = await repository.reversed_so_far(tx, payment.id)
        left = payment.value - gone
        all_of_it = gone_cents + reversal.cents >= payment.cents
        wanted = left if all_of_it else min(left, payment.value * reversal.cents // payment.cents)

        def take(connection: Connection) -> int:
            batch = self._batch(connection, payment.user_id)
            taken = min(wanted, _available(connection, payment.user_id))
            uncovered = wanted - taken
            batch.post(entries.taking(payment, reversal.id, reversal.kind, reversal.cents, taken, uncovered))
            batch.flush()
            return taken

        taken = await tx.run_sync(take)
        await repository.add_reversal(tx, payment.id, reversal, taken, wanted - taken, self._clock.now())
        kind = "payment.refunded" if reversal.kind is ReversalKind.REFUND else "payment.disputed"
        payload = _payload(payment) | {"reversed_nanos": wanted, "taken_nanos": taken}
        await self._emit(tx, payment, payload, kind)

    async def _give_back(self, tx: Transaction, payment: Payment, known: Row[Any]) -> None:
        entry = entries.giving_back(
            payment, known.id, ReversalKind(known.kind), known.cents, known.taken_nanos, known.uncovered_nanos
        )
        await tx.run_sync(lambda connection: self._post(connection, payment.user_id, entry))
        await repository.end_reversal(tx, known.id, self._clock.now())

    async def _emit(self, tx: Transaction, payment: Payment, payload: dict[str, Any], *kinds: str) -> None:
        await self._outbox.emit(tx, *(Event(kind, f"user:{payment.user_id}", payload) for kind in kinds))

    def _post(self, connection: Connection, user_id: str, entry: Entry) -> Posted:
        batch = self._batch(connection, user_id, entry.idempotency_key)
        posted = batch.post(entry)
        batch.flush()
        return posted

    def _batch(self, connection: Connection, user_id: str, *keys: str) -> LedgerBatch:
        """A batch that has every account of a payment locked."""
        batch = LedgerBatch(connection, self._ids, self._clock.now())
        batch.load(entries.accounts_of(user_id), keys=keys)
        return batch


def _target(payment: Payment, said: ProviderState) -> PaymentState | None:
    """Where a payment goes on the provider's word; None if it stays. Money received wins over everything."""
    if payment.state in FINAL:
        return None
    if said is ProviderState.SUCCEEDED:
        return PaymentState.COMPLETED
    if payment.closed:
        return None
    if said is ProviderState.CANCELLED:
        return PaymentState.FAILED if payment.state is PaymentState.FAILED else PaymentState.CANCELLED
    if said is ProviderState.DECLINED and payment.state in UNDECIDED:
        return PaymentState.FAILED
    if said is ProviderState.ACTION_REQUIRED and payment.state is PaymentState.OPEN:
        return PaymentState.ACTION_REQUIRED
    return None


def _existing(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise LookupError("the payment's row is gone, and nothing deletes it")
    return row


def _available(connection: Connection, user_id: str) -> int:
    balance = select(accounts.c.balance_nanos).where(accounts.c.id == wallet_of(user_id).id)
    return int(connection.execute(balance).scalar_one())


def _payload(payment: Payment) -> dict[str, Any]:
    return {
        "user_id": payment.user_id,
        "payment_id": payment.id,
        "package_id": payment.package_id,
        "value_nanos": payment.value,
        "cents": payment.cents,
    }
