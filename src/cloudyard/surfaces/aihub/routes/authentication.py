"""Registration, login, refresh, logout, forgotten passwords (document, Authentication Endpoints)."""

from typing import Annotated

from fastapi import APIRouter, Header

from cloudyard.surfaces.aihub.mapping import account_view, tokens_view
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import (
    Envelope,
    ErrorEnvelope,
    ForgottenPassword,
    LoggedIn,
    Login,
    PasswordReset,
    Refresh,
    Refreshed,
    Registered,
    Registration,
    Said,
)
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.registration import register
from cloudyard.web.sessions import CurrentSession

router = APIRouter(prefix="/api/auth", tags=["Authentication"], route_class=StrictJsonRoute)

UserAgent = Annotated[str | None, Header(alias="User-Agent", include_in_schema=False)]


@router.post(
    "/register", status_code=201, summary="Open an account", responses=failures(ErrorEnvelope, 400, 409, 422, 429)
)
async def register_user(body: Registration, services: Services, meta: CurrentMeta) -> Envelope[Registered]:
    """Open an account with welcome credits; a link to verify the address is mailed."""
    user = await register(
        services.users,
        services.billing,
        email=body.email,
        password=body.password,
        first_name=body.first_name,
        last_name=body.last_name,
    )
    return Envelope[Registered](data=Registered(user=account_view(user)), meta=meta)


@router.post("/login", summary="Log in", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429))
async def log_in(
    body: Login, services: Services, meta: CurrentMeta, user_agent: UserAgent = None
) -> Envelope[LoggedIn]:
    """Open a session with an e-mail address and a password."""
    pair = await services.sessions.login(body.email, body.password, client=user_agent)
    return Envelope[LoggedIn](data=LoggedIn(user=account_view(pair.user), tokens=tokens_view(pair)), meta=meta)


@router.post("/refresh", summary="Renew the tokens", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429))
async def refresh_tokens(body: Refresh, services: Services, meta: CurrentMeta) -> Envelope[Refreshed]:
    """New tokens for a refresh token, which is used up; one that comes again ends its session."""
    pair = await services.sessions.refresh(body.refresh_token)
    return Envelope[Refreshed](data=Refreshed(tokens=tokens_view(pair)), meta=meta)


@router.post("/logout", summary="Log out", responses=failures(ErrorEnvelope, 401, 422, 429))
async def log_out(session_id: CurrentSession, services: Services, meta: CurrentMeta) -> Envelope[Said]:
    """End the session of the token that is sent; its refresh token ends with it."""
    await services.sessions.logout(session_id)
    return Envelope[Said](data=Said(message="Logged out."), meta=meta)


@router.post(
    "/forgot-password", summary="Ask for a new password", responses=failures(ErrorEnvelope, 400, 422, 429, 503)
)
async def forgot_password(body: ForgottenPassword, services: Services, meta: CurrentMeta) -> Envelope[Said]:
    """A link to choose a new password is mailed, if there is such an account; the answer does not tell whether."""
    await services.recovery.forgot_password(body.email)
    return Envelope[Said](data=Said(message="If there is such an account, a link was sent to it."), meta=meta)


@router.post("/reset-password", summary="Choose a new password", responses=failures(ErrorEnvelope, 400, 422, 429))
async def reset_password(body: PasswordReset, services: Services, meta: CurrentMeta) -> Envelope[Said]:
    """Set a new password with the token of a mailed link; every session ends."""
    await services.recovery.reset_password(body.token, body.new_password)
    return Envelope[Said](data=Said(message="The password was changed. Log in with the new one."), meta=meta)
