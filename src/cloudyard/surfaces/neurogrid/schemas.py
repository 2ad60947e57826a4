"""The shapes of NeuroGrid's requests and answers. Amounts are US dollars."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from cloudyard.domains.identity import Role, Scope
from cloudyard.web.moments import Moment
from cloudyard.web.numbers import ExactNumber

T = TypeVar("T")

Number = int | float

MOST_USD = 1_000_000_000

Email = Annotated[str, Field(json_schema_extra={"format": "email"}, examples=["developer@example.com"])]
Username = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{3,30}$"}, examples=["dev_user"])]
NewPassword = Annotated[str, Field(json_schema_extra={"minLength": 8}, examples=["SecurePass123!"])]


class RequestBody(BaseModel):
    """What a client sends: types are taken as they are, a number is no text."""

    model_config = ConfigDict(strict=True)


class Answer(BaseModel, Generic[T]):
    """Every successful answer."""

    success: Literal[True] = True
    data: T
    timestamp: str


class Pagination(BaseModel):
    """Where a page lies in its list."""

    page: int
    limit: int
    total: int
    pages: int


class PageAnswer(BaseModel, Generic[T]):
    """A page of a list."""

    success: Literal[True] = True
    data: list[T]
    pagination: Pagination
    timestamp: str


class ErrorAnswer(BaseModel):
    """Every failure."""

    error: str
    message: str
    details: dict[str, Any]
    timestamp: str


class Registration(RequestBody):
    """A new account. The password needs 8 characters, among them an upper and a lower letter, a digit and a symbol."""

    email: Email
    username: Username
    password: NewPassword
    full_name: Annotated[str | None, Field(examples=["Developer Name"])] = None
    company: str | None = None
    role: Literal["user", "node_operator"] = "user"


class Login(RequestBody):
    """E-mail address or username, and password."""

    identifier: Annotated[str, Field(examples=["developer@example.com"])]
    password: str


class Refresh(RequestBody):
    """A refresh token, which is used up."""

    refresh_token: str


class UserView(BaseModel):
    """A user."""

    id: str
    email: str
    username: str | None
    full_name: str
    company: str | None
    role: Role
    email_verified: bool
    created_at: str


class Registered(BaseModel):
    """The account that was opened."""

    message: str
    user: UserView


class TokensView(BaseModel):
    """Tokens of a session. `expires_in` is the life of the access token in seconds."""

    token: str
    refresh_token: str
    expires_in: int


class LoggedIn(TokensView):
    """A session that was opened."""

    user: UserView


class Said(BaseModel):
    """A plain word about what happened."""

    message: str


class NewApiKey(RequestBody):
    """A wanted API key; what is left out is not limited.

    `spend_cap` is in dollars over the key's whole life.
    """

    name: Annotated[str, Field(examples=["My server"])]
    scopes: Annotated[list[str] | None, Field(description="Any of " + ", ".join(Scope) + ".")] = None
    expires_at: Moment | None = None
    allowed_models: list[str] | None = None
    spend_cap: Annotated[ExactNumber, Field(ge=0, le=MOST_USD)] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class ApiKeyView(BaseModel):
    """An API key without its secret. `prefix` is how the secret begins; a limit that is null does not hold."""

    id: str
    name: str
    prefix: str
    scopes: list[str] | None
    expires_at: str | None
    allowed_models: list[str] | None
    spend_cap: Number | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: str
    last_used_at: str | None


class CreatedApiKey(ApiKeyView):
    """A new API key with its secret, which cannot be had again."""

    key: str


class RevokedApiKey(BaseModel):
    """An API key that is gone."""

    id: str
    message: str


class WalletView(BaseModel):
    """A wallet in dollars: `balance` is free to spend, `held` is set aside for work that runs now.

    `earnings` are those of an operator. `credits` is the balance in credits.
    """

    balance: Number
    held: Number
    earnings: Number
    currency: Literal["USD"] = "USD"
    credits: Number
    updated_at: str


class TransactionView(BaseModel):
    """A change of a wallet. `balance` is what the user owned afterwards, held credit included."""

    id: str
    type: str
    amount: Number
    balance: Number
    currency: Literal["USD"] = "USD"
    credits: Number
    description: str
    created_at: str
