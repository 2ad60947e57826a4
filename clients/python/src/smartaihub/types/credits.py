"""Credits (document, Credit Endpoints). Amounts are exact decimals of credits, prices of dollars."""

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from smartaihub.types.base import Record


class Balance(Record):
    """Credits: `balance` is free to spend, `held` is set aside for calls that run now."""

    user_id: str
    balance: Decimal
    held: Decimal = Decimal(0)
    currency: str
    last_updated: datetime


class HistoryLine(Record):
    """A change of the credits. `balance` is what the user owned afterwards."""

    id: str
    type: str
    amount: Decimal
    balance: Decimal
    description: str
    created_at: datetime


class Package(Record):
    """Credits that are sold together."""

    id: str
    name: str
    credits: Decimal
    price: Decimal
    currency: str


class Purchase(Record):
    """A purchase as it stands: `completed`, `requires_action`, `processing`, `failed`, `cancelled`, or
    `mismatch` where another amount was paid than was asked for.

    `client_secret` is there while the buyer has to act, for Stripe.js; `message` says what comes next.
    """

    id: str
    status: str
    package_id: str | None = None
    credits: Decimal
    price: Decimal
    currency: str
    balance: Decimal
    client_secret: str | None = Field(default=None, repr=False)
    message: str
    created_at: datetime
