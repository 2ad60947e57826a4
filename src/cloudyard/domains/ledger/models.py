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

from cloudyard.domains.ledger.place_keeping import keep_places
from cloudyard.foundation.database import UtcDateTime, append_only, metadata

RowId = BigInteger().with_variant(Integer, "sqlite")

_IS_OPEN = text("state = 'open'")
_IS_NO_PURSE = text("kind NOT IN ('wallet', 'held')")

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
    Index("ix_ledger_accounts_kind", "kind", sqlite_where=_IS_NO_PURSE, postgresql_where=_IS_NO_PURSE),
)

accounts_are_no_purses = accounts.c.kind.not_in([literal_column("'wallet'"), literal_column("'held'")])
"""Said in the words of the index on the few accounts that are neither a user's wallet nor what it set aside."""

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
keep_places(statement_lines)

statement_places = append_only(
    Table(
        "ledger_statement_places",
        metadata,
        Column("user_id", String(36), primary_key=True),
        Column("series", String(24), primary_key=True),
        Column("place", BigInteger, primary_key=True, autoincrement=False),
        Column("number", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
)
"""Where in a user's statement the lines stand that are no usage: the n-th of each kind, and the n-th of them all."""

statement_totals = Table(
    "ledger_statement_totals",
    metadata,
    Column("kind", String(24), primary_key=True),
    Column("lines", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
)
"""What the lines of a kind come to, over all users; usage is left out, since every charge would wait for its row."""
