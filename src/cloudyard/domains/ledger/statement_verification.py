"""Recomputing every user's statement from the postings."""

from collections.abc import Iterator

from sqlalchemy import Connection, Subquery, and_, func, or_, select

from cloudyard.domains.ledger.models import accounts, postings, statement_lines, transactions
from cloudyard.domains.ledger.records import AccountKind, Discrepancy

_OWNED = (AccountKind.WALLET.value, AccountKind.HELD.value)


def broken_statements(connection: Connection) -> Iterator[Discrepancy]:
    """A user's lines sum to what the user owns, are numbered from one without gaps, and are counted rightly."""
    owned, stated = _owned(), _stated()
    query = (
        select(
            owned.c.owner,
            owned.c.nanos,
            owned.c.counted,
            stated.c.total,
            stated.c.lines,
            stated.c.first,
            stated.c.last,
        )
        .outerjoin(stated, stated.c.user_id == owned.c.owner)
        .where(
            or_(
                owned.c.nanos != func.coalesce(stated.c.total, 0),
                owned.c.counted != func.coalesce(stated.c.lines, 0),
                stated.c.lines != stated.c.last,
                stated.c.first != 1,
            )
        )
    )
    for row in connection.execute(query):
        yield Discrepancy(
            f"user:{row.owner}",
            "the statement does not add up to what the user owns",
            {
                "owned": int(row.nanos),
                "stated": int(row.total or 0),
                "counted": row.counted,
                "lines": row.lines or 0,
                "numbers": (row.first, row.last),
            },
        )
    orphans = select(stated.c.user_id).outerjoin(owned, owned.c.owner == stated.c.user_id)
    for (user_id,) in connection.execute(orphans.where(owned.c.owner.is_(None))):
        yield Discrepancy(f"user:{user_id}", "there is a statement, but no wallet")


def wrong_statement_lines(connection: Connection) -> Iterator[Discrepancy]:
    """A line says what its transaction did to what the user owns, and what the user owned afterwards."""
    running = func.sum(statement_lines.c.amount_nanos).over(
        partition_by=statement_lines.c.user_id, order_by=statement_lines.c.number
    )
    lines = select(*statement_lines.c, running.label("running")).subquery("lines")
    mine = [postings.c.account_id == kind + ":" + lines.c.user_id for kind in _OWNED]
    moved = func.coalesce(func.sum(postings.c.amount_nanos), 0)
    query = (
        select(lines.c.user_id, lines.c.number, lines.c.amount_nanos, lines.c.balance_nanos, lines.c.running)
        .add_columns(moved.label("moved"))
        .outerjoin(transactions, and_(transactions.c.id == lines.c.transaction_id, transactions.c.kind == lines.c.kind))
        .outerjoin(postings, and_(postings.c.transaction_id == transactions.c.id, or_(*mine)))
        .group_by(lines.c.user_id, lines.c.number, lines.c.amount_nanos, lines.c.balance_nanos, lines.c.running)
        .having(or_(lines.c.amount_nanos != moved, lines.c.balance_nanos != lines.c.running))
    )
    for row in connection.execute(query):
        yield Discrepancy(
            f"user:{row.user_id}",
            "a line of the statement is not what was posted",
            {
                "line": row.number,
                "amount": row.amount_nanos,
                "posted": int(row.moved),
                "balance": row.balance_nanos,
                "expected": int(row.running),
            },
        )


def _owned() -> Subquery:
    return (
        select(
            accounts.c.owner,
            func.sum(accounts.c.balance_nanos).label("nanos"),
            func.sum(accounts.c.statement_lines).label("counted"),
        )
        .where(accounts.c.kind.in_(_OWNED))
        .group_by(accounts.c.owner)
        .subquery("owned")
    )


def _stated() -> Subquery:
    return (
        select(
            statement_lines.c.user_id,
            func.sum(statement_lines.c.amount_nanos).label("total"),
            func.count().label("lines"),
            func.min(statement_lines.c.number).label("first"),
            func.max(statement_lines.c.number).label("last"),
        )
        .group_by(statement_lines.c.user_id)
        .subquery("stated")
    )
