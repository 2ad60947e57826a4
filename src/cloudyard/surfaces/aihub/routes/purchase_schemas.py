"""The shapes of buying credits."""

from typing import Annotated, Literal

from pydantic import Field

from cloudyard.domains.payments import PaymentState
from cloudyard.foundation.money import plain_number, usd_from_nanos
from cloudyard.surfaces.aihub.schemas import Credits, Number, Part, RequestBody

PaymentMethodId = Annotated[
    str,
    Field(
        pattern=r"^(pm|card|src)_[A-Za-z0-9_]+$",
        max_length=255,
        description="Id of a PaymentMethod of Stripe's.",
        examples=["pm_card_visa"],
    ),
]
PackageId = Annotated[str, Field(min_length=1, max_length=64, examples=["pkg_starter"])]


class PurchaseOrder(RequestBody):
    """A package, or a free amount of credits; where both are given, the amount is what the package holds."""

    payment_method_id: PaymentMethodId
    package_id: PackageId | None = None
    amount: Credits | None = None


class PackageView(Part):
    """Credits that are sold together."""

    id: str
    name: str
    credits: Number
    price: Annotated[Number, Field(description="Dollars.")]
    currency: Literal["usd"] = "usd"


PurchaseStatus = Literal["completed", "requires_action", "processing", "failed", "cancelled", "mismatch"]
STATUS: dict[PaymentState, PurchaseStatus] = {
    PaymentState.COMPLETED: "completed",
    PaymentState.ACTION_REQUIRED: "requires_action",
    PaymentState.OPEN: "processing",
    PaymentState.FAILED: "failed",
    PaymentState.CANCELLED: "cancelled",
    PaymentState.MISMATCH: "mismatch",
}
NANOS_PER_CENT = 10_000_000


class PurchaseView(Part):
    """A purchase as it stands. `clientSecret` is there while the buyer has to act, `message` says what comes next."""

    id: str
    status: PurchaseStatus
    package_id: str | None
    credits: Number
    price: Annotated[Number, Field(description="Dollars.")]
    currency: Literal["usd"] = "usd"
    balance: Annotated[Number, Field(description="Credits that are free to spend now.")]
    client_secret: str | None = None
    message: str
    created_at: str


def status_of(state: PaymentState) -> PurchaseStatus:
    """The word of this contract for where a purchase stands."""
    return STATUS[state]


def state_of(status: PurchaseStatus) -> PaymentState:
    """Where a purchase stands, from the word of this contract."""
    return next(state for state, word in STATUS.items() if word == status)


def dollars(cents: int) -> Number:
    """Cents as a JSON number of dollars."""
    return plain_number(usd_from_nanos(cents * NANOS_PER_CENT))
