"""The shapes of payments as administrators see them."""

from typing import Annotated, Literal

from pydantic import Field

from cloudyard.domains.payments import Payment, PaymentOverview, Refund, RefundState
from cloudyard.foundation.money import CreditRate
from cloudyard.surfaces.aihub.mapping import shown_credits, timestamp
from cloudyard.surfaces.aihub.routes.purchase_schemas import PurchaseStatus, dollars, status_of
from cloudyard.surfaces.aihub.schemas import Number, Part, Reason, RequestBody
from cloudyard.web.numbers import ExactNumber

RefundStatus = Literal["completed", "processing", "failed"]
STATUS: dict[RefundState, RefundStatus] = {
    RefundState.COMPLETED: "completed",
    RefundState.OPEN: "processing",
    RefundState.FAILED: "failed",
}


class RefundOrder(RequestBody):
    """What to give back, and why. Left out or null, all that is left of the purchase is given back."""

    usd: Annotated[ExactNumber | None, Field(gt=0, description="Dollars, in whole cents.", examples=[2.5])] = None
    reason: Reason


class RefundView(Part):
    """A refund that was asked for here. `credits` went out of the buyer's wallet, `uncoveredCredits` were spent."""

    id: str
    payment_id: str
    status: RefundStatus
    usd: Number
    credits: Number
    uncovered_credits: Number
    reason: str
    failure: str | None
    requested_by: str
    created_at: str


class PaymentView(Part):
    """A payment. `refunded` and `disputed` are the dollars of it that went back, by whomever that was asked for."""

    id: str
    user_id: str
    status: PurchaseStatus
    package_id: str | None
    credits: Number
    price: Annotated[Number, Field(description="Dollars.")]
    refunded: Number
    disputed: Number
    currency: Literal["usd"] = "usd"
    provider_id: Annotated[str | None, Field(description="Stripe's id of the PaymentIntent.")]
    failure: str | None
    created_at: str


class PaymentDetails(PaymentView):
    """A payment with the refunds that were asked for here, newest first."""

    refunds: list[RefundView]


def refund_view(refund: Refund, rate: CreditRate) -> RefundView:
    """A refund in dollars and credits."""
    return RefundView(
        id=refund.id,
        payment_id=refund.payment_id,
        status=STATUS[refund.state],
        usd=dollars(refund.cents),
        credits=shown_credits(refund.taken, rate),
        uncovered_credits=shown_credits(refund.uncovered, rate),
        reason=refund.reason,
        failure=refund.failure,
        requested_by=refund.actor,
        created_at=timestamp(refund.created_at),
    )


def payment_view(overview: PaymentOverview, rate: CreditRate) -> PaymentView:
    """A payment in dollars and credits."""
    payment: Payment = overview.payment
    return PaymentView(
        id=payment.id,
        user_id=payment.user_id,
        status=status_of(payment.state),
        package_id=payment.package_id,
        credits=shown_credits(payment.value, rate),
        price=dollars(payment.cents),
        refunded=dollars(overview.refunded_cents),
        disputed=dollars(overview.disputed_cents),
        provider_id=payment.provider_id,
        failure=payment.failure,
        created_at=timestamp(payment.created_at),
    )
