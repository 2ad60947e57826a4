"""The authorization endpoint (RFC 6749, section 4.1.1): a page that asks a user to log in and to agree.

Logging in and agreeing are one act: there is no cookie that another site could use, and consent takes the password.
Nobody is sent anywhere before having pressed a button here: whoever can register an application could otherwise use
this address to lead people to a site of his own (RFC 9700, section 4.11.2).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from cloudyard.domains.identity import (
    GRANTABLE,
    Consent,
    InvalidRedirectUri,
    InvalidScope,
    OAuthClient,
    Scope,
    is_challenge,
    may_return_to,
)
from cloudyard.foundation.errors import DomainError, ErrorKind, InvalidInput
from cloudyard.surfaces.oauth.consent_page import Asked, consent_page, error_page
from cloudyard.surfaces.oauth.errors import UnsupportedResponseType, oauth_code
from cloudyard.surfaces.oauth.form import need, once, posted
from cloudyard.surfaces.oauth.policy import AUTHORIZE
from cloudyard.surfaces.oauth.services import OAuthServices
from cloudyard.surfaces.oauth.tokens import check_resource
from cloudyard.web.authentication import sent_by_another_site
from cloudyard.web.errors import STATUS_OF_KIND, log_withheld

Act = Callable[[Asked, "Caller", Mapping[str, str], list[str]], Awaitable[Response]]

DENIED = {"error": "access_denied", "error_description": "The user said no."}
LONGEST_STATE = 2000
TICKED = "allow_scope"
CARRIED = (
    "response_type",
    "client_id",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "state",
    "resource",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks and where the answer goes; both are known to be right."""

    client: OAuthClient
    redirect_uri: str
    state: str | None
    issuer: str

    def back(self, **told: str) -> str:
        """The address that takes an answer to the application (RFC 6749, 4.1.2; RFC 9207, section 2)."""
        answer = {**told, **({"state": self.state} if self.state is not None else {}), "iss": self.issuer}
        return f"{self.redirect_uri}{'&' if urlsplit(self.redirect_uri).query else '?'}{urlencode(answer)}"


def add_authorization(app: FastAPI, services: OAuthServices) -> None:
    """Add the page and what its form does."""
    endpoint = Authorization(services)
    app.add_api_route(AUTHORIZE, endpoint.show, methods=["GET"], include_in_schema=False)
    app.add_api_route(AUTHORIZE, endpoint.decide, methods=["POST"], include_in_schema=False)


class Authorization:
    """Shows the page, and takes its answer."""

    def __init__(self, services: OAuthServices) -> None:
        self._services = services

    async def show(self, request: Request) -> Response:
        """The page for a request of an application."""
        return await self._told(request, list(request.query_params.multi_items()), self._page)

    async def decide(self, request: Request) -> Response:
        """What a user answered."""
        own = frozenset({self._services.public_url.base(request.scope)})
        if sent_by_another_site(request.method, dict(request.scope["headers"]), own):
            return error_page("This form was sent by another site. Go back to your application and begin anew.", 403)
        try:
            fields = await posted(request)
        except InvalidInput as error:
            return error_page(error.message, 400)
        return await self._told(request, fields, self._answer)

    async def _told(self, request: Request, fields: list[tuple[str, str]], act: Act) -> Response:
        """Do it; what is wrong with the request becomes a page."""
        ticked = [value for name, value in fields if name == TICKED]
        try:
            given = once((name, value) for name, value in fields if name != TICKED)
            caller = await self._caller(request, given)
        except DomainError as error:
            if error.kind is ErrorKind.INTERNAL:
                raise
            log_withheld(error)
            return error_page(error.message, STATUS_OF_KIND[error.kind])
        try:
            asked = self._asked(caller, given)
        except DomainError as error:
            log_withheld(error)
            back = caller.back(error=oauth_code(error), error_description=error.message)
            return error_page(error.message, 400, back=back, back_to=caller.redirect_uri)
        return await act(asked, caller, given, ticked)

    async def _caller(self, request: Request, given: Mapping[str, str]) -> Caller:
        client = await self._services.clients.find(need(given, "client_id"))
        redirect_uri = need(given, "redirect_uri")
        if not may_return_to(client.redirect_uris, redirect_uri):
            raise InvalidRedirectUri("The application wants you sent to an address that is not one of its own.")
        state = given.get("state")
        if state is not None and len(state) > LONGEST_STATE:
            raise InvalidInput(f"`state` may have at most {LONGEST_STATE} characters.", field="state")
        return Caller(client, redirect_uri, state, self._services.public_url.base(request.scope))

    def _asked(self, caller: Caller, given: Mapping[str, str]) -> Asked:
        """What the application asks for. Raises what it is told when it comes back."""
        if given.get("response_type") != "code":
            raise UnsupportedResponseType("`response_type` is `code` here.", field="response_type")
        if given.get("code_challenge_method") != "S256" or not is_challenge(given.get("code_challenge", "")):
            raise InvalidInput("PKCE with `code_challenge_method=S256` is needed.", field="code_challenge")
        check_resource(given, caller.issuer + self._services.resource_path)
        wanted = set(given.get("scope", " ".join(GRANTABLE)).split())
        scopes = [scope for scope in GRANTABLE if scope in wanted]
        if not scopes:
            raise InvalidScope(f"None of the scopes is known here. There are {', '.join(GRANTABLE)}.", field="scope")
        carried = {name: given[name] for name in CARRIED if name in given}
        return Asked(caller.client, caller.redirect_uri, tuple(scopes), carried)

    async def _page(self, asked: Asked, _caller: Caller, _given: Mapping[str, str], _ticked: list[str]) -> Response:
        return consent_page(asked)

    async def _answer(self, asked: Asked, caller: Caller, given: Mapping[str, str], ticked: list[str]) -> Response:
        if given.get("decision") != "allow":
            return _redirect(caller.back(**DENIED))
        scopes = frozenset(scope for scope in asked.scopes if scope in ticked)
        identifier = given.get("identifier", "")
        try:
            code = await self._code(asked, given, scopes, identifier)
        except DomainError as error:
            if error.kind is ErrorKind.INTERNAL:
                raise
            log_withheld(error)
            return consent_page(asked, refusal=error.message, identifier=identifier, status=STATUS_OF_KIND[error.kind])
        await self._services.clients.used(asked.client.id)
        return _redirect(caller.back(code=code))

    async def _code(self, asked: Asked, given: Mapping[str, str], scopes: frozenset[Scope], identifier: str) -> str:
        user = await self._services.sessions.prove(identifier, given.get("password", ""), client=asked.client.name)
        consent = Consent(asked.client, scopes, asked.redirect_uri, given["code_challenge"])
        return await self._services.delegations.grant(user, consent)


def _redirect(address: str) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers={"Cache-Control": "no-store"})
