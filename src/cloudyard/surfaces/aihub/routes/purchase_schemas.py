"""The shapes of buying credits."""

from typing import Annotated, Literal

from pydantic import Field

from cloudyard.surfaces.aihub.schemas import Credits, Number, Part, RequestBody

PaymentMethodId = Annotated[
    str,
    Field(min_length=1, max_length=255, description="Id of a PaymentMethod of Stripe's.", examples=["pm_card_visa"]),
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


PurchaseStatus = Literal["completed", "requires_action", "processing", "failed", "cancelled"]


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
