"""The audit table."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from cloudyard.foundation.database import UtcDateTime, append_only, metadata

audit_entries = append_only(
    Table(
        "audit_entries",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("at", UtcDateTime, nullable=False),
        Column("actor", String(64)),
        Column("action", String(64), nullable=False),
        Column("subject", String(128), nullable=False),
        Column("details", JSON, nullable=False),
        Index("ix_audit_entries_subject", "subject", "id"),
        Index("ix_audit_entries_actor", "actor", "id"),
    )
)
