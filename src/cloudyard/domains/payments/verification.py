"""Comparing the rows of payments with the ledger: what each says of the other, to the nano."""

from collections.abc import Iterator, Sequence

from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, String, and_, cast, func, not_, or_, select

from cloudyard.domains.ledger import AccountKind, Discrepancy, EntryKind
from cloudyard.domains.ledger.models import postings, transactions
from cloudyard.domains.payments.entries import CLEARING
from cloudyard.domains.payments.models import payment_reversals, payments
from cloudyard.domains.payments.records import NANOS_PER_CENT, PaymentState, ReversalKind

PURCHASE, REVERSAL, RETURNED = "payment:", "reversal:", ":returned"
_KEY = transactions.c.idempotency_key
_COMPLETED = payments.c.state == PaymentState.COMPLETED.value


def verify_payments(connection: Connection) -> Sequence[Discrepancy]:
    """Everything in which payments and ledger contradict each other; empty when they agree.

    To be run on one snapshot (`Database.reading`), since purchases go on meanwhile.
    """
    checks = (
        _wrong_purchases,
        _purchases_without_payment,
        _wrong_reversals,
        _refunds_without_reversal,
        _refunded_too_much,
    )
    return [found for check in checks for found in check(connection)]


def _wrong_purchases(connection: Connection) -> Iterator[Discrepancy]:
    """A completed payment has its one transaction, with what was paid and what was bought; any other has none."""
    posted = transactions.alias("posted")
    bought, received = _moved(posted, _wallet()), _moved(posted, CLEARING.id)
    right = and_(
        posted.c.kind == EntryKind.PURCHASE.value,
        posted.c.id == payments.c.transaction_id,
        bought == payments.c.value_nanos,
        received == -_nanos(payments.c.cents),
    )
    has_none = and_(posted.c.id.is_(None), payments.c.transaction_id.is_(None))
    query = (
        select(payments.c.id, payments.c.state, payments.c.value_nanos, payments.c.cents)
        .add_columns(posted.c.id.label("transaction_id"), bought.label("bought"), received.label("received"))
        .outerjoin(posted, posted.c.idempotency_key == PURCHASE + payments.c.id)
        .where(or_(and_(_COMPLETED, func.coalesce(not_(right), True)), and_(not_(_COMPLETED), not_(has_none))))
    )
    for row in connection.execute(query):
        yield Discrepancy(
            f"payment:{row.id}",
            "the ledger does not say the same of the purchase",
            {
                "state": row.state,
                "value": row.value_nanos,
                "bought": int(row.bought),
                "cents": row.cents,
                "received": int(row.received),
                "transaction": row.transaction_id,
            },
        )


def _purchases_without_payment(connection: Connection) -> Iterator[Discrepancy]:
    query = (
        select(transactions.c.id, _KEY)
        .outerjoin(payments, and_(payments.c.id == _after(PURCHASE), PURCHASE + payments.c.id == _KEY))
        .where(transactions.c.kind == EntryKind.PURCHASE.value, payments.c.id.is_(None))
    )
    for transaction_id, key in connection.execute(query):
        yield Discrepancy(f"transaction:{transaction_id}", "it credits a purchase that nobody made", {"key": key})


def _wrong_reversals(connection: Connection) -> Iterator[Discrepancy]:
    """What was taken back stands in the ledger, and so does what was given back again.

    Of money that had come back before its going was heard of there is no transaction at all.
    """
    taking, giving = transactions.alias("taking"), transactions.alias("giving")
    row = payment_reversals.c
    taken_back = _reverses(taking, -row.taken_nanos, _nanos(row.cents))
    given_back = _reverses(giving, row.taken_nanos, -_nanos(row.cents))
    nothing = and_(taking.c.id.is_(None), giving.c.id.is_(None), row.taken_nanos == 0, row.uncovered_nanos == 0)
    right = or_(
        and_(not_(row.returned), taken_back, giving.c.id.is_(None)),
        and_(row.returned, or_(and_(taken_back, given_back), nothing)),
    )
    query = (
        select(row.id, row.payment_id, row.cents, row.taken_nanos, row.returned)
        .add_columns(_moved(taking, _wallet()).label("taken"), _moved(giving, _wallet()).label("given_back"))
        .join(payments, payments.c.id == row.payment_id)
        .outerjoin(taking, taking.c.idempotency_key == REVERSAL + row.id)
        .outerjoin(giving, giving.c.idempotency_key == REVERSAL + row.id + RETURNED)
        .where(func.coalesce(not_(right), True))
    )
    for found in connection.execute(query):
        yield Discrepancy(
            f"reversal:{found.id}",
            "the ledger does not say the same of the refund or dispute",
            {
                "payment": found.payment_id,
                "cents": found.cents,
                "taken": found.taken_nanos,
                "posted": -int(found.taken),
                "returned": found.returned,
                "given_back": int(found.given_back),
            },
        )


def _refunds_without_reversal(connection: Connection) -> Iterator[Discrepancy]:
    id_ = payment_reversals.c.id
    named = and_(
        id_ == cast(func.replace(_after(REVERSAL), RETURNED, ""), String),
        or_(REVERSAL + id_ == _KEY, REVERSAL + id_ + RETURNED == _KEY),
    )
    query = (
        select(transactions.c.id, _KEY)
        .outerjoin(payment_reversals, named)
        .where(transactions.c.kind == EntryKind.REFUND.value, id_.is_(None))
    )
    for transaction_id, key in connection.execute(query):
        yield Discrepancy(f"transaction:{transaction_id}", "it reverses what was never reversed", {"key": key})


def _refunded_too_much(connection: Connection) -> Iterator[Discrepancy]:
    """Refunds that hold come to no more than was paid. (A dispute may take what was refunded already.)"""
    row = payment_reversals.c
    refunded = func.sum(row.cents)
    query = (
        select(payments.c.id, payments.c.cents, refunded)
        .join(payment_reversals, row.payment_id == payments.c.id)
        .where(row.kind == ReversalKind.REFUND.value, not_(row.returned))
        .group_by(payments.c.id, payments.c.cents)
        .having(refunded > payments.c.cents)
    )
    for payment_id, cents, total in connection.execute(query):
        yield Discrepancy(
            f"payment:{payment_id}", "more was refunded than was paid", {"paid": cents, "refunded": int(total)}
        )


def _reverses(posted: FromClause, wallet: ColumnElement[int], clearing: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a transaction reverses so much on the buyer's wallet and on the clearing account."""
    return and_(
        posted.c.kind == EntryKind.REFUND.value,
        _moved(posted, _wallet()) == wallet,
        _moved(posted, CLEARING.id) == clearing,
    )


def _after(prefix: str) -> ColumnElement[str]:
    """The rest of a key; cast, so that SQLite can look it up."""
    return cast(func.substr(_KEY, len(prefix) + 1), String)


def _nanos(cents: ColumnElement[int]) -> ColumnElement[int]:
    return cast(cents, BigInteger) * NANOS_PER_CENT


def _wallet() -> ColumnElement[str]:
    return AccountKind.WALLET.value + ":" + payments.c.user_id


def _moved(posted: FromClause, account_id: ColumnElement[str] | str) -> ColumnElement[int]:
    """What a transaction did to an account."""
    here = and_(postings.c.transaction_id == posted.c.id, postings.c.account_id == account_id)
    return func.coalesce(select(func.sum(postings.c.amount_nanos)).where(here).scalar_subquery(), 0)
