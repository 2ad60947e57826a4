"""Who is calling: finding the credential in a request, and what routes ask about the caller."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import cookie_parser
from starlette.types import Scope as AsgiScope

from cloudyard.domains.identity.records import Principal, Scope
from cloudyard.foundation.errors import DomainError
from cloudyard.web.errors import AuthenticationRequired

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SAME_SITE = frozenset({b"same-origin", b"none"})
BEARER = b"bearer "

_bearer_scheme = HTTPBearer(auto_error=False, description="Access token of a login, or an API key.")
_key_scheme = APIKeyHeader(name="X-API-Key", auto_error=False, description="API key.")


class CredentialCheck(Protocol):
    """Tells whose a credential is (identity's sessions)."""

    def cached(self, credential: str) -> Principal | None:
        """The answer if it is known without asking the database."""
        ...

    async def authenticate(self, credential: str) -> Principal:
        """Whose the credential is; raises a `DomainError` if it is good for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential as it came. A browser sends a cookie by itself, whichever page caused the request."""

    value: str
    from_cookie: bool = False


def presented_credential(
    headers: Mapping[bytes, bytes], *, cookie: str | None = None, query: bytes = b""
) -> Presented | None:
    """The credential of a request: Authorization, else X-API-Key, else `?token=` (WebSockets), else the cookie."""
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == BEARER:
        return _presented(authorization[7:].decode("latin-1"))
    key = headers.get(b"x-api-key")
    if key is not None:
        return _presented(key.decode("latin-1"))
    if query:
        token = parse_qs(query.decode("latin-1")).get("token")
        if token:
            return _presented(token[-1])
    if cookie is not None and b"cookie" in headers:
        value = cookie_parser(headers[b"cookie"].decode("latin-1")).get(cookie)
        return _presented(value, from_cookie=True) if value else None
    return None


def _presented(value: str, *, from_cookie: bool = False) -> Presented | None:
    stripped = value.strip()
    return Presented(stripped, from_cookie) if stripped else None


def sent_by_another_site(method: str, headers: Mapping[bytes, bytes], allowed_origins: frozenset[str]) -> bool:
    """Whether another site's page caused a request that changes something or opens a WebSocket.

    Such a request must not act with the cookie that the browser added to it. What names neither its origin nor
    its site comes from no browser.
    """
    if method in SAFE_METHODS:
        return False
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and origin in allowed_origins:
        return False
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in SAME_SITE
    return bool(origin) and urlsplit(origin).netloc != headers.get(b"host", b"").decode("latin-1")


def caller_of(scope: AsgiScope) -> Principal | None:
    """Who the gate found to be calling, None for nobody."""
    principal: Principal | None = scope["state"]["principal"]
    return principal


def require_caller(scope: AsgiScope) -> Principal:
    """Who is calling. Raises what was wrong with the credential, or `AuthenticationRequired` if there was none."""
    state: dict[str, Any] = scope["state"]
    principal: Principal | None = state["principal"]
    if principal is not None:
        return principal
    error: DomainError | None = state["credential_error"]
    if error is not None:
        raise error
    raise AuthenticationRequired(
        "Authentication required. Send an access token or an API key in the Authorization header "
        "(`Authorization: Bearer ...`)."
    )


def current_principal(
    request: Request, _bearer: Annotated[object, Depends(_bearer_scheme)], _key: Annotated[object, Depends(_key_scheme)]
) -> Principal:
    """FastAPI dependency: who is calling; refuses anonymous requests."""
    return require_caller(request.scope)


def require_scope(scope: Scope) -> Callable[[Principal], Principal]:
    """FastAPI dependency that refuses a caller whose credential has not the scope. Sessions have every scope."""

    def scoped(principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        principal.require(scope)
        return principal

    return scoped


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CurrentAccount = Annotated[Principal, Depends(require_scope(Scope.ACCOUNT))]
CurrentAdmin = Annotated[Principal, Depends(require_scope(Scope.ADMIN))]
