"""Tables of payments."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from cloudyard.foundation.database import UtcDateTime, metadata
from cloudyard.foundation.durable.leases import lease_columns

# The claims of the background work walk these rows alone, however many payments have ended. The values are written out:
# a database uses a partial index only where it sees that the query asks for no other rows.
STILL_OPEN = text("state = 'open'")

payments = Table(
    "payments",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(36), nullable=False, index=True),
    Column("request_key", String(64)),
    Column("fingerprint", String(64), nullable=False),
    Column("package_id", String(64)),
    Column("payment_method", String(255), nullable=False),
    Column("value_nanos", BigInteger, CheckConstraint("value_nanos > 0", name="value"), nullable=False),
    Column("cents", Integer, CheckConstraint("cents > 0", name="cents"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("provider_id", String(255), unique=True),
    Column("charge_id", String(255), index=True),
    Column("failure", String(500)),
    Column("transaction_id", String(36), ForeignKey("ledger_transactions.id")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    *lease_columns(indexed=False),
    Index("ix_payments_due", "due_at", sqlite_where=text("closed IS 0"), postgresql_where=text("closed IS false")),
    UniqueConstraint("user_id", "request_key"),
)

payment_refunds = Table(
    "payment_refunds",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("payment_id", String(36), ForeignKey("payments.id"), nullable=False, index=True),
    Column("actor", String(36), nullable=False),
    Column("request_key", String(64)),
    Column("fingerprint", String(64), nullable=False),
    Column("cents", Integer, CheckConstraint("cents > 0", name="cents"), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("state", String(12), nullable=False),
    Column("reversal_id", String(255), unique=True),
    Column("failure", String(500)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    *lease_columns(indexed=False),
    Index("ix_payment_refunds_due", "due_at", sqlite_where=STILL_OPEN, postgresql_where=STILL_OPEN),
    UniqueConstraint("actor", "request_key"),
)
"""Refunds that administrators asked for: the intent rows. What Stripe made of them is a reversal as any other."""

payment_reversals = Table(
    "payment_reversals",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("payment_id", String(36), ForeignKey("payments.id"), nullable=False, index=True),
    Column("kind", String(12), nullable=False),
    Column("cents", Integer, nullable=False),
    Column("taken_nanos", BigInteger, CheckConstraint("taken_nanos >= 0", name="taken"), nullable=False),
    Column("uncovered_nanos", BigInteger, CheckConstraint("uncovered_nanos >= 0", name="uncovered"), nullable=False),
    Column("returned", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("returned_at", UtcDateTime),
)
