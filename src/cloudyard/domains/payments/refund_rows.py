"""The statements on the rows of refunds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select, update

from cloudyard.domains.payments.models import payment_refunds, payment_reversals
from cloudyard.domains.payments.records import Refund, RefundState, Reversal, ReversalKind
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable.leases import held

LEASE = timedelta(minutes=2)
"""How long one worker has a refund to itself; every request to Stripe is shorter."""
LONGEST_FAILURE = 500
RETURNED = "The refund failed at the bank, and the credits were given back."

_TAKEN = (payment_reversals.c.taken_nanos, payment_reversals.c.uncovered_nanos)


async def add(
    tx: Transaction,
    refund_id: str,
    payment_id: str,
    actor: str,
    request: tuple[str | None, str],
    cents: int,
    reason: str,
    now: datetime,
) -> Row[Any] | None:
    """Write the row of a refund, leased to the caller; None if its request has one meanwhile, of another payment.

    `request` is its key and its fingerprint.
    """
    key, fingerprint = request
    row = insert_or_ignore(tx.dialect, payment_refunds).values(
        id=refund_id,
        payment_id=payment_id,
        actor=actor,
        request_key=key,
        fingerprint=fingerprint,
        cents=cents,
        reason=reason,
        state=RefundState.OPEN.value,
        created_at=now,
        due_at=now,
        lease_until=now + LEASE,
        attempts=1,
    )
    return (await tx.execute(row.returning(*payment_refunds.c))).first()


async def under_key(tx: Transaction, actor: str, key: str) -> Row[Any] | None:
    """The refund that this administrator asked for under this key."""
    table = payment_refunds
    return await tx.first(select(table).where(table.c.actor == actor, table.c.request_key == key))


async def lease(tx: Transaction, row: Row[Any], now: datetime) -> Row[Any] | None:
    """The row with a lease of the caller's; None if it has ended, or another works on it."""
    if row.state != RefundState.OPEN.value or (row.lease_until is not None and row.lease_until >= now):
        return None
    taken = (
        update(payment_refunds)
        .where(held(payment_refunds, row))
        .values(lease_until=now + LEASE, epoch=row.epoch + 1, attempts=row.attempts + 1)
    )
    return (await tx.execute(taken.returning(*payment_refunds.c))).first()


async def fail(tx: Transaction, row: Row[Any], failure: str, now: datetime) -> bool:
    """End a refund that the provider refused, unless it was heard of otherwise meanwhile."""
    table = payment_refunds
    ended = {"state": RefundState.FAILED.value, "failure": failure[:LONGEST_FAILURE], "ended_at": now}
    still_open = (held(table, row), table.c.state == RefundState.OPEN.value)
    return (await tx.execute(update(table).where(*still_open).values(lease_until=None, **ended))).rowcount == 1


async def booked(tx: Transaction, payment_id: str, reversal: Reversal, now: datetime, *, returned: bool) -> None:
    """Mark the refund that a reversal carries out, in the transaction that posts it."""
    table = payment_refunds
    state = RefundState.FAILED if returned else RefundState.COMPLETED
    values = {"state": state.value, "reversal_id": reversal.id, "failure": RETURNED if returned else None}
    mine = (table.c.id == reversal.refund_id, table.c.payment_id == payment_id)
    await tx.execute(update(table).where(*mine).values(ended_at=now, **values))


async def left_cents(tx: Transaction, payment_id: str, paid: int) -> int:
    """What of a payment can still be refunded: nothing of it went back, or is about to."""
    gone = select(func.coalesce(func.sum(payment_reversals.c.cents), 0)).where(
        payment_reversals.c.payment_id == payment_id, payment_reversals.c.returned.is_(False)
    )
    going = select(func.coalesce(func.sum(payment_refunds.c.cents), 0)).where(
        payment_refunds.c.payment_id == payment_id, payment_refunds.c.state == RefundState.OPEN.value
    )
    return max(0, paid - int(await tx.scalar(gone)) - int(await tx.scalar(going)))


async def find(tx: Transaction, refund_id: str) -> Refund:
    """A refund that exists."""
    return _refund((await tx.execute(_with_reversal().where(payment_refunds.c.id == refund_id))).one())


async def of_payment(tx: Transaction, payment_id: str) -> Sequence[Refund]:
    """The refunds of a payment that were asked for here, newest first."""
    mine = _with_reversal().where(payment_refunds.c.payment_id == payment_id)
    return [_refund(row) for row in await tx.all(mine.order_by(payment_refunds.c.id.desc()))]


async def reversed_cents(tx: Transaction, payment_ids: Sequence[str]) -> Mapping[tuple[str, ReversalKind], int]:
    """What went back of payments, by payment and kind."""
    table = payment_reversals
    query = (
        select(table.c.payment_id, table.c.kind, func.sum(table.c.cents).label("cents"))
        .where(table.c.payment_id.in_(payment_ids), table.c.returned.is_(False))
        .group_by(table.c.payment_id, table.c.kind)
    )
    return {(row.payment_id, ReversalKind(row.kind)): int(row.cents) for row in await tx.all(query)}


def _with_reversal() -> Select[Any]:
    booked_as = payment_reversals.c.id == payment_refunds.c.reversal_id
    return select(payment_refunds, *_TAKEN).outerjoin(payment_reversals, booked_as)


def _refund(row: Row[Any]) -> Refund:
    return Refund(
        row.id,
        row.payment_id,
        row.actor,
        row.cents,
        row.reason,
        RefundState(row.state),
        row.failure,
        row.taken_nanos or 0,
        row.uncovered_nanos or 0,
        row.created_at,
    )
