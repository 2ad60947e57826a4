"""What administrators do (document, Admin Endpoints)."""

import hashlib
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from cloudyard.domains.identity import Principal, Role, UserStatus
from cloudyard.domains.ledger import InsufficientCredits, Posted
from cloudyard.foundation.errors import InvalidInput
from cloudyard.surfaces.aihub.admin_mapping import listed_user, order_of, system_metrics, user_details
from cloudyard.surfaces.aihub.admin_schemas import ListedUser, SystemMetrics, UserDetails, UserSort, UserUpdate
from cloudyard.surfaces.aihub.errors import BalanceTooLow
from cloudyard.surfaces.aihub.mapping import pagination, shown_credits
from cloudyard.surfaces.aihub.routes.headers import IdempotencyKey
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import (
    Adjustment,
    AdjustmentType,
    AdjustmentView,
    Envelope,
    ErrorEnvelope,
    PageEnvelope,
)
from cloudyard.surfaces.aihub.services import AihubServices, Services
from cloudyard.web.authentication import CurrentAdmin
from cloudyard.web.documented_errors import failures
from cloudyard.web.idempotency import IdempotentRoute
from cloudyard.web.paging import Page, page

router = APIRouter(prefix="/api/admin", tags=["Admin"], route_class=IdempotentRoute)

BY_HAND = "Set by an administrator"

CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]
Search = Annotated[str | None, Query(max_length=200, description="A part of the address, username or name.")]


@router.get("/users", summary="List users", responses=failures(ErrorEnvelope, 401, 403, 422, 429))
async def list_users(
    _caller: CurrentAdmin,
    at: CurrentPage,
    services: Services,
    meta: CurrentMeta,
    role: Role | None = None,
    status: UserStatus | None = None,
    search: Search = None,
    sort: UserSort = UserSort.NEWEST,
) -> PageEnvelope[ListedUser]:
    """The users that match, with their credits."""
    order, descending = order_of(sort)
    found, total = await services.administration.users(
        role=role,
        status=status,
        search=search,
        order=order,
        descending=descending,
        limit=at.limit,
        offset=at.offset,
    )
    data = [listed_user(overview, services.credit_rate) for overview in found]
    return PageEnvelope[ListedUser](data=data, pagination=pagination(at, total), meta=meta)


@router.get(
    "/users/{user_id}", summary="Get a user's details", responses=failures(ErrorEnvelope, 401, 403, 404, 422, 429)
)
async def get_user(user_id: str, _caller: CurrentAdmin, services: Services, meta: CurrentMeta) -> Envelope[UserDetails]:
    """Everything that is kept of a user."""
    return Envelope[UserDetails](data=await _details(services, user_id), meta=meta)


@router.put(
    "/users/{user_id}",
    summary="Update a user",
    responses=failures(ErrorEnvelope, 400, 401, 403, 404, 409, 422, 429),
)
async def update_user(
    user_id: str,
    body: UserUpdate,
    caller: CurrentAdmin,
    services: Services,
    meta: CurrentMeta,
    _key: IdempotencyKey = None,
) -> Envelope[UserDetails]:
    """Change role, status and credits together or not at all.

    Credits are reached by an adjustment with the reason; suspension ends all sessions at once; the last administrator
    stays.
    """
    await services.administration.change(
        user_id,
        actor=caller.user_id,
        role=body.role,
        status=body.status,
        credit=_nanos(body.credits, services, "credits") if body.credits is not None else None,
        reason=BY_HAND if body.reason is None else body.reason,
    )
    return Envelope[UserDetails](data=await _details(services, user_id), meta=meta)


@router.get("/metrics", summary="Get system metrics", responses=failures(ErrorEnvelope, 401, 403, 429))
async def read_metrics(_caller: CurrentAdmin, services: Services, meta: CurrentMeta) -> Envelope[SystemMetrics]:
    """Users and credits of the whole installation as they are now; requests of the process that answers.

    Active users are those that are not suspended. Credits come from the ledger: those that purchases gave before any
    refund, and those that calls took; revenue is the dollars that came in less those refunded. Requests count since
    midnight UTC, or since the process started where that is later, on every surface: their mean time is in
    milliseconds, and the error rate is the share that failed by the server's fault.
    """
    figures = await services.administration.figures()
    metrics = system_metrics(figures, services.traffic.today(), services.credit_rate)
    return Envelope[SystemMetrics](data=metrics, meta=meta)


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
    nanos = _nanos(body.amount, services, "amount")
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


async def _details(services: AihubServices, user_id: str) -> UserDetails:
    user = await services.users.get(user_id)
    return user_details(user, await services.ledger.wallet(user.id), services.credit_rate)


def _nanos(amount: Decimal, services: AihubServices, field: str) -> int:
    try:
        return services.credit_rate.nanos(amount)
    except ValueError as error:
        raise InvalidInput(f"The amount is too fine: {error}.", field=field) from error


def _ledger_key(caller: Principal, user_id: str, body: Adjustment, key: str) -> str:
    """The ledger's own key, so that a retry after a crash between ledger and kept answer does not post twice."""
    request = "\n".join((caller.user_id, user_id, key, body.model_dump_json()))
    return hashlib.sha256(request.encode()).hexdigest()
