"""The statements of the hot path: what every charge reads and writes."""

from sqlalchemy import func, select

from cloudyard.domains.ledger.models import accounts, holds, postings, statement_lines, transactions
from cloudyard.foundation.database.prepared import KeyedRead, PreparedInsert, PreparedUpdate

READ_HOLDS = KeyedRead(
    select(
        holds.c.id,
        holds.c.user_id,
        holds.c.amount_nanos,
        holds.c.expires_at,
        holds.c.state,
        holds.c.captured_nanos,
        holds.c.budget_id,
    )
    .order_by(holds.c.id)
    .with_for_update(),
    holds.c.id,
)

READ_BALANCES = KeyedRead(
    select(accounts.c.id, accounts.c.balance_nanos, accounts.c.statement_lines)
    .order_by(accounts.c.id)
    .with_for_update(),
    accounts.c.id,
)

READ_POSTED = KeyedRead(
    select(
        transactions.c.idempotency_key,
        transactions.c.id,
        transactions.c.kind,
        postings.c.account_id,
        func.sum(postings.c.amount_nanos).label("nanos"),
    )
    .join(postings, postings.c.transaction_id == transactions.c.id)
    .group_by(transactions.c.idempotency_key, transactions.c.id, transactions.c.kind, postings.c.account_id),
    transactions.c.idempotency_key,
)

ADD_TRANSACTIONS = PreparedInsert(
    transactions, ("id", "kind", "idempotency_key", "description", "actor", "details", "created_at")
)

ADD_POSTINGS = PreparedInsert(postings, ("transaction_id", "account_id", "amount_nanos", "balance_nanos"))

ADD_LINES = PreparedInsert(
    statement_lines,
    ("user_id", "number", "transaction_id", "kind", "amount_nanos", "balance_nanos", "description", "created_at"),
)

ADD_HOLDS = PreparedInsert(
    holds, ("id", "user_id", "amount_nanos", "captured_nanos", "state", "budget_id", "expires_at", "created_at")
)

END_HOLDS = PreparedUpdate(holds, ("captured_nanos", "state", "ended_at"))

SET_BALANCES = PreparedUpdate(accounts, ("balance_nanos", "statement_lines", "updated_at"))
