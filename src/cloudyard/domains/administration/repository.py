"""What is read from the ledger about many users at once."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from cloudyard.domains.ledger import AccountKind, EntryKind, wallet_of
from cloudyard.domains.ledger.models import accounts, accounts_are_no_purses, statement_totals
from cloudyard.domains.ledger.records import MANUAL
from cloudyard.foundation.database import Transaction


async def available_credit(tx: Transaction, user_ids: Sequence[str]) -> Mapping[str, int]:
    """What each user has free to spend; users without a wallet are left out."""
    wallets = [wallet_of(user_id).id for user_id in user_ids]
    rows = await tx.all(select(accounts.c.owner, accounts.c.balance_nanos).where(accounts.c.id.in_(wallets)))
    return {row.owner: row.balance_nanos for row in rows}


async def turnover(tx: Transaction) -> Mapping[EntryKind, int]:
    """What all users together got by purchases, and (below zero) what usage took.

    No line is read: what users own is what the accounts of nobody's purse have lost, for all of them sum to zero; and
    what is not explained by the totals of the other kinds was usage.
    """
    totals = {row.kind: int(row.amount_nanos) for row in await tx.all(select(statement_totals))}
    owned = -int(await tx.scalar(select(func.sum(accounts.c.balance_nanos)).where(accounts_are_no_purses)) or 0)
    purchased = totals.get(EntryKind.PURCHASE.value, 0)
    return {EntryKind.PURCHASE: purchased, EntryKind.USAGE: owned - sum(totals.values())}


async def received(tx: Transaction) -> int:
    """Money that came from outside, less what went back: the far side of every account that clears payments."""
    query = select(func.sum(accounts.c.balance_nanos)).where(
        accounts_are_no_purses, accounts.c.kind == AccountKind.CLEARING.value, accounts.c.id != MANUAL.id
    )
    return -int(await tx.scalar(query) or 0)
