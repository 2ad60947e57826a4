"""What administrators see (document, Admin Endpoints)."""

from datetime import datetime
from decimal import Decimal

from smartaihub.types.base import Record


class ListedUser(Record):
    """A user in the list. `status` is `active` or `suspended`; `credits` is free to spend."""

    id: str
    email: str
    first_name: str
    last_name: str
    role: str
    status: str
    email_verified: bool
    credits: Decimal
    created_at: datetime
    last_active_at: datetime


class UserDetails(ListedUser):
    """Everything that is kept of a user. `held_credits` is set aside for calls that run now."""

    username: str | None = None
    phone: str | None = None
    timezone: str | None = None
    language: str | None = None
    held_credits: Decimal = Decimal(0)
    updated_at: datetime


class Adjustment(Record):
    """An adjustment that is in the ledger, and the balance after it."""

    transaction_id: str
    user_id: str
    amount: Decimal
    type: str
    reason: str
    balance: Decimal
    currency: str


class UserFigures(Record):
    """Users of the installation."""

    total: int
    active: int
    new_this_month: int


class CreditFigures(Record):
    """Credits bought and used, and the dollars received less those refunded."""

    total_purchased: Decimal
    total_used: Decimal
    revenue: Decimal


class ApiFigures(Record):
    """Requests since midnight UTC, their mean time in milliseconds, and the share that the server failed."""

    requests_today: int
    average_response_time: float
    error_rate: float


class Metrics(Record):
    """The installation in numbers."""

    users: UserFigures
    credits: CreditFigures
    api: ApiFigures


class Refund(Record):
    """A refund: `completed`, `processing` or `failed`. `usd` are dollars.

    `credits` went out of the buyer's wallet, `uncovered_credits` were spent already.
    """

    id: str
    payment_id: str
    status: str
    usd: Decimal
    credits: Decimal
    uncovered_credits: Decimal
    reason: str
    failure: str | None = None
    requested_by: str
    created_at: datetime


class Payment(Record):
    """A payment, with the statuses of a purchase. `refunded` and `disputed` are the dollars of it that went back."""

    id: str
    user_id: str
    status: str
    package_id: str | None = None
    credits: Decimal
    price: Decimal
    refunded: Decimal
    disputed: Decimal
    currency: str
    provider_id: str | None = None
    failure: str | None = None
    created_at: datetime


class PaymentDetails(Payment):
    """A payment with the refunds that administrators asked for, newest first."""

    refunds: list[Refund]
