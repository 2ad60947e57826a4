"""Tables of inference: the part of the catalogue kept in the database, chat turns, stored responses."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, Text

from cloudyard.foundation.database import UtcDateTime, metadata

RowId = BigInteger().with_variant(Integer, "sqlite")

catalogue_models = Table(
    "catalogue_models",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("encrypted_keys", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

chat_turns = Table(
    "chat_turns",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("user_id", String(36), nullable=False),
    Column("message", Text, nullable=False),
    Column("response", Text, nullable=False),
    Column("model", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_chat_turns_user", "user_id", "number"),
)

stored_responses = Table(
    "stored_responses",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(36), nullable=False, index=True),
    Column("model", String(128), nullable=False),
    Column("messages", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
