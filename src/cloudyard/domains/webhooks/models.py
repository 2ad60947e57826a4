"""Tables of webhooks."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from cloudyard.foundation.database import UtcDateTime, metadata
from cloudyard.foundation.durable.leases import lease_columns

RowId = BigInteger().with_variant(Integer, "sqlite")
PENDING = text("state = 'pending'")

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("secret", Text, nullable=False),
    Column("previous_secret", Text),
    Column("previous_secret_until", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("disabled_at", UtcDateTime),
    Column("disabled_reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# Of the pending deliveries of one endpoint and lane, the first alone may be sent; the next one comes due when it has
# ended. Ids are never used again, so that they keep the order in which events arrived. `tries` counts those that came
# to an end, `attempts` how often a delivery was claimed.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("endpoint_id", String(36), ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("data", JSON, nullable=False),
    Column("lane", String(160), nullable=False),
    Column("state", String(12), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, index=True),
    Column("tries", Integer, nullable=False, default=0, server_default="0"),
    *lease_columns(),
    CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
    UniqueConstraint("endpoint_id", "event_id"),
    Index("ix_webhook_deliveries_log", "endpoint_id", "id"),
    Index("ix_webhook_deliveries_due", "endpoint_id", "due_at", sqlite_where=PENDING, postgresql_where=PENDING),
    Index("ix_webhook_deliveries_lane", "endpoint_id", "lane", "id", sqlite_where=PENDING, postgresql_where=PENDING),
    sqlite_autoincrement=True,
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("delivery_id", RowId, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("answer", Text),
    Column("duration_ms", Integer, nullable=False),
)
