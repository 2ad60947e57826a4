"""Tokens, keys and sign-in."""

from pydantic import Field, SecretStr

from cloudyard.foundation.settings.area import Area


class SecuritySettings(Area):
    """Tokens, keys and sign-in."""

    encryption_key: SecretStr | None = Field(
        None,
        description="Fernet key(s), comma separated, newest first, for recoverable secrets; "
        "default: a generated file in data_dir.",
    )
    issuer: str = Field("cloudyard", description="`iss` of access tokens.")
    audience: str = Field("cloudyard", description="`aud` of access tokens.")
    access_token_seconds: int = Field(3600, gt=0, description="Life of an access token.")
    refresh_token_seconds: int = Field(30 * 86400, gt=0, description="Life of a refresh token.")
    signing_key_days: int = Field(90, gt=0, description="Age at which a new signing key takes over.")
    require_verified_email: bool = Field(False, description="Refuse login until the e-mail address is verified.")
    password_min_length: int = Field(8, ge=8, description="Shortest password accepted.")
    reset_token_seconds: int = Field(3600, gt=0, description="Life of a password reset link.")
    verification_token_seconds: int = Field(86400, gt=0, description="Life of an e-mail verification link.")
    session_cache_seconds: float = Field(
        1.0,
        ge=0,
        description="How long another process may still honour a session or key that was ended here, where it does not "
        "hear of it through Valkey.",
    )
