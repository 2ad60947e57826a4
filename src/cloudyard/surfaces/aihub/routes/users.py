"""The current user (document, User Endpoints)."""

from fastapi import APIRouter

from cloudyard.surfaces.aihub.mapping import user_view
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, PasswordChange, ProfileUpdate, Said, UserView
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute

router = APIRouter(prefix="/api/users", tags=["Users"], route_class=StrictJsonRoute)


@router.get("/me", summary="Get the current user", responses=failures(ErrorEnvelope, 401, 403, 429))
async def current_user(caller: CurrentAccount, services: Services, meta: CurrentMeta) -> Envelope[UserView]:
    """Who is calling."""
    return Envelope[UserView](data=user_view(await services.users.get(caller.user_id)), meta=meta)


@router.put("/me", summary="Update the own profile", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429))
async def update_profile(
    body: ProfileUpdate, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[UserView]:
    """Change what is given of names, phone, time zone and language."""
    user = await services.users.update_profile(
        caller.user_id,
        first_name=body.first_name,
        last_name=body.last_name,
        phone=body.phone,
        timezone=body.timezone,
        language=body.language,
    )
    return Envelope[UserView](data=user_view(user), meta=meta)


@router.put("/me/password", summary="Change the password", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429))
async def change_password(
    body: PasswordChange, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[Said]:
    """Set another password, knowing the present one; every other session ends."""
    await services.recovery.change_password(
        caller.user_id, body.current_password, body.new_password, keep_session=caller.session_id
    )
    return Envelope[Said](data=Said(message="The password was changed."), meta=meta)
