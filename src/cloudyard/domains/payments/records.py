"""What payments take and give. Prices are whole cents of a dollar, values nano-dollars."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CURRENCY = "usd"
NANOS_PER_CENT = 10_000_000


class PaymentState(StrEnum):
    """The life of a payment. Completed is final, and so is mismatch: another amount or currency was received than was
    asked for, and an administrator decides. The others yield to the provider's word that money came in.
    """

    OPEN = "open"
    ACTION_REQUIRED = "action_required"
    FAILED = "failed"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    MISMATCH = "mismatch"


class ProviderState(StrEnum):
    """What the provider says of a payment intent."""

    UNCONFIRMED = "unconfirmed"
    PROCESSING = "processing"
    ACTION_REQUIRED = "action_required"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"


class ReversalKind(StrEnum):
    """Why money went back."""

    REFUND = "refund"
    DISPUTE = "dispute"


class RefundState(StrEnum):
    """The life of a refund that was asked for here. Completed: the provider has taken it on."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Package:
    """Credits that are sold together. `value` is what they are worth in the wallet, in nano-dollars."""

    id: str
    name: str
    value: int
    cents: int


@dataclass(frozen=True, slots=True)
class Order:
    """What a buyer wants: a package, a free amount, or a package with the amount that it must hold."""

    package_id: str | None
    value: int | None
    payment_method: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as it stands. `closed` means that the provider can take no more money under it."""

    id: str
    user_id: str
    package_id: str | None
    payment_method: str
    value: int
    cents: int
    state: PaymentState
    closed: bool
    provider_id: str | None
    failure: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Purchase:
    """A payment, and the secret by which the buyer's browser goes on with it where the buyer must act."""

    payment: Payment
    client_secret: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderIntent:
    """A payment intent as the provider has it now."""

    id: str
    state: ProviderState
    received_cents: int
    currency: str
    charge_id: str | None = None
    client_secret: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money that the provider took back, or (`returned`) gave us again: a refund failed, a dispute was won.

    `refund_id` is our id of a refund that was asked for here.
    """

    id: str
    kind: ReversalKind
    intent_id: str | None
    charge_id: str | None
    cents: int
    returned: bool
    refund_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that an administrator (`actor`) asked for, and what it took out of the buyer's wallet.

    `uncovered` is what the wallet no longer had; promotions bore it.
    """

    id: str
    payment_id: str
    actor: str
    cents: int
    reason: str
    state: RefundState
    failure: str | None
    taken: int
    uncovered: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentOverview:
    """A payment, and the cents of it that went back by refunds and by disputes, those that failed left out."""

    payment: Payment
    refunded_cents: int
    disputed_cents: int


@dataclass(frozen=True, slots=True)
class RefundsChanged:
    """Something was refunded of a charge; the provider tells what."""

    charge_id: str
    intent_id: str | None


Notice = ProviderIntent | Reversal | RefundsChanged
"""What a provider's event tells."""
