"""The statements on the tables of payments."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update

from cloudyard.domains.payments.models import payment_reversals, payments
from cloudyard.domains.payments.price_list import Price
from cloudyard.domains.payments.records import Payment, PaymentState, Reversal
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore

FIRST_LOOK = timedelta(minutes=2)
"""How long a purchase has to end by itself before the reconciler asks; every request to Stripe is shorter."""


def plain(text: str) -> str:
    """The text; an empty one, which names nothing, if it has characters that no database holds."""
    return text if text.isprintable() else ""


def payment_of(row: Row[Any]) -> Payment:
    """A row as a record."""
    return Payment(
        row.id,
        row.user_id,
        row.package_id,
        row.payment_method,
        row.value_nanos,
        row.cents,
        PaymentState(row.state),
        row.closed,
        row.provider_id,
        row.failure,
        row.created_at,
    )


async def lock_buyer(tx: Transaction, user_id: str) -> None:
    """Have the purchases of a user begin one after another, as they do on SQLite, which has one writer."""
    if tx.dialect == "postgresql":
        buyer = func.hashtextextended(f"purchases:{user_id}", 0)
        await tx.execute(select(func.pg_advisory_xact_lock(buyer)))


async def begin(
    tx: Transaction,
    payment_id: str,
    user_id: str,
    price: Price,
    payment_method: str,
    request: tuple[str | None, str],
    now: datetime,
) -> None:
    """Write the row of a payment, unless its request has one already. `request` is its key and its fingerprint."""
    key, fingerprint = request
    await tx.execute(
        insert_or_ignore(tx.dialect, payments).values(
            id=payment_id,
            user_id=user_id,
            request_key=key,
            fingerprint=fingerprint,
            package_id=price.package_id,
            payment_method=payment_method,
            value_nanos=price.value,
            cents=price.cents,
            state=PaymentState.OPEN.value,
            closed=False,
            created_at=now,
            due_at=now + FIRST_LOOK,
        )
    )


async def page(tx: Transaction, where: Sequence[ColumnElement[bool]], limit: int, offset: int) -> list[Payment]:
    """Payments that match, newest first: their ids are ordered by time."""
    query = select(payments).where(*where).order_by(payments.c.id.desc()).limit(limit).offset(offset)
    return [payment_of(row) for row in await tx.all(query)]


async def count(tx: Transaction, where: Sequence[ColumnElement[bool]]) -> int:
    """How many payments match."""
    return int(await tx.scalar(select(func.count()).select_from(payments).where(*where)))


async def find(tx: Transaction, *where: ColumnElement[bool]) -> Row[Any] | None:
    """The one payment that matches."""
    return await tx.first(select(payments).where(*where))


async def lock(tx: Transaction, *where: ColumnElement[bool]) -> Row[Any] | None:
    """The one payment that matches, which nobody else changes before this transaction ends."""
    return await tx.first(select(payments).where(*where).with_for_update())


def named(intent_id: str | None, charge_id: str | None) -> ColumnElement[bool]:
    """The payment that the provider knows under either id; none under None."""
    return or_(payments.c.provider_id == (intent_id or ""), payments.c.charge_id == (charge_id or ""))


async def change(tx: Transaction, payment_id: str, **values: Any) -> Payment:
    """Write to a locked payment."""
    changed = update(payments).where(payments.c.id == payment_id).values(**values).returning(*payments.c)
    return payment_of((await tx.execute(changed)).one())


async def reversal(tx: Transaction, reversal_id: str) -> Row[Any] | None:
    """A reversal that is in the books."""
    return await tx.first(select(payment_reversals).where(payment_reversals.c.id == reversal_id))


async def news(tx: Transaction, given: Sequence[Reversal]) -> list[Reversal]:
    """Of some reversals those of our payments that the books do not have, or not that they were returned."""
    table = payment_reversals
    known_rows = await tx.all(select(table.c.id, table.c.returned).where(table.c.id.in_([each.id for each in given])))
    known = {row.id: row.returned for row in known_rows}
    intents, charges = ({each.intent_id for each in given}, {each.charge_id for each in given})
    ours = select(payments.c.provider_id, payments.c.charge_id).where(
        or_(payments.c.provider_id.in_(intents - {None}), payments.c.charge_id.in_(charges - {None})),
        payments.c.state != PaymentState.MISMATCH.value,
    )
    names = {name for row in await tx.all(ours) for name in (row.provider_id, row.charge_id) if name is not None}
    return [
        each
        for each in given
        if not names.isdisjoint((each.intent_id, each.charge_id))
        and (each.id not in known or (each.returned and not known[each.id]))
    ]


async def reversed_so_far(tx: Transaction, payment_id: str) -> tuple[int, int]:
    """What of a payment's value, in nano-dollars, and of its cents was reversed, and not returned."""
    table = payment_reversals
    nanos = func.coalesce(func.sum(table.c.taken_nanos + table.c.uncovered_nanos), 0)
    totals = select(nanos.label("nanos"), func.coalesce(func.sum(table.c.cents), 0).label("cents"))
    found = await tx.all(totals.where(table.c.payment_id == payment_id, table.c.returned.is_(False)))
    return int(found[0].nanos), int(found[0].cents)


async def add_reversal(
    tx: Transaction, payment_id: str, given: Reversal, taken: int, uncovered: int, now: datetime
) -> None:
    """Write a reversal down."""
    await tx.execute(
        insert(payment_reversals).values(
            id=given.id,
            payment_id=payment_id,
            kind=given.kind.value,
            cents=given.cents,
            taken_nanos=taken,
            uncovered_nanos=uncovered,
            returned=given.returned,
            created_at=now,
            returned_at=now if given.returned else None,
        )
    )


async def end_reversal(tx: Transaction, reversal_id: str, now: datetime) -> None:
    """Write down that a reversal was returned."""
    table = payment_reversals
    await tx.execute(update(table).where(table.c.id == reversal_id).values(returned=True, returned_at=now))
