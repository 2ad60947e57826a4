"""Tables of applications that act for users. A delegation is a session with what the application may do added to it."""

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table, Text

from cloudyard.domains.identity.models import ID, SHA256_HEX
from cloudyard.foundation.database import UtcDateTime, metadata

oauth_clients = Table(
    "oauth_clients",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("redirect_uris", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    Index("ix_oauth_clients_last_used_at", "last_used_at"),
)

# `exchanged_at` is None until the application has come for its tokens: then only its code is out.
delegations = Table(
    "delegations",
    metadata,
    Column("session_id", ID, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("client_name", String(100), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_hash", SHA256_HEX, nullable=False),
    Column("code_challenge", String(43), nullable=False),
    Column("exchanged_at", UtcDateTime),
)
