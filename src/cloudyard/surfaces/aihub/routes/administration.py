"""What administrators do (document, Admin Endpoints)."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header

from cloudyard.domains.identity import Principal
from cloudyard.domains.ledger import InsufficientCredits, Posted
from cloudyard.foundation.errors import InvalidInput
from cloudyard.surfaces.aihub.errors import BalanceTooLow
from cloudyard.surfaces.aihub.mapping import shown_credits
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import (
    Adjustment,
    AdjustmentType,
    AdjustmentView,
    Envelope,
    ErrorEnvelope,
)
from cloudyard.surfaces.aihub.services import AihubServices, Services
from cloudyard.web.authentication import CurrentAdmin
from cloudyard.web.documented_errors import failures
from cloudyard.web.idempotency import IdempotentRoute

router = APIRouter(prefix="/api/admin", tags=["Admin"], route_class=IdempotentRoute)

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same key and body get the same answer, once.")
]


@router.post(
    "/users/{user_id}/credits/adjust",
    summary="Adjust a user's credits",
    responses=failures(ErrorEnvelope, 400, 401, 403, 404, 409, 422, 429),
)
async def adjust_credits(
    user_id: str,
    body: Adjustment,
    caller: CurrentAdmin,
    services: Services,
    meta: CurrentMeta,
    idempotency_key: IdempotencyKey = None,
) -> Envelope[AdjustmentView]:
    """Give credits to a user, or take them with a negative amount, never below zero; the reason is recorded."""
    user = await services.users.get(user_id)
    nanos = _nanos(body, services)
    posted = await _adjust(services, user.id, nanos, body, caller, idempotency_key)
    wallet = await services.ledger.wallet(user.id)
    view = AdjustmentView(
        transaction_id=posted.id,
        user_id=user.id,
        amount=shown_credits(nanos, services.credit_rate),
        type=body.type,
        reason=body.reason.strip(),
        balance=shown_credits(wallet.available, services.credit_rate),
    )
    return Envelope[AdjustmentView](data=view, meta=meta)


async def _adjust(
    services: AihubServices, user_id: str, nanos: int, body: Adjustment, caller: Principal, key: str | None
) -> Posted:
    try:
        return await services.ledger.adjust(
            user_id,
            nanos,
            reason=body.reason,
            actor=caller.user_id,
            bonus=body.type is AdjustmentType.BONUS,
            idempotency_key=_ledger_key(caller, user_id, body, key) if key is not None else None,
        )
    except InsufficientCredits as error:
        wallet = await services.ledger.wallet(user_id)
        raise BalanceTooLow(
            f"The user has {shown_credits(wallet.available, services.credit_rate)} credits to spend, and no balance "
            "goes below zero. Take at most what is there.",
            field="amount",
        ) from error


def _nanos(body: Adjustment, services: AihubServices) -> int:
    try:
        return services.credit_rate.nanos(body.amount)
    except ValueError as error:
        raise InvalidInput(f"The amount is too fine: {error}.", field="amount") from error


def _ledger_key(caller: Principal, user_id: str, body: Adjustment, key: str) -> str:
    """The ledger's own key, so that a retry after a crash between ledger and kept answer does not post twice."""
    request = "\n".join((caller.user_id, user_id, key, body.model_dump_json()))
    return hashlib.sha256(request.encode()).hexdigest()
