"""Tables of the live feeds: what happened to a user, numbered without gaps in the order in which it was written."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table

from cloudyard.foundation.database import UtcDateTime, metadata

live_feeds = Table(
    "live_feeds",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("newest", BigInteger, nullable=False),
)

live_events = Table(
    "live_events",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_live_events_once", "event_id", "user_id", unique=True),
    Index("ix_live_events_age", "created_at"),
    sqlite_with_rowid=False,
)

# Who follows, or did within the last day and may come back for what happened since: usage is written for them alone.
live_followers = Table(
    "live_followers",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Index("ix_live_followers_until", "until"),
)
