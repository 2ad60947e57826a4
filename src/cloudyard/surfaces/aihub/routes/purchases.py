"""Buying credits (document, Purchase Credits)."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.ledger import Wallet
from cloudyard.domains.payments import Order, Package, PaymentState, Purchase
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import CreditRate
from cloudyard.surfaces.aihub.mapping import shown_credits, timestamp
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.routes.purchase_schemas import (
    PackageView,
    PurchaseOrder,
    PurchaseView,
    dollars,
    status_of,
)
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope
from cloudyard.surfaces.aihub.services import AihubServices, Services
from cloudyard.web.authentication import require_scope
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute

# Not an IdempotentRoute: its key is kept with the payment, which outlives a crash, and no client secret is stored.
router = APIRouter(prefix="/api/credits", tags=["Credits"], route_class=StrictJsonRoute)

Buyer = Annotated[Principal, Depends(require_scope(Scope.WALLET))]
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same key and body buy once, however often sent.")
]

MESSAGES: dict[PaymentState, str] = {
    PaymentState.COMPLETED: "The credits are in your balance.",
    PaymentState.ACTION_REQUIRED: (
        "Your bank wants you to authenticate this payment. Pass `clientSecret` to Stripe.js, "
        "`stripe.handleNextAction({clientSecret})`; the credits come once it succeeds. Ask "
        "GET /api/credits/purchases/{id} for the outcome."
    ),
    PaymentState.OPEN: "Stripe is working on the payment. Ask GET /api/credits/purchases/{id} later.",
    PaymentState.FAILED: "The payment failed, and nothing was charged.",
    PaymentState.CANCELLED: "The payment was cancelled, and nothing was charged.",
    PaymentState.MISMATCH: "Another amount was paid than was asked for, and the administrators were told.",
}


@router.get("/packages", summary="List the packages of credits", responses=failures(ErrorEnvelope, 401, 403, 429))
async def credit_packages(_caller: Buyer, services: Services, meta: CurrentMeta) -> Envelope[list[PackageView]]:
    """What can be bought, the cheapest first."""
    found = [_package_view(package, services.credit_rate) for package in services.payments.packages()]
    return Envelope[list[PackageView]](data=found, meta=meta)


@router.post(
    "/purchase",
    summary="Purchase credits",
    status_code=HTTPStatus.CREATED,
    responses={
        202: {"model": Envelope[PurchaseView], "description": "The buyer has to act, or Stripe is still working"},
        **failures(ErrorEnvelope, 400, 401, 402, 403, 404, 409, 422, 429, 503),
    },
)
async def purchase_credits(
    body: PurchaseOrder,
    caller: Buyer,
    services: Services,
    meta: CurrentMeta,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Envelope[PurchaseView]:
    """Buy a package or a free amount of credits. What is paid at once is in the balance when the answer arrives."""
    order = Order(body.package_id, _nanos(body, services), body.payment_method_id)
    purchase = await services.payments.purchase(caller.user_id, order, key=idempotency_key)
    if purchase.payment.state is not PaymentState.COMPLETED:
        response.status_code = HTTPStatus.ACCEPTED
    return await _answer(purchase, services, meta)


@router.get(
    "/purchases/{purchase_id}",
    summary="Get a purchase",
    responses=failures(ErrorEnvelope, 401, 403, 404, 422, 429, 503),
)
async def credit_purchase(
    purchase_id: str, caller: Buyer, services: Services, meta: CurrentMeta
) -> Envelope[PurchaseView]:
    """How a purchase stands; one that is not settled is asked for at Stripe."""
    return await _answer(await services.payments.status(caller.user_id, purchase_id), services, meta)


async def _answer(purchase: Purchase, services: AihubServices, meta: CurrentMeta) -> Envelope[PurchaseView]:
    wallet = await services.ledger.wallet(purchase.payment.user_id)
    return Envelope[PurchaseView](data=_purchase_view(purchase, wallet, services.credit_rate), meta=meta)


def _purchase_view(purchase: Purchase, wallet: Wallet, rate: CreditRate) -> PurchaseView:
    payment = purchase.payment
    message = MESSAGES[payment.state]
    return PurchaseView(
        id=payment.id,
        status=status_of(payment.state),
        package_id=payment.package_id,
        credits=shown_credits(payment.value, rate),
        price=dollars(payment.cents),
        balance=shown_credits(wallet.available, rate),
        client_secret=purchase.client_secret,
        message=f"{message} {payment.failure}" if payment.failure else message,
        created_at=timestamp(payment.created_at),
    )


def _package_view(package: Package, rate: CreditRate) -> PackageView:
    return PackageView(
        id=package.id, name=package.name, credits=shown_credits(package.value, rate), price=dollars(package.cents)
    )


def _nanos(body: PurchaseOrder, services: AihubServices) -> int | None:
    if body.amount is None:
        return None
    try:
        return services.credit_rate.nanos(body.amount)
    except ValueError as error:
        raise InvalidInput(f"The amount is too fine: {error}.", field="amount") from error
