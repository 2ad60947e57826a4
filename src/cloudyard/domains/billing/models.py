"""Tables of billing. Prices and usage records can only be added to.

A usage record bears the id of the hold that paid for it: there is one for each captured hold.
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
    UniqueConstraint,
)

from cloudyard.foundation.database import UtcDateTime, append_only, metadata

price_versions = append_only(
    Table(
        "price_versions",
        metadata,
        Column("id", String(36), primary_key=True),
        Column("sku", String(128), nullable=False),
        Column("version", Integer, nullable=False),
        Column("lines", JSON, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        UniqueConstraint("sku", "version"),
    )
)

usage_records = append_only(
    Table(
        "usage_records",
        metadata,
        Column("hold_id", String(36), ForeignKey("ledger_holds.id"), primary_key=True),
        Column("user_id", String(36), nullable=False),
        Column("api_key_id", String(36)),
        Column("transaction_id", String(36), ForeignKey("ledger_transactions.id")),
        Column("price_id", String(36), ForeignKey("price_versions.id"), nullable=False),
        Column("quantities", JSON, nullable=False),
        Column("amount_nanos", BigInteger, nullable=False),
        Column("outcome", String(24), nullable=False),
        Column("details", JSON, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Index("ix_usage_records_user", "user_id", "created_at"),
        sqlite_with_rowid=False,
    )
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("cap_nanos", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
    CheckConstraint("held_nanos >= 0 AND spent_nanos >= 0", name="not_negative"),
    CheckConstraint("spent_nanos + held_nanos <= cap_nanos", name="within_cap"),
)
