"""Tables of the ledger. Transactions, postings and statement lines can only be added to.

Every charge writes ten rows here, so there are only the indexes that charging itself needs, and on SQLite a row lies in
the index of its key: each page that a commit changes is written to disk before the caller goes on.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    literal_column,
    text,
)

from cloudyard.foundation.database import UtcDateTime, append_only, metadata

RowId = BigInteger().with_variant(Integer, "sqlite")

_IS_OPEN = text("state = 'open'")

accounts = Table(
    "ledger_accounts",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("owner", String(40), nullable=False),
    Column("balance_nanos", BigInteger, nullable=False),
    Column("statement_lines", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint(
        "balance_nanos >= 0 OR kind NOT IN ('wallet', 'held', 'operator_earnings')", name="never_below_zero"
    ),
    Index("ix_ledger_accounts_owner", "owner"),
)

transactions = append_only(
    Table(
        "ledger_transactions",
        metadata,
        Column("id", String(36), primary_key=True),
        Column("kind", String(24), nullable=False),
        Column("idempotency_key", String(400), nullable=False, unique=True),
        Column("description", String(500), nullable=False),
        Column("actor", String(40)),
        Column("details", JSON(none_as_null=True)),
        Column("created_at", UtcDateTime, nullable=False),
        sqlite_with_rowid=False,
    )
)

postings = append_only(
    Table(
        "ledger_postings",
        metadata,
        Column("id", RowId, primary_key=True, autoincrement=True),
        Column("transaction_id", String(36), ForeignKey("ledger_transactions.id"), nullable=False, index=True),
        Column("account_id", String(80), ForeignKey("ledger_accounts.id"), nullable=False),
        Column("amount_nanos", BigInteger, CheckConstraint("amount_nanos <> 0", name="not_zero"), nullable=False),
        Column("balance_nanos", BigInteger, nullable=False),
    )
)

holds = Table(
    "ledger_holds",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(36), nullable=False),
    Column("amount_nanos", BigInteger, CheckConstraint("amount_nanos >= 0", name="amount"), nullable=False),
    Column("captured_nanos", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("budget_id", String(40)),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    CheckConstraint("captured_nanos >= 0 AND captured_nanos <= amount_nanos", name="captured_within_amount"),
    Index("ix_ledger_holds_due", "expires_at", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    sqlite_with_rowid=False,
)

holds_are_open = holds.c.state == literal_column("'open'")
"""Said in the words of the index on open holds: with a parameter SQLite would not use it."""

statement_lines = append_only(
    Table(
        "ledger_statement_lines",
        metadata,
        Column("user_id", String(36), primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("transaction_id", String(36), ForeignKey("ledger_transactions.id"), nullable=False),
        Column("kind", String(24), nullable=False),
        Column("amount_nanos", BigInteger, nullable=False),
        Column("balance_nanos", BigInteger, nullable=False),
        Column("description", String(500), nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        sqlite_with_rowid=False,
    )
)
