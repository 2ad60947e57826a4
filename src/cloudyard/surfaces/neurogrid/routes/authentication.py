"""Registration, login, refresh, logout (document, Authentication)."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from cloudyard.domains.identity import Role, require_mixed_characters
from cloudyard.surfaces.neurogrid.mapping import logged_in, tokens_view, user_view
from cloudyard.surfaces.neurogrid.routes.timestamps import Timestamp
from cloudyard.surfaces.neurogrid.schemas import (
    Answer,
    ErrorAnswer,
    LoggedIn,
    Login,
    Refresh,
    Registered,
    Registration,
    Said,
    TokensView,
)
from cloudyard.surfaces.neurogrid.services import Services
from cloudyard.surfaces.neurogrid.session_cookie import forget_session, keep_session
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.registration import register
from cloudyard.web.sessions import CurrentSession

router = APIRouter(prefix="/api/auth", tags=["Authentication"], route_class=StrictJsonRoute)

UserAgent = Annotated[str | None, Header(alias="User-Agent", include_in_schema=False)]


@router.post("/register", status_code=201, summary="Open an account", responses=failures(ErrorAnswer, 400, 409, 429))
async def register_user(body: Registration, services: Services, now: Timestamp) -> Answer[Registered]:
    """Open an account with welcome credits; a link to verify the address is mailed."""
    require_mixed_characters(body.password)
    user = await register(
        services.users,
        services.billing,
        email=body.email,
        password=body.password,
        role=Role(body.role),
        username=body.username,
        name=body.full_name,
        company=body.company,
    )
    message = "The account is open. Follow the link in the mail to verify your address."
    return Answer[Registered](data=Registered(message=message, user=user_view(user)), timestamp=now)


@router.post("/login", summary="Log in", responses=failures(ErrorAnswer, 400, 401, 403, 429))
async def log_in(
    body: Login,
    request: Request,
    response: Response,
    services: Services,
    now: Timestamp,
    user_agent: UserAgent = None,
) -> Answer[LoggedIn]:
    """Open a session with an e-mail address or a username; a browser gets it as a cookie too."""
    pair = await services.sessions.login(body.identifier, body.password, client=user_agent)
    keep_session(request, response, pair)
    return Answer[LoggedIn](data=logged_in(pair), timestamp=now)


@router.post("/refresh", summary="Renew the tokens", responses=failures(ErrorAnswer, 400, 401, 403, 429))
async def refresh_tokens(
    body: Refresh, request: Request, response: Response, services: Services, now: Timestamp
) -> Answer[TokensView]:
    """New tokens for a refresh token, which is used up; one that comes again ends its session."""
    pair = await services.sessions.refresh(body.refresh_token)
    keep_session(request, response, pair)
    return Answer[TokensView](data=tokens_view(pair), timestamp=now)


@router.post("/logout", summary="Log out", responses=failures(ErrorAnswer, 400, 401, 429))
async def log_out(
    session_id: CurrentSession, request: Request, response: Response, services: Services, now: Timestamp
) -> Answer[Said]:
    """End the session of the token that is sent; its refresh token ends with it."""
    await services.sessions.logout(session_id)
    forget_session(request, response)
    return Answer[Said](data=Said(message="Logged out."), timestamp=now)
