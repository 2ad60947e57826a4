"""The current user (document, User Endpoints)."""

from fastapi import APIRouter

from cloudyard.surfaces.aihub.mapping import user_view
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, UserView
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures

router = APIRouter(prefix="/api/users", tags=["Users"])


@router.get("/me", summary="Get the current user", responses=failures(ErrorEnvelope, 401, 403, 429))
async def current_user(caller: CurrentAccount, services: Services, meta: CurrentMeta) -> Envelope[UserView]:
    """Who is calling."""
    return Envelope[UserView](data=user_view(await services.users.get(caller.user_id)), meta=meta)
