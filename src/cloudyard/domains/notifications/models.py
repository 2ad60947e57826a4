"""Tables of notifications. A notice reaches a user at most once a channel: one row for its source, in each table."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloudyard.domains.notifications.records import LONGEST_SOURCE, LONGEST_TITLE
from cloudyard.foundation.database import UtcDateTime, metadata
from cloudyard.foundation.durable.leases import lease_columns

ID = String(36)


def _user(*, key: bool = False) -> Column[str]:
    """Whose a row is; it goes with its user."""
    return Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, primary_key=key)


def _words() -> list[Column[str]]:
    """What a notice says, and what it goes back to."""
    return [
        Column("source", String(LONGEST_SOURCE), nullable=False),
        Column("category", String(24), nullable=False),
        Column("severity", String(16), nullable=False),
        Column("title", String(LONGEST_TITLE), nullable=False),
        Column("message", Text, nullable=False),
    ]


notifications = Table(
    "notifications",
    metadata,
    Column("id", ID, primary_key=True),
    _user(),
    *_words(),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("read_at", UtcDateTime),
    UniqueConstraint("user_id", "source"),
    Index("ix_notifications_user_id_created_at", "user_id", "created_at", "id"),
)

notification_mails = Table(
    "notification_mails",
    metadata,
    Column("id", ID, primary_key=True),
    _user(),
    *_words(),
    Column(
        "state",
        String(16),
        CheckConstraint("state IN ('waiting', 'sent', 'failed', 'dropped')", name="state"),
        nullable=False,
    ),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("user_id", "source"),
)

# One row while mails wait for a user: what is claimed, so that one process writes all of them into one mail.
notification_digests = Table(
    "notification_digests",
    metadata,
    _user(key=True),
    *lease_columns(),
)

# One row: the key pair by which push services know this installation.
push_keys = Table(
    "push_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("public_key", String(100), nullable=False),
    Column("sealed_private_key", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# A browser that shows a user's notices. An endpoint may be long: what is unique is its digest.
push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    Column("id", ID, primary_key=True),
    _user(),
    Column("endpoint", Text, nullable=False),
    Column("endpoint_digest", String(64), nullable=False, unique=True),
    Column("p256dh", String(100), nullable=False),
    Column("sealed_auth", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_push_subscriptions_user_id", "user_id"),
)

notification_pushes = Table(
    "notification_pushes",
    metadata,
    Column("id", ID, primary_key=True),
    _user(),
    *_words(),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("user_id", "source"),
)

# A push on its way to one browser: what is claimed. It is `sent` before it is handed over.
push_deliveries = Table(
    "push_deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("push_id", ID, ForeignKey("notification_pushes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("subscription_id", ID, ForeignKey("push_subscriptions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column(
        "state",
        String(16),
        CheckConstraint("state IN ('waiting', 'sent', 'failed', 'dropped')", name="state"),
        nullable=False,
    ),
    Column("last_error", Text),
    *lease_columns(),
)

notification_preferences = Table(
    "notification_preferences",
    metadata,
    _user(key=True),
    Column("choices", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
