"""Settled charges in the order in which they were committed.

Every charge posts to the one revenue account, whose row it locks before it draws the number of its posting and until it
has committed. So among these postings no number becomes visible after a higher one, and none is passed over by whoever
reads on from the last that it saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from cloudyard.domains.billing.models import usage_records
from cloudyard.domains.ledger.models import accounts, postings, transactions
from cloudyard.domains.ledger.records import REVENUE, EntryKind, wallet_of
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Delivered
from cloudyard.foundation.money import CreditRate, plain_number, usd_from_nanos

CREDIT_USED = "credit.used"
KEY_PREFIX = f"{EntryKind.USAGE}:"


@dataclass(frozen=True, slots=True)
class Settled:
    """What was read on: `events` of the charges that have a usage record, the number of charges, that of the last."""

    events: Sequence[Delivered]
    charges: int
    last: int


def newest_before(connection: Connection, moment: datetime) -> int:
    """The number of the last charge before a moment, 0 where there is none."""
    query = _charges().where(transactions.c.created_at < moment).order_by(postings.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return row.id if row is not None else 0


async def settled_after(tx: Transaction, number: int, limit: int, rate: CreditRate) -> Settled:
    """The charges after that number, oldest first, as `credit.used` events about their users."""
    charges = await tx.all(_charges().where(postings.c.id > number).order_by(postings.c.id).limit(limit))
    numbers = {row.idempotency_key.removeprefix(KEY_PREFIX): row.id for row in charges}
    if not numbers:
        return Settled([], 0, number)
    records = await tx.all(select(usage_records).where(usage_records.c.hold_id.in_(numbers)))
    balances = await _balances(tx, {record.user_id for record in records})
    told = [
        Delivered(
            numbers[record.hold_id],
            CREDIT_USED,
            f"user:{record.user_id}",
            _payload(record, balances[record.user_id], rate),
            record.created_at,
        )
        for record in records
    ]
    return Settled(sorted(told, key=lambda event: event.id), len(charges), charges[-1].id)


def _charges() -> Select[Any]:
    """Usage that moved credit: what was free posts nothing."""
    return (
        select(postings.c.id, transactions.c.idempotency_key)
        .join(transactions, transactions.c.id == postings.c.transaction_id)
        .where(postings.c.account_id == REVENUE.id, transactions.c.kind == EntryKind.USAGE.value)
    )


async def _balances(tx: Transaction, users: set[str]) -> dict[str, int]:
    """What each user may spend now."""
    wallets = {wallet_of(user_id).id: user_id for user_id in users}
    query = select(accounts.c.id, accounts.c.balance_nanos).where(accounts.c.id.in_(wallets))
    return {wallets[row.id]: row.balance_nanos for row in await tx.all(query)}


def _payload(record: Row[Any], balance: int, rate: CreditRate) -> dict[str, Any]:
    """`amount` and `balance` are in credits, `cost` is the amount in dollars."""
    return {
        "user_id": record.user_id,
        "usage_record_id": record.hold_id,
        "amount": plain_number(rate.credits(record.amount_nanos)),
        "balance": plain_number(rate.credits(balance)),
        "cost": plain_number(usd_from_nanos(record.amount_nanos)),
        "model": record.details.get("requested_model"),
        "operation": record.details.get("operation"),
        "quantities": record.quantities,
        "outcome": record.outcome,
        "request_id": record.details.get("request_id"),
        "at": record.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
