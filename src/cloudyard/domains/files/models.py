"""Tables of files."""

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, Column, Index, String, Table

from cloudyard.foundation.database import UtcDateTime, metadata
from cloudyard.foundation.durable.leases import lease_columns

LONGEST_FILENAME = 255
LONGEST_CONTENT_TYPE = 127

# A pending row holds the lease of the process that uploads. Rows come due, for removal: a pending one when its
# lease lapses, a stored one when it expires, a deleted one at once.
files = Table(
    "files",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("user_id", String(36), nullable=False),
    Column("state", String(12), nullable=False),
    Column("filename", String(LONGEST_FILENAME), nullable=False),
    Column("content_type", String(LONGEST_CONTENT_TYPE), nullable=False),
    Column("size", BigInteger, CheckConstraint("size >= 0", name="size"), nullable=False),
    Column("sha256", String(64)),
    Column("purpose", String(64)),
    Column("description", String(2000)),
    Column("tags", JSON, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    *lease_columns(),
    CheckConstraint("state IN ('pending', 'stored', 'deleted')", name="state"),
    CheckConstraint("state <> 'stored' OR sha256 IS NOT NULL", name="checksum"),
    Index("ix_files_owner", "user_id", "id"),
)

# The sum of the sizes of a user's pending and stored files, changed in the same transaction as they are.
file_usage = Table(
    "file_usage",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("bytes", BigInteger, CheckConstraint("bytes >= 0", name="bytes"), nullable=False),
)
