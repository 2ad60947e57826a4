"""What is read from the ledger about many users at once."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from cloudyard.domains.ledger import AccountKind, EntryKind, wallet_of
from cloudyard.domains.ledger.models import accounts, statement_lines
from cloudyard.domains.ledger.records import MANUAL
from cloudyard.foundation.database import Transaction


async def available_credit(tx: Transaction, user_ids: Sequence[str]) -> Mapping[str, int]:
    """What each user has free to spend; users without a wallet are left out."""
    wallets = [wallet_of(user_id).id for user_id in user_ids]
    rows = await tx.all(select(accounts.c.owner, accounts.c.balance_nanos).where(accounts.c.id.in_(wallets)))
    return {row.owner: row.balance_nanos for row in rows}


async def turnover(tx: Transaction) -> Mapping[EntryKind, int]:
    """What all users together got by purchases, and (below zero) what usage took."""
    kinds = (EntryKind.PURCHASE, EntryKind.USAGE)
    table = statement_lines
    query = select(table.c.kind, func.sum(table.c.amount_nanos).label("nanos")).where(
        table.c.kind.in_([kind.value for kind in kinds])
    )
    found = {EntryKind(row.kind): int(row.nanos) for row in await tx.all(query.group_by(table.c.kind))}
    return {kind: found.get(kind, 0) for kind in kinds}


async def received(tx: Transaction) -> int:
    """Money that came from outside, less what went back: the far side of every account that clears payments."""
    query = select(func.sum(accounts.c.balance_nanos)).where(
        accounts.c.kind == AccountKind.CLEARING.value, accounts.c.id != MANUAL.id
    )
    return -int(await tx.scalar(query) or 0)
