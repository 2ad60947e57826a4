"""Recomputing the ledger from its postings."""

from collections.abc import Iterator

from sqlalchemy import Connection, and_, case, func, select

from cloudyard.domains.ledger.models import accounts, holds, postings, statement_lines, transactions
from cloudyard.domains.ledger.records import NEVER_NEGATIVE, AccountKind, Discrepancy, HoldState


def verify_ledger(connection: Connection) -> list[Discrepancy]:
    """Everything in the ledger that does not add up; empty when it is right."""
    checks = (
        _unbalanced_transactions,
        _transactions_without_postings,
        _wrong_balances,
        _broken_running_balances,
        _negative_balances,
        _wrong_held_balances,
        _wrong_captures,
        _wrong_statements,
    )
    return [found for check in checks for found in check(connection)]


def _unbalanced_transactions(connection: Connection) -> Iterator[Discrepancy]:
    total = func.sum(postings.c.amount_nanos)
    query = select(postings.c.transaction_id, total).group_by(postings.c.transaction_id).having(total != 0)
    for transaction_id, nanos in connection.execute(query):
        yield Discrepancy(f"transaction:{transaction_id}", "its postings do not sum to zero", {"sum": int(nanos)})


def _transactions_without_postings(connection: Connection) -> Iterator[Discrepancy]:
    query = (
        select(transactions.c.id)
        .outerjoin(postings, postings.c.transaction_id == transactions.c.id)
        .where(postings.c.id.is_(None))
    )
    for (transaction_id,) in connection.execute(query):
        yield Discrepancy(f"transaction:{transaction_id}", "it has no postings")


def _wrong_balances(connection: Connection) -> Iterator[Discrepancy]:
    total = func.coalesce(func.sum(postings.c.amount_nanos), 0)
    query = (
        select(accounts.c.id, accounts.c.balance_nanos, total)
        .outerjoin(postings, postings.c.account_id == accounts.c.id)
        .group_by(accounts.c.id, accounts.c.balance_nanos)
        .having(accounts.c.balance_nanos != total)
    )
    for account_id, balance, posted in connection.execute(query):
        yield Discrepancy(
            f"account:{account_id}",
            "its balance is not the sum of its postings",
            {"balance": balance, "posted": int(posted)},
        )


def _broken_running_balances(connection: Connection) -> Iterator[Discrepancy]:
    running = func.sum(postings.c.amount_nanos).over(partition_by=postings.c.account_id, order_by=postings.c.id)
    inner = select(postings.c.id, postings.c.account_id, postings.c.balance_nanos, running.label("running")).subquery()
    query = select(inner.c.id, inner.c.account_id, inner.c.balance_nanos, inner.c.running)
    for posting_id, account_id, balance, expected in connection.execute(
        query.where(inner.c.balance_nanos != inner.c.running)
    ):
        yield Discrepancy(
            f"posting:{posting_id}",
            "its running balance is wrong",
            {"account": account_id, "balance": balance, "expected": int(expected)},
        )


def _negative_balances(connection: Connection) -> Iterator[Discrepancy]:
    guarded = accounts.c.kind.in_([kind.value for kind in NEVER_NEGATIVE])
    for account_id, balance in connection.execute(
        select(accounts.c.id, accounts.c.balance_nanos).where(accounts.c.balance_nanos < 0, guarded)
    ):
        yield Discrepancy(f"account:{account_id}", "it is below zero", {"balance": balance})


def _wrong_held_balances(connection: Connection) -> Iterator[Discrepancy]:
    is_open = and_(holds.c.user_id == accounts.c.owner, holds.c.state == HoldState.OPEN.value)
    total = func.coalesce(func.sum(holds.c.amount_nanos), 0)
    query = (
        select(accounts.c.id, accounts.c.balance_nanos, total)
        .outerjoin(holds, is_open)
        .where(accounts.c.kind == AccountKind.HELD.value)
        .group_by(accounts.c.id, accounts.c.balance_nanos)
        .having(accounts.c.balance_nanos != total)
    )
    for account_id, balance, open_holds in connection.execute(query):
        yield Discrepancy(
            f"account:{account_id}",
            "it is not the sum of its open holds",
            {"balance": balance, "open_holds": int(open_holds)},
        )


def _wrong_captures(connection: Connection) -> Iterator[Discrepancy]:
    """A captured hold took from its user exactly what it says, any other hold took nothing."""
    usage_key = "usage:" + holds.c.id
    revenue = case((postings.c.account_id == "revenue:platform", postings.c.amount_nanos), else_=0)
    taken = func.coalesce(func.sum(revenue), 0)
    query = (
        select(holds.c.id, holds.c.captured_nanos, taken)
        .outerjoin(transactions, transactions.c.idempotency_key == usage_key)
        .outerjoin(postings, postings.c.transaction_id == transactions.c.id)
        .group_by(holds.c.id, holds.c.captured_nanos)
        .having(holds.c.captured_nanos != taken)
    )
    for hold_id, captured, posted in connection.execute(query):
        yield Discrepancy(
            f"hold:{hold_id}", "what it captured was not posted", {"captured": captured, "posted": int(posted)}
        )


def _wrong_statements(connection: Connection) -> Iterator[Discrepancy]:
    """A user's statement lines sum to what the user owns, and are numbered without gaps."""
    owned = func.sum(accounts.c.balance_nanos).label("owned")
    mine = accounts.c.kind.in_([AccountKind.WALLET.value, AccountKind.HELD.value])
    wealth = select(accounts.c.owner, owned).where(mine).group_by(accounts.c.owner).subquery()
    total = func.sum(statement_lines.c.amount_nanos).label("total")
    count = func.count().label("count")
    last = func.max(statement_lines.c.number).label("last")
    stated = select(statement_lines.c.user_id, total, count, last).group_by(statement_lines.c.user_id).subquery()
    query = select(wealth.c.owner, wealth.c.owned, stated.c.total, stated.c.count, stated.c.last).outerjoin(
        stated, stated.c.user_id == wealth.c.owner
    )
    for owner, nanos, listed, lines, highest in connection.execute(query):
        if int(nanos) != int(listed or 0) or lines != highest:
            yield Discrepancy(
                f"user:{owner}",
                "the statement does not add up to what the user owns",
                {"owned": int(nanos), "stated": int(listed or 0), "lines": lines, "last_number": highest},
            )
