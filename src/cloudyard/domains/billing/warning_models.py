"""Tables of the billing warnings that were given: a row keeps the same one from being given again."""

from sqlalchemy import Column, String, Table

from cloudyard.foundation.database import UtcDateTime, metadata

low_balance_warnings = Table(
    "low_balance_warnings",
    metadata,
    Column("user_id", String(36), primary_key=True),
    Column("warned_at", UtcDateTime, nullable=False),
)

spend_cap_warnings = Table(
    "spend_cap_warnings",
    metadata,
    Column("api_key_id", String(36), primary_key=True),
    Column("warned_at", UtcDateTime, nullable=False),
)
