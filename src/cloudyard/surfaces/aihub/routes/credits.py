"""A user's own credits (document, Credit Endpoints)."""

from typing import Annotated

from fastapi import APIRouter, Depends

from cloudyard.domains.identity import Principal, Scope
from cloudyard.surfaces.aihub.history_filters import WantedHistory
from cloudyard.surfaces.aihub.mapping import balance_view, history_lines, pagination
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import BalanceView, Envelope, ErrorEnvelope, HistoryLine, PageEnvelope
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import require_scope
from cloudyard.web.documented_errors import failures
from cloudyard.web.paging import Page, page

router = APIRouter(prefix="/api/credits", tags=["Credits"])

CurrentWallet = Annotated[Principal, Depends(require_scope(Scope.WALLET))]
CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]


@router.get("/balance", summary="Get the credit balance", responses=failures(ErrorEnvelope, 401, 403, 429))
async def credit_balance(caller: CurrentWallet, services: Services, meta: CurrentMeta) -> Envelope[BalanceView]:
    """Credits that are free to spend, and those set aside."""
    wallet = await services.ledger.wallet(caller.user_id)
    return Envelope[BalanceView](data=balance_view(wallet, services.credit_rate), meta=meta)


@router.get("/history", summary="Get the credit history", responses=failures(ErrorEnvelope, 401, 403, 422, 429))
async def credit_history(
    caller: CurrentWallet, at: CurrentPage, wanted: WantedHistory, services: Services, meta: CurrentMeta
) -> PageEnvelope[HistoryLine]:
    """What changed the credits, newest first unless sorted otherwise; `total` counts what matches the filters."""
    entries, total = await services.ledger.history(caller.user_id, limit=at.limit, offset=at.offset, wanted=wanted)
    return PageEnvelope[HistoryLine](
        data=history_lines(entries, services.credit_rate), pagination=pagination(at, total), meta=meta
    )
