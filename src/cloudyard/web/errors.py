"""From a failure to an answer: what surfaces share in it. Each surface's own renderer gives the shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Protocol, cast

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ExceptionHandler
from starlette.websockets import WebSocket, WebSocketState

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.money_details import USD
from cloudyard.web.policy import Header

log = structlog.get_logger(__name__)

STATUS_OF_KIND: Mapping[ErrorKind, int] = MappingProxyType(
    {
        ErrorKind.INVALID: 400,
        ErrorKind.UNAUTHENTICATED: 401,
        ErrorKind.PAYMENT_REQUIRED: 402,
        ErrorKind.FORBIDDEN: 403,
        ErrorKind.NOT_FOUND: 404,
        ErrorKind.CONFLICT: 409,
        ErrorKind.TOO_LARGE: 413,
        ErrorKind.UNSUPPORTED: 400,
        ErrorKind.RATE_LIMITED: 429,
        ErrorKind.UNAVAILABLE: 503,
        ErrorKind.UPSTREAM: 502,
        ErrorKind.TIMEOUT: 504,
        ErrorKind.INTERNAL: 500,
    }
)

STATUS_OF_CODE: Mapping[str, int] = MappingProxyType(
    {
        "unsupported_media_type": 415,
        "method_not_allowed": 405,
        # RFC 9110, section 15.5.9: it is the client that was too slow
        "form_stalled": 408,
        "upload_lapsed": 408,
        # draft-ietf-httpapi-idempotency-key-header-07, section 2.7
        "idempotency_key_reused": 422,
    }
)

LEFT = 499

# RFC 6455, section 7.4.1
CLOSE_REFUSED = 1008
CLOSE_FAILED = 1011


class ClientLeft(Exception):
    """The client has gone; nobody reads an answer any more."""


class InternalError(DomainError):
    """Something of ours broke. The log has the reason under the request's id."""

    code = "internal_error"
    kind = ErrorKind.INTERNAL


class AuthenticationRequired(DomainError):
    """The route needs to know who is calling, and nothing in the request says it."""

    code = "authentication_required"
    kind = ErrorKind.UNAUTHENTICATED


class RouteNotFound(DomainError):
    """Nothing is served under this path."""

    code = "route_not_found"
    kind = ErrorKind.NOT_FOUND


class MethodNotAllowed(DomainError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"
    kind = ErrorKind.UNSUPPORTED


class UnsupportedMediaType(DomainError):
    """The body's content type is not one that is read here."""

    code = "unsupported_media_type"
    kind = ErrorKind.UNSUPPORTED


class BodyTooLarge(DomainError):
    """The request body is larger than is read here."""

    code = "body_too_large"
    kind = ErrorKind.TOO_LARGE


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request: a dotted path to the input, and what is wrong with it."""

    field: str
    message: str


class MalformedRequest(DomainError):
    """The request does not have the shape that the route takes."""

    code = "malformed_request"
    kind = ErrorKind.INVALID

    def __init__(self, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message, field=issues[0].field if issues else None)
        self.issues = tuple(issues)


class UnreadableJson(MalformedRequest):
    """The body is no JSON that can be read without doubt."""

    code = "unreadable_json"


def issues_of(error: DomainError) -> tuple[Issue, ...]:
    """What is wrong with which input, for surfaces that list it."""
    if isinstance(error, MalformedRequest):
        return error.issues
    return (Issue(error.field, error.message),) if error.field is not None else ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error as it goes out."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    content_type: str = "application/json"

    def all_headers(self) -> list[Header]:
        """Its headers, the ones about the body included."""
        return [
            (b"content-type", self.content_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
        ]


class ErrorRenderer(Protocol):
    """Gives a surface's shape to failures."""

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        ...


class StatusTable:
    """Statuses of errors: by code, else by kind; a surface's own entries go before the shared ones."""

    def __init__(
        self, by_kind: Mapping[ErrorKind, int] | None = None, by_code: Mapping[str, int] | None = None
    ) -> None:
        self._by_kind = {**STATUS_OF_KIND, **(by_kind or {})}
        self._by_code = {**STATUS_OF_CODE, **(by_code or {})}

    def __call__(self, error: DomainError) -> int:
        return self._by_code.get(error.code) or self._by_kind[error.kind]


def phrase(status: int) -> str:
    """The standard phrase of a status, e.g. `Not Found`."""
    return HTTPStatus(status).phrase


def standard_headers(status: int, error: DomainError) -> tuple[Header, ...]:
    """Headers that the standards want with a status: Retry-After, and WWW-Authenticate (RFC 9110, 11.6.1)."""
    headers: list[Header] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return tuple(headers)


def internal_error() -> InternalError:
    """What a caller hears of a failure that nobody foresaw: nothing of its inside."""
    return InternalError(
        "An unexpected error occurred. It has been logged under this request's id; quote the id when you report it."
    )


class ProblemRenderer:
    """Problem details (RFC 9457), for routes that no published contract shapes."""

    def __init__(self, statuses: StatusTable | None = None) -> None:
        self._status = statuses or StatusTable()

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        status = self._status(error)
        problem: dict[str, object] = {
            "type": f"urn:cloudyard:error:{error.code}",
            "title": phrase(status),
            "status": status,
            "detail": error.message,
            "instance": f"urn:cloudyard:request:{request_id}",
            "code": error.code,
            "request_id": request_id,
        }
        issues = issues_of(error)
        if issues:
            problem["errors"] = [{"field": issue.field, "message": issue.message} for issue in issues]
        if error.details:
            problem["details"] = USD.shown(error.details)
        body = msgspec.json.encode(problem, enc_hook=str)
        return Rendered(status, body, standard_headers(status, error), "application/problem+json")


def install_error_handlers(app: FastAPI, renderer: ErrorRenderer) -> None:
    """Render every failure of a FastAPI app in the surface's shape."""

    async def render(connection: HTTPConnection, error: Exception) -> Response | None:
        failure = as_domain_error(error)
        log_withheld(failure)
        state = connection.scope["state"]
        if isinstance(error, DomainError) and error.kind is ErrorKind.INTERNAL:
            log.error("request failed", exc_info=error)  # any other failure of ours is raised on and logged by the gate
        state["error_code"] = failure.code
        rendered = renderer.render(failure, state["request_id"])
        if isinstance(connection, WebSocket) and connection.application_state is not WebSocketState.CONNECTING:
            await connection.close(CLOSE_FAILED if rendered.status >= 500 else CLOSE_REFUSED)
            return None
        response = Response(rendered.body, rendered.status, media_type=rendered.content_type)
        for name, value in rendered.headers:
            response.headers.append(name.decode(), value.decode("latin-1"))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    async def left(_request: Request, _error: Exception) -> Response:
        return Response(status_code=LEFT)

    for handled in (DomainError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(handled, cast(ExceptionHandler, render))
    app.add_exception_handler(ClientLeft, left)


def log_withheld(error: DomainError, **about: str) -> None:
    """Log what the caller of a failed request is not told, if there is any such thing."""
    if error.for_operators is not None:
        log.warning("request failed", code=error.code, reason=str(error), **about)


def as_domain_error(error: Exception) -> DomainError:
    """The failure in our own vocabulary, whatever part of the web framework raised it.

    Of a failure of ours nothing is told but that it happened.
    """
    if isinstance(error, DomainError):
        return error if error.kind is not ErrorKind.INTERNAL else internal_error()
    if isinstance(error, RequestValidationError):
        issues = [_issue(problem["loc"], problem["msg"]) for problem in error.errors()]
        return MalformedRequest("Invalid request parameters", issues)
    if isinstance(error, HTTPException):
        return _from_http(error)
    return internal_error()


def _issue(location: Sequence[str | int], message: str) -> Issue:
    inside = location[1:] if len(location) > 1 else location
    return Issue(".".join(str(part) for part in inside), message)


def _from_http(error: HTTPException) -> DomainError:
    # FastAPI wraps whatever reading the body raised, and would call a body that is too large a bad one.
    if isinstance(error.__cause__, DomainError):
        return error.__cause__
    if error.status_code == HTTPStatus.NOT_FOUND:
        return RouteNotFound("Nothing is served under this path. The documentation lists the routes that there are.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"This path does not take that method. Use one of: {allowed}.")
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BodyTooLarge(f"The request body is too large: {error.detail}.")
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error()
    return MalformedRequest(str(error.detail))
