"""Payments of all users, and refunds of them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloudyard.domains.payments import RefundState
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import nanos_from_usd
from cloudyard.surfaces.aihub.mapping import pagination
from cloudyard.surfaces.aihub.routes.admin_payment_schemas import (
    PaymentDetails,
    PaymentView,
    RefundOrder,
    RefundView,
    payment_view,
    refund_view,
)
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.routes.purchase_schemas import NANOS_PER_CENT, PurchaseStatus, state_of
from cloudyard.surfaces.aihub.routes.purchases import IdempotencyKey
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, PageEnvelope
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAdmin
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.paging import Page, page

# Not an IdempotentRoute: the key is kept with the refund, which outlives a crash.
router = APIRouter(prefix="/api/admin/payments", tags=["Admin"], route_class=StrictJsonRoute)

CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]
UserId = Annotated[str | None, Query(alias="userId", max_length=36, description="Payments of this user alone.")]


@router.get("", summary="List payments", responses=failures(ErrorEnvelope, 401, 403, 422, 429))
async def list_payments(
    _caller: CurrentAdmin,
    at: CurrentPage,
    services: Services,
    meta: CurrentMeta,
    status: PurchaseStatus | None = None,
    user_id: UserId = None,
) -> PageEnvelope[PaymentView]:
    """The payments that match, newest first."""
    state = state_of(status) if status is not None else None
    found, total = await services.payments.list(user_id=user_id, state=state, limit=at.limit, offset=at.offset)
    data = [payment_view(overview, services.credit_rate) for overview in found]
    return PageEnvelope[PaymentView](data=data, pagination=pagination(at, total), meta=meta)


@router.get("/{payment_id}", summary="Get a payment", responses=failures(ErrorEnvelope, 401, 403, 404, 422, 429))
async def get_payment(
    payment_id: str, _caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[PaymentDetails]:
    """A payment and the refunds of it that administrators asked for."""
    overview, refunds = await services.payments.details(payment_id)
    view = PaymentDetails(
        **dict(payment_view(overview, services.credit_rate)),
        refunds=[refund_view(refund, services.credit_rate) for refund in refunds],
    )
    return Envelope[PaymentDetails](data=view, meta=meta)


@router.post(
    "/{payment_id}/refund",
    summary="Refund a payment",
    status_code=HTTPStatus.CREATED,
    responses={
        202: {"model": Envelope[RefundView], "description": "Another request is working on the same refund"},
        **failures(ErrorEnvelope, 400, 401, 403, 404, 409, 422, 429, 503),
    },
)
async def refund_payment(
    payment_id: str,
    body: RefundOrder,
    caller: CurrentAdmin,
    services: Services,
    meta: CurrentMeta,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Envelope[RefundView]:
    """Give money of a purchase back through Stripe, in whole or in part.

    Its share of the credits leaves the buyer's wallet as far as the wallet has it; promotions bear the rest. No more
    than was paid is given back, however many requests come at once. The reason is recorded.
    """
    refund = await services.refunds.refund(
        payment_id, actor=caller.user_id, reason=body.reason, cents=_cents(body), key=idempotency_key
    )
    if refund.state is RefundState.OPEN:
        response.status_code = HTTPStatus.ACCEPTED
    return Envelope[RefundView](data=refund_view(refund, services.credit_rate), meta=meta)


def _cents(body: RefundOrder) -> int | None:
    if body.usd is None:
        return None
    try:
        cents, rest = divmod(nanos_from_usd(body.usd), NANOS_PER_CENT)
    except ValueError as error:
        raise InvalidInput(f"The amount cannot be refunded: {error}.", field="usd") from error
    if rest:
        raise InvalidInput("Refund a whole number of cents.", field="usd")
    return cents
