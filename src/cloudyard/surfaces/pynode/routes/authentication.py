"""Registration, login, refresh, logout (pynode.md, Authentication)."""

from fastapi import APIRouter, Request

from cloudyard.foundation.errors import InvalidInput
from cloudyard.surfaces.pynode import mapping
from cloudyard.surfaces.pynode.schemas import (
    Login,
    LoginRequest,
    Message,
    RefreshRequest,
    RegisterRequest,
    Registration,
    Tokens,
)
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.authentication import CurrentPrincipal
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.registration import register

router = APIRouter(tags=["Authentication"], route_class=StrictJsonRoute)


@router.post("/api/auth/register")
async def register_user(body: RegisterRequest, request: Request, core: Core) -> Registration:
    """Open an account. The wallet holds the welcome credits when the answer arrives."""
    user = await register(core.users, core.billing, email=body.email, password=body.password, name=body.name)
    return mapping.registration(await core.sessions.start(user.id, client=_client(request)))


@router.post("/api/auth/login")
async def log_in(body: LoginRequest, request: Request, core: Core) -> Login:
    """Open a session."""
    return mapping.login(await core.sessions.login(body.email, body.password, client=_client(request)))


@router.post("/api/auth/refresh")
async def refresh_tokens(body: RefreshRequest, core: Core) -> Tokens:
    """New tokens for a refresh token, which is used up; one that comes again ends its session."""
    return mapping.tokens(await core.sessions.refresh(body.refresh_token))


@router.post("/api/auth/logout")
async def log_out(principal: CurrentPrincipal, core: Core) -> Message:
    """End the session of the token; it is refused from now on."""
    if principal.session_id is None:
        raise InvalidInput("An API key has no session to end. Revoke the key instead.", field="Authorization")
    await core.sessions.logout(principal.session_id)
    return Message(message="Successfully logged out")


def _client(request: Request) -> str | None:
    return request.headers.get("user-agent")
