"""The shapes of Smart AI Hub's requests and answers, in the camelCase of its document."""

from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cloudyard.domains.identity import Role
from cloudyard.domains.ledger.service import LONGEST_REASON
from cloudyard.web.numbers import ExactNumber

T = TypeVar("T")

Number = int | float

Email = Annotated[str, Field(json_schema_extra={"format": "email"}, examples=["user@example.com"])]
NewPassword = Annotated[str, Field(json_schema_extra={"minLength": 8}, examples=["securePassword123"])]
Reason = Annotated[
    str, Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_REASON}, examples=["Promotional credit"])
]
Credits = Annotated[ExactNumber, Field(examples=[500])]


class RequestBody(BaseModel):
    """What a client sends: types are taken as they are, a number is no text."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Part(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Meta(Part):
    """About the answer itself."""

    timestamp: str
    request_id: str
    version: str


class Envelope(Part, Generic[T]):
    """Every successful answer."""

    success: Literal[True] = True
    data: T
    meta: Meta


class Pagination(Part):
    """Where a page lies in its list."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_next: bool
    has_prev: bool


class PageEnvelope(Part, Generic[T]):
    """A page of a list."""

    success: Literal[True] = True
    data: list[T]
    pagination: Pagination
    meta: Meta


class FieldProblem(Part):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(Part):
    """What went wrong."""

    code: str
    message: str
    details: list[FieldProblem]


class ErrorEnvelope(Part):
    """Every failure."""

    success: Literal[False]
    error: Problem
    meta: Meta


class Registration(RequestBody):
    """A new account."""

    email: Email
    password: NewPassword
    first_name: Annotated[str, Field(examples=["John"])] = ""
    last_name: Annotated[str, Field(examples=["Doe"])] = ""


class Login(RequestBody):
    """E-mail address and password."""

    email: Email
    password: str


class Refresh(RequestBody):
    """A refresh token, which is used up."""

    refresh_token: str


class ForgottenPassword(RequestBody):
    """Whose password was forgotten."""

    email: Email


class PasswordReset(RequestBody):
    """The token of a reset link, good once, and the password to be."""

    token: str
    new_password: NewPassword


class ProfileUpdate(RequestBody):
    """What is left out stays as it is; an empty text clears it."""

    first_name: Annotated[str | None, Field(examples=["John"])] = None
    last_name: Annotated[str | None, Field(examples=["Doe"])] = None
    phone: Annotated[str | None, Field(examples=["+1234567890"])] = None
    timezone: Annotated[str | None, Field(examples=["America/New_York"])] = None
    language: Annotated[str | None, Field(examples=["en"])] = None


class PasswordChange(RequestBody):
    """The present password, and the one to be."""

    current_password: str
    new_password: NewPassword


class AccountView(Part):
    """A user as login shows it."""

    id: str
    email: str
    first_name: str
    last_name: str
    role: Role
    email_verified: bool
    created_at: str


class UserView(AccountView):
    """The current user. What was never told is null."""

    phone: str | None
    timezone: str | None
    language: str | None
    updated_at: str


class TokensView(Part):
    """Tokens of a session. `expiresIn` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class Registered(Part):
    """The account that was opened."""

    user: AccountView


class LoggedIn(Part):
    """A session that was opened."""

    user: AccountView
    tokens: TokensView


class Refreshed(Part):
    """A session that goes on."""

    tokens: TokensView


class Said(Part):
    """A plain word about what happened."""

    message: str


class BalanceView(Part):
    """A user's credits: `balance` is free to spend, `held` is set aside for calls that run now."""

    user_id: str
    balance: Number
    held: Number
    currency: Literal["credits"] = "credits"
    last_updated: str


class HistoryLine(Part):
    """A change of a user's credits. `balance` is what the user owned afterwards, held credits included."""

    id: str
    type: str
    amount: Number
    balance: Number
    description: str
    created_at: str


class AdjustmentType(StrEnum):
    """What an adjustment is: a gift out of promotions, or the setting right of something."""

    BONUS = "bonus"
    ADJUSTMENT = "adjustment"


class Adjustment(RequestBody):
    """Credits to give, or with a negative amount to take."""

    amount: Credits
    reason: Reason
    type: Annotated[AdjustmentType, Field(strict=False)] = AdjustmentType.ADJUSTMENT


class AdjustmentView(Part):
    """An adjustment that is in the ledger, and the balance after it."""

    transaction_id: str
    user_id: str
    amount: Number
    type: AdjustmentType
    reason: str
    balance: Number
    currency: Literal["credits"] = "credits"
