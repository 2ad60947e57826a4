"""The shapes of Admin Endpoints."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cloudyard.domains.identity import Role, UserStatus
from cloudyard.surfaces.aihub.schemas import Credits, Number, Part, Reason, RequestBody


class UserSort(StrEnum):
    """What users are sorted by; with a minus, the largest or latest first."""

    CREATED_AT = "createdAt"
    NEWEST = "-createdAt"
    LAST_ACTIVE_AT = "lastActiveAt"
    LATEST_ACTIVE = "-lastActiveAt"
    EMAIL = "email"
    EMAIL_BACKWARDS = "-email"
    FIRST_NAME = "firstName"
    FIRST_NAME_BACKWARDS = "-firstName"
    LAST_NAME = "lastName"
    LAST_NAME_BACKWARDS = "-lastName"


class ListedUser(Part):
    """A user in the list. Who was never active is as the account was opened; `credits` is free to spend."""

    id: str
    email: str
    first_name: str
    last_name: str
    role: Role
    status: UserStatus
    email_verified: bool
    credits: Number
    created_at: str
    last_active_at: str


class UserDetails(ListedUser):
    """Everything that is kept of a user. `heldCredits` is set aside for calls that run now."""

    username: str | None
    phone: str | None
    timezone: str | None
    language: str | None
    held_credits: Number
    updated_at: str


class UserUpdate(RequestBody):
    """What is left out stays as it is. `credits` is what the user shall have; the way there is an adjustment."""

    role: Annotated[Role | None, Field(strict=False)] = None
    status: Annotated[UserStatus | None, Field(strict=False)] = None
    credits: Annotated[Credits | None, Field(ge=0)] = None
    reason: Reason | None = None


class UserFigures(Part):
    """`active` users are those that are not suspended, `newThisMonth` those of this month (UTC)."""

    total: int
    active: int
    new_this_month: int


class CreditFigures(Part):
    """Credits bought before any refund, credits that calls took, and the dollars received less those refunded."""

    total_purchased: Number
    total_used: Number
    revenue: Number


class ApiFigures(Part):
    """Of the process that answers, since midnight UTC or its start: requests, their mean time in milliseconds, and
    the share of those that failed by the server's fault.
    """

    requests_today: int
    average_response_time: float
    error_rate: float


class SystemMetrics(Part):
    """The installation in numbers."""

    users: UserFigures
    credits: CreditFigures
    api: ApiFigures
