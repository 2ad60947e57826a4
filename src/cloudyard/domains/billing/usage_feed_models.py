"""Table of the usage feed: up to which charge each audience was told. Who follows nothing has no row."""

from sqlalchemy import BigInteger, Column, String, Table

from cloudyard.foundation.database import UtcDateTime, metadata

usage_cursors = Table(
    "usage_cursors",
    metadata,
    Column("audience", String(32), primary_key=True),
    Column("posting_id", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
