"""Recomputing the ledger from its postings."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, or_, select

from cloudyard.domains.ledger.hold_verification import moves_without_hold, wrong_holds
from cloudyard.domains.ledger.models import accounts, holds, holds_are_open, postings, transactions
from cloudyard.domains.ledger.place_verification import wrong_places, wrong_totals
from cloudyard.domains.ledger.records import NEVER_NEGATIVE, AccountKind, Discrepancy
from cloudyard.domains.ledger.statement_verification import broken_statements, wrong_statement_lines


def verify_ledger(connection: Connection) -> list[Discrepancy]:
    """Everything in the ledger that does not add up; empty when it is right.

    To be run on one snapshot (`Database.reading`), since charges go on meanwhile.
    """
    checks = (
        _unbalanced_transactions,
        _transactions_without_postings,
        _orphaned_postings,
        _misnamed_accounts,
        _wrong_balances,
        _broken_running_balances,
        _negative_balances,
        _wrong_held_balances,
        wrong_holds,
        moves_without_hold,
        broken_statements,
        wrong_statement_lines,
        wrong_places,
        wrong_totals,
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


def _orphaned_postings(connection: Connection) -> Iterator[Discrepancy]:
    query = (
        select(postings.c.id, postings.c.transaction_id, postings.c.account_id)
        .outerjoin(transactions, transactions.c.id == postings.c.transaction_id)
        .outerjoin(accounts, accounts.c.id == postings.c.account_id)
        .where(or_(transactions.c.id.is_(None), accounts.c.id.is_(None)))
    )
    for posting_id, transaction_id, account_id in connection.execute(query):
        yield Discrepancy(
            f"posting:{posting_id}",
            "its transaction or its account is missing",
            {"transaction": transaction_id, "account": account_id},
        )


def _misnamed_accounts(connection: Connection) -> Iterator[Discrepancy]:
    name = accounts.c.kind + ":" + accounts.c.owner
    query = select(accounts.c.id, accounts.c.kind, accounts.c.owner).where(accounts.c.id != name)
    for account_id, kind, owner in connection.execute(query):
        yield Discrepancy(f"account:{account_id}", "its kind or owner is not its own", {"kind": kind, "owner": owner})


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
    set_aside = (
        select(holds.c.user_id, func.sum(holds.c.amount_nanos).label("nanos"))
        .where(holds_are_open)
        .group_by(holds.c.user_id)
        .subquery("set_aside")
    )
    total = func.coalesce(set_aside.c.nanos, 0)
    query = (
        select(accounts.c.id, accounts.c.balance_nanos, total)
        .outerjoin(set_aside, set_aside.c.user_id == accounts.c.owner)
        .where(accounts.c.kind == AccountKind.HELD.value, accounts.c.balance_nanos != total)
    )
    for account_id, balance, open_holds in connection.execute(query):
        yield Discrepancy(
            f"account:{account_id}",
            "it is not the sum of its open holds",
            {"balance": balance, "open_holds": int(open_holds)},
        )
