"""A user's wallet (document, Payment System)."""

from typing import Annotated

from fastapi import APIRouter, Depends

from cloudyard.domains.identity import Principal, Scope
from cloudyard.surfaces.neurogrid.mapping import pagination, transaction_views, wallet_view
from cloudyard.surfaces.neurogrid.routes.timestamps import Timestamp
from cloudyard.surfaces.neurogrid.schemas import Answer, ErrorAnswer, PageAnswer, TransactionView, WalletView
from cloudyard.surfaces.neurogrid.services import Services
from cloudyard.web.authentication import require_scope
from cloudyard.web.documented_errors import failures
from cloudyard.web.paging import Page, page

router = APIRouter(prefix="/api/wallet", tags=["Payment System"])

CurrentWallet = Annotated[Principal, Depends(require_scope(Scope.WALLET))]
CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]


@router.get("", summary="Get the wallet", responses=failures(ErrorAnswer, 401, 403, 429))
async def wallet(caller: CurrentWallet, services: Services, now: Timestamp) -> Answer[WalletView]:
    """What is free to spend, what is set aside, and what was earned."""
    found = await services.ledger.wallet(caller.user_id)
    return Answer[WalletView](data=wallet_view(found, services.credit_rate), timestamp=now)


@router.get("/transactions", summary="List the transactions", responses=failures(ErrorAnswer, 400, 401, 403, 429))
async def wallet_transactions(
    caller: CurrentWallet, at: CurrentPage, services: Services, now: Timestamp
) -> PageAnswer[TransactionView]:
    """What changed the wallet, newest first."""
    entries, total = await services.ledger.history(caller.user_id, limit=at.limit, offset=at.offset)
    return PageAnswer[TransactionView](
        data=transaction_views(entries, services.credit_rate), pagination=pagination(at, total), timestamp=now
    )
