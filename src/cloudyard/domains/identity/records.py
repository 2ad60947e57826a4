"""What identity hands out: frozen values, never rows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloudyard.domains.identity.errors import ModelNotAllowed, ScopeMissing


class Role(StrEnum):
    """What a user is to the platform."""

    USER = "user"
    NODE_OPERATOR = "node_operator"
    ADMIN = "admin"


class UserStatus(StrEnum):
    """Whether a user may act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Scope(StrEnum):
    """What an API key may be used for."""

    INFERENCE = "inference"
    FILES = "files"
    WALLET = "wallet"
    ACCOUNT = "account"
    ADMIN = "admin"


class UserOrder(StrEnum):
    """What a list of users is sorted by. Who was never active counts from the opening of the account."""

    CREATED_AT = "created_at"
    LAST_ACTIVE_AT = "last_active_at"
    EMAIL = "email"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"


@dataclass(frozen=True, slots=True)
class User:
    """A person or a machine with an account. `name` is first and last name together; all three may be empty."""

    id: str
    email: str
    username: str | None
    first_name: str
    last_name: str
    company: str | None
    phone: str | None
    timezone: str | None
    language: str | None
    role: Role
    status: UserStatus
    email_verified: bool
    created_at: datetime
    updated_at: datetime
    last_active_at: datetime | None

    @property
    def name(self) -> str:
        """The full name."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login answers. `expires_in` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret. A limit that is None does not hold; `prefix` is the secret's beginning."""

    id: str
    user_id: str
    name: str
    prefix: str
    scopes: frozenset[Scope] | None
    allowed_models: frozenset[str] | None
    expires_at: datetime | None
    spend_cap_nanos: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a user lets an application do in the user's name, until one of the two ends it.

    `client_id` is the application's, `last_used_at` when it last got tokens.
    """

    id: str
    user_id: str
    client_id: str
    client_name: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from: a user, through a session, an API key or an application (two of the three are None)."""

    user_id: str
    role: Role
    session_id: str | None
    api_key: ApiKey | None
    delegation: Delegation | None = None

    @property
    def is_admin(self) -> bool:
        """Whether it may administer: the user is an admin, and a key was not narrowed to less."""
        return self.allows(Scope.ADMIN)

    def allows(self, scope: Scope) -> bool:
        """Whether it may do what the scope stands for."""
        if scope is Scope.ADMIN and self.role is not Role.ADMIN:
            return False
        if self.delegation is not None:
            return scope in self.delegation.scopes
        return self.api_key is None or self.api_key.scopes is None or scope in self.api_key.scopes

    def may_use_model(self, name: str) -> bool:
        """Whether it may call the model of that name."""
        return self.api_key is None or self.api_key.allowed_models is None or name in self.api_key.allowed_models

    def require(self, scope: Scope) -> None:
        """Raise `ScopeMissing` unless it `allows` the scope."""
        if not self.allows(scope):
            raise ScopeMissing(
                f"This credential may not be used for `{scope}`. Use a session, or a key with that scope, "
                "of a user who has the right.",
                details={"scope": scope.value},
            )

    def require_model(self, name: str) -> None:
        """Raise `ModelNotAllowed` unless it `may_use_model`."""
        if not self.may_use_model(name):
            raise ModelNotAllowed(
                f"This API key may not use the model `{name}`. Use one of its allowed models, or another key.",
                field="model",
            )
