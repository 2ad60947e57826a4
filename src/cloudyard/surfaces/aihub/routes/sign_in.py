"""Signing in through Google and other OpenID Connect providers (document, OAuth Login).

No token is ever in a URL: an app gets a code that is good once, and trades it at `/api/auth/exchange`.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import RedirectResponse

from cloudyard.domains.identity import Attempt, ProviderAnswer, Wish
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.urls import with_parameters
from cloudyard.surfaces.aihub.mapping import account_view, tokens_view
from cloudyard.surfaces.aihub.policy import POLICY
from cloudyard.surfaces.aihub.routes.authentication import UserAgent
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, LoggedIn
from cloudyard.surfaces.aihub.services import AihubServices, Services
from cloudyard.surfaces.aihub.sign_in_cookie import forget_sign_in, keep_sign_in, sign_in_secret
from cloudyard.surfaces.aihub.sign_in_schemas import CodeExchange, ProviderView
from cloudyard.web.documented_errors import failures
from cloudyard.web.errors import log_withheld
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.links import own_url

PREFIX = "/api/auth"
GOOGLE = "google"

router = APIRouter(prefix=PREFIX, tags=["Authentication"], route_class=StrictJsonRoute)

ProviderName = Annotated[
    str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,31}$", description="A provider of this installation.")
]
Returned = Annotated[str | None, Query(include_in_schema=False)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an app asks for."""

    redirect_uri: Annotated[
        str,
        Query(
            description="Where the user goes afterwards, with `code` or `error`. It must be on the list here.",
            examples=["https://your-app.com/auth/callback"],
        ),
    ]
    state: Annotated[
        str | None, Query(description="Comes back as it is, so that the app knows its own request again.")
    ] = None
    code_challenge: Annotated[
        str | None,
        Query(description="Binds the code to whoever has the verifier (RFC 7636, S256): the app's own part of it."),
    ] = None


def returned(code: Returned = None, error: Returned = None, iss: Returned = None) -> ProviderAnswer:
    """FastAPI dependency: what the browser brings back from the provider."""
    return ProviderAnswer(code, error, iss)


AppAsked = Annotated[Asked, Depends()]
Answered = Annotated[ProviderAnswer, Depends(returned)]


def _redirecting(where: str) -> dict[str, Any]:
    """What the routes have in common that send a browser on."""
    return {
        "status_code": 302,
        "response_class": RedirectResponse,
        "responses": {302: {"description": where}, **failures(ErrorEnvelope, 400, 422, 429, 503)},
    }


LEAVING = _redirecting("To the provider, or back to the app with `error` and `error_description`")
ARRIVING = _redirecting("Back to the app with `code`, or with `error` and `error_description`")


@router.get("/providers", summary="List the sign-in providers", responses=failures(ErrorEnvelope, 429))
async def sign_in_providers(services: Services, meta: CurrentMeta) -> Envelope[list[ProviderView]]:
    """What a login page can offer beside a password."""
    lines = services.federation.providers()
    found = [ProviderView(name=line.name, title=line.title, path=_path(line.name)) for line in lines]
    return Envelope[list[ProviderView]](data=found, meta=meta)


@router.get("/google", summary="Sign in with Google", **LEAVING)
async def sign_in_with_google(request: Request, services: Services, asked: AppAsked) -> Response:
    """Send the browser to Google; it comes back to the app's `redirect_uri`."""
    return await _leave(request, services, GOOGLE, asked)


@router.get("/oidc/{provider}", summary="Sign in with another provider", **LEAVING)
async def sign_in_with_provider(
    provider: ProviderName, request: Request, services: Services, asked: AppAsked
) -> Response:
    """Send the browser to a provider of this installation; it comes back to the app's `redirect_uri`."""
    return await _leave(request, services, provider, asked)


@router.get("/google/callback", summary="Come back from Google", **ARRIVING)
async def come_back_from_google(
    request: Request, services: Services, answer: Answered, state: Returned = None
) -> Response:
    """Where Google sends the browser. Enter this address at Google."""
    return await _arrive(request, services, GOOGLE, state, answer)


@router.get("/oidc/{provider}/callback", summary="Come back from another provider", **ARRIVING)
async def come_back_from_provider(
    provider: ProviderName, request: Request, services: Services, answer: Answered, state: Returned = None
) -> Response:
    """Where the provider sends the browser. Enter this address there."""
    return await _arrive(request, services, provider, state, answer)


@router.post("/exchange", summary="Trade a code for tokens", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429))
async def exchange_code(
    body: CodeExchange, services: Services, meta: CurrentMeta, user_agent: UserAgent = None
) -> Envelope[LoggedIn]:
    """A session for the code that came to the app's `redirect_uri`. A code is good once, for a minute."""
    pair = await services.federation.exchange(body.code, verifier=body.code_verifier, client=user_agent)
    return Envelope[LoggedIn](data=LoggedIn(user=account_view(pair.user), tokens=tokens_view(pair)), meta=meta)


async def _leave(request: Request, services: AihubServices, provider: str, asked: Asked) -> Response:
    callback_url = _callback_url(request, services, provider)
    wish = Wish(asked.redirect_uri, callback_url, asked.state, asked.code_challenge)
    services.federation.check(provider, wish)
    try:
        departure = await services.federation.begin(provider, wish)
    except DomainError as error:
        return _back_with_error(wish, error)
    response = _redirect(departure.url)
    keep_sign_in(request, response, departure)
    return response


async def _arrive(
    request: Request, services: AihubServices, provider: str, state: str | None, answer: ProviderAnswer
) -> Response:
    attempt = await services.federation.resume(provider, state, sign_in_secret(request, state))
    response = await _finish(services, attempt, answer)
    forget_sign_in(request, response, state)
    return response


async def _finish(services: AihubServices, attempt: Attempt, answer: ProviderAnswer) -> Response:
    """Back to the app, which is trusted by now, with whatever came out."""
    try:
        arrival = await services.federation.complete(attempt, answer)
        if arrival.created:
            await services.billing.welcome(arrival.user.id)  # else the outbox does it, as after a registration
    except DomainError as error:
        return _back_with_error(attempt.wish, error)
    return _back(attempt.wish, {"code": arrival.code})


def _back_with_error(wish: Wish, error: DomainError) -> Response:
    if error.kind is ErrorKind.INTERNAL:
        raise error
    log_withheld(error)
    return _back(wish, {"error": error.code, "error_description": error.message})


def _back(wish: Wish, parameters: dict[str, str]) -> Response:
    own = {"state": wish.state} if wish.state is not None else {}
    return _redirect(with_parameters(wish.redirect_uri, parameters | own))


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})


def _callback_url(request: Request, services: AihubServices, provider: str) -> str:
    path = f"{_path(provider)}/callback"
    if services.public_url is None:
        return own_url(request, path)
    return services.public_url.rstrip("/") + POLICY.prefix + path


def _path(provider: str) -> str:
    return f"{PREFIX}/{provider}" if provider == GOOGLE else f"{PREFIX}/oidc/{provider}"
