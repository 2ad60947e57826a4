"""What is read from the ledger."""

from datetime import datetime

from sqlalchemy import select

from cloudyard.domains.ledger.models import accounts, holds, holds_are_open
from cloudyard.domains.ledger.records import Account, AccountKind, Wallet, held_of, wallet_of
from cloudyard.foundation.database import Transaction


async def read_wallet(tx: Transaction, user_id: str, now: datetime) -> Wallet:
    """A user's balances; zeros for one who never had any credit."""
    owned = (wallet_of(user_id), held_of(user_id), Account(AccountKind.OPERATOR_EARNINGS, user_id))
    rows = await tx.all(
        select(accounts.c.id, accounts.c.balance_nanos, accounts.c.updated_at).where(
            accounts.c.id.in_([account.id for account in owned])
        )
    )
    nanos = {row.id: row.balance_nanos for row in rows}
    available, held, earnings = (nanos.get(account.id, 0) for account in owned)
    updated_at = max((row.updated_at for row in rows), default=now)
    return Wallet(user_id, available, held, earnings, updated_at)


async def expired_hold_ids(tx: Transaction, now: datetime, limit: int) -> list[str]:
    """Open holds whose time is over."""
    rows = await tx.all(
        select(holds.c.id).where(holds_are_open, holds.c.expires_at < now).order_by(holds.c.expires_at).limit(limit)
    )
    return [row.id for row in rows]
