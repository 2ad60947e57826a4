"""Tables of identity. No table holds a password, a token or a key in the clear."""

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
)

from cloudyard.foundation.database import UtcDateTime, metadata

ID = String(36)
SHA256_HEX = String(64)

users = Table(
    "users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("username", String(30)),
    Column("username_key", String(30), unique=True),
    Column("first_name", String(100), nullable=False),
    Column("last_name", String(100), nullable=False),
    Column("company", String(200)),
    Column("phone", String(32)),
    Column("timezone", String(64)),
    Column("language", String(35)),
    Column(
        "role", String(16), CheckConstraint("role IN ('user', 'node_operator', 'admin')", name="role"), nullable=False
    ),
    Column("status", String(16), CheckConstraint("status IN ('active', 'suspended')", name="status"), nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("last_active_at", UtcDateTime),
    Index("ix_users_created_at", "created_at", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("client", String(200)),
    Column("refresh_hash", SHA256_HEX, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("refreshed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("ended_at", UtcDateTime),
    Column("end_reason", String(32)),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", SHA256_HEX, nullable=False, unique=True),
    Column("scopes", JSON(none_as_null=True)),
    Column("allowed_models", JSON(none_as_null=True)),
    Column("expires_at", UtcDateTime),
    Column("spend_cap_nanos", BigInteger),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

# A request to reset the password of an unknown address leaves a row without a user: it costs what a real one costs.
mail_tokens = Table(
    "mail_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), index=True),
    Column("purpose", String(16), nullable=False),
    Column("email", String(254), nullable=False),
    Column("token_hash", SHA256_HEX, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", ID, primary_key=True),
    Column("sealed_secret", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("verifies_until", UtcDateTime, index=True),
)

# The issuer and not our name of the provider: a subject means something at its issuer alone (OpenID Connect Core,
# section 2), and a name in the settings may come to mean another issuer.
external_identities = Table(
    "external_identities",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    UniqueConstraint("issuer", "subject"),
)

# A browser on its way to a provider and back.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("state_hash", SHA256_HEX, primary_key=True),
    Column("browser_hash", SHA256_HEX, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("sealed_secrets", Text, nullable=False),
    Column("callback_url", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("app_state", Text),
    Column("app_challenge", String(43)),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# What an app trades for a session after its user came back.
sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("code_hash", SHA256_HEX, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False, index=True),
    Column("app_challenge", String(43)),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
