"""The caller's own profile (pynode.md, User Management)."""

from fastapi import APIRouter

from cloudyard.surfaces.pynode import mapping
from cloudyard.surfaces.pynode.schemas import Profile, ProfileRequest
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.json_body import StrictJsonRoute

router = APIRouter(tags=["User Management"], route_class=StrictJsonRoute)


@router.get("/api/users/me")
async def read_profile(principal: CurrentAccount, core: Core) -> Profile:
    """The caller's profile."""
    return mapping.profile(await core.users.get(principal.user_id))


@router.put("/api/users/me")
async def update_profile(body: ProfileRequest, principal: CurrentAccount, core: Core) -> Profile:
    """Change name or e-mail address; another address is unverified until the link sent to it is opened."""
    user = await core.users.update_profile(principal.user_id, email=body.email, name=body.name)
    return mapping.profile(user)
