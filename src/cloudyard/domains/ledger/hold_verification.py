"""Recomputing every hold from the transactions that opened and ended it."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, String, and_, case, cast, func, or_, select

from cloudyard.domains.ledger.models import holds, postings, transactions
from cloudyard.domains.ledger.records import REVENUE, AccountKind, Discrepancy, EntryKind, HoldState

_KINDS = (EntryKind.HOLD, EntryKind.USAGE, EntryKind.RELEASE)
_SUMS = ("set_aside", "given_up", "taken", "revenue")

_hold_id = cast(func.substr(transactions.c.idempotency_key, func.length(transactions.c.kind) + 2), String)

_moves = (
    select(
        _hold_id.label("hold_id"),
        transactions.c.kind,
        postings.c.account_id,
        func.min(transactions.c.id).label("transaction_id"),
        func.sum(postings.c.amount_nanos).label("amount_nanos"),
    )
    .join(postings, postings.c.transaction_id == transactions.c.id)
    .where(transactions.c.kind.in_([kind.value for kind in _KINDS]))
    .group_by(_hold_id, transactions.c.kind, postings.c.account_id)
    .subquery("moves")
)
"""What each kind of transaction did to each account for a hold. Grouped and cast, so that SQLite can look it up."""


def wrong_holds(connection: Connection) -> Iterator[Discrepancy]:
    """A hold set its amount aside; ended, it gave all of that up, and its user lost what it captured."""
    held = AccountKind.HELD.value + ":" + holds.c.user_id
    wallet = AccountKind.WALLET.value + ":" + holds.c.user_id
    opened = _moves.c.kind == EntryKind.HOLD.value
    sums = (
        _sum(and_(opened, _moves.c.account_id == held)),
        -_sum(and_(~opened, _moves.c.account_id == held)),
        -_sum(_moves.c.account_id == wallet),
        _sum(_moves.c.account_id == REVENUE.id),
    )
    found = (
        select(*holds.c, *(column.label(name) for name, column in zip(_SUMS, sums, strict=True)))
        .outerjoin(_moves, _moves.c.hold_id == holds.c.id)
        .group_by(*holds.c)
        .subquery("found")
    )
    is_open = found.c.state == HoldState.OPEN.value
    charged = case((found.c.state == HoldState.CAPTURED.value, found.c.captured_nanos), else_=0)
    wrong = or_(
        found.c.set_aside != found.c.amount_nanos,
        found.c.given_up != case((is_open, 0), else_=found.c.amount_nanos),
        found.c.taken != case((is_open, found.c.amount_nanos), else_=charged),
        found.c.revenue != charged,
        found.c.captured_nanos != charged,
        found.c.state.not_in([state.value for state in HoldState]),
    )
    for row in connection.execute(select(found).where(wrong)).mappings():
        details = {name: int(row[name]) for name in ("amount_nanos", "captured_nanos", *_SUMS)}
        yield Discrepancy(f"hold:{row['id']}", "its postings do not say the same", {"state": row["state"], **details})


def moves_without_hold(connection: Connection) -> Iterator[Discrepancy]:
    """Every transaction that opened or ended a hold belongs to one."""
    query = (
        select(_moves.c.transaction_id, _moves.c.hold_id)
        .distinct()
        .outerjoin(holds, holds.c.id == _moves.c.hold_id)
        .where(holds.c.id.is_(None))
    )
    for transaction_id, hold_id in connection.execute(query):
        yield Discrepancy(f"transaction:{transaction_id}", "its hold is missing", {"hold": hold_id})


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    total: ColumnElement[int] = func.coalesce(func.sum(case((condition, _moves.c.amount_nanos), else_=0)), 0)
    return total
