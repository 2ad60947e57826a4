"""The gate in front of every surface: one ASGI layer that identifies, limits, guards, logs and measures.

What it finds lies in `scope["state"]`: `principal` (or None), `credential_error`, `request_id`, `path` (below the
surface's prefix), `address` and `https`. Pure ASGI, so that a raw app pays for nothing else.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from opentelemetry.trace import StatusCode
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.telemetry import Metrics, Tracing, current_trace_id, request_context
from cloudyard.web.authentication import CredentialCheck, presented_credential, sent_by_another_site
from cloudyard.web.errors import (
    LEFT,
    BodyTooLarge,
    ClientLeft,
    ErrorRenderer,
    MalformedRequest,
    as_domain_error,
    log_withheld,
)
from cloudyard.web.policy import Header, SurfacePolicy
from cloudyard.web.proxies import TrustedProxies
from cloudyard.web.rate_limits import RateLimits
from cloudyard.web.visit import CONTENT_POLICY, Visit

log = structlog.get_logger(__name__)

SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class GateParts:
    """What the gates of all surfaces share. `limits` is None where nothing is limited."""

    sessions: CredentialCheck
    limits: LimitStore | None
    clock: Clock
    ids: Ids
    metrics: Metrics
    tracing: Tracing
    proxies: TrustedProxies
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 * 1024 * 1024
    access_log: bool = True


class Gate:
    """Guards one surface's app."""

    def __init__(self, app: ASGIApp, policy: SurfacePolicy, renderer: ErrorRenderer, parts: GateParts) -> None:
        self._app = app
        self._policy = policy
        self._renderer = renderer
        self._parts = parts
        self._access = structlog.get_logger("cloudyard.access").bind()
        self._limits = RateLimits(policy, parts.limits, parts.metrics)
        self._request_id_header = policy.request_id_header.lower().encode()
        self._headers = {https: policy.security_headers(https=https) for https in (False, True)}
        self._content_policy: Header = (CONTENT_POLICY, policy.content_policy.encode())
        self._own_origins = frozenset(parts.cors_origins) - {"*"}
        self._with_cors = self._cors()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        visit = self._arrive(scope, send)
        token = request_context.set(visit.context)
        try:
            if self._parts.tracing.enabled or b"traceparent" in visit.headers:
                await self._trace(visit, receive)
            else:
                await self._serve(visit, receive)
        finally:
            self._depart(visit)
            request_context.reset(token)

    def _arrive(self, scope: Scope, send: Send) -> Visit:
        visit = Visit(scope, send, surface=self._policy.name, started_at=self._parts.clock.monotonic())
        given = visit.headers.get(self._request_id_header)
        sane = given is not None and SANE_REQUEST_ID.fullmatch(given) is not None
        request_id = given if given is not None and sane else self._parts.ids.new().encode()
        visit.named(request_id.decode())
        address, https = self._parts.proxies.client(scope)
        visit.came_from(address, https=https)
        visit.answers_with([(self._request_id_header, request_id), *self._headers[https]], self._content_policy)
        return visit

    async def _trace(self, visit: Visit, receive: Receive) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in visit.headers.items()}
        attributes = {
            "http.request.method": visit.method,
            "url.path": visit.scope["path"],
            "url.scheme": "https" if visit.https else "http",
            "client.address": visit.address,
            "user_agent.original": headers.get("user-agent", ""),
            "cloudyard.surface": self._policy.name,
        }
        with self._parts.tracing.serving(visit.method, headers, attributes) as span:
            visit.context.trace_id = current_trace_id()
            await self._serve(visit, receive)
            span.update_name(f"{visit.method} {visit.route()}")
            span.set_attribute("http.route", visit.route())
            span.set_attribute("http.response.status_code", visit.status)
            if visit.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_status(StatusCode.ERROR)

    async def _serve(self, visit: Visit, receive: Receive) -> None:
        if b"origin" in visit.headers and not visit.websocket:
            await self._with_cors(visit.scope, receive, visit.send)
        else:
            await self._admit(visit.scope, receive, visit.send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit: Visit = scope["state"]["visit"]
        try:
            if not self._policy.ungated(visit.method, visit.path):
                await self._identify(visit)
                await self._limit(visit)
            await self._app(scope, self._capped(visit, receive), send)
        except (ClientLeft, ClientDisconnect):
            visit.status = LEFT
        except Exception as error:  # noqa: BLE001 - nothing may pass the gate but an answer in the surface's shape
            await self._fail(visit, error, send)

    async def _identify(self, visit: Visit) -> None:
        cookie = self._policy.session_cookie
        if cookie is not None and sent_by_another_site(visit.method, visit.headers, self._own_origins):
            cookie = None
        query = visit.scope["query_string"] if visit.websocket else b""
        presented = presented_credential(visit.headers, cookie=cookie, query=query)
        if presented is None:
            return
        visit.state["credential"] = presented.value
        sessions = self._parts.sessions
        try:
            principal = sessions.cached(presented.value)
            visit.identified(principal if principal is not None else await sessions.authenticate(presented.value))
        except DomainError as error:
            visit.unidentified(error)

    async def _limit(self, visit: Visit) -> None:
        visit.state["rate_limits"] = self._limits
        taken = await self._limits.take(visit.method, visit.path, visit.principal, visit.address)
        if not taken:
            return
        now = self._parts.clock.now().timestamp()
        visit.response_headers.extend(self._policy.limit_headers(taken, now))
        refusal = self._limits.refusal(taken)
        if refusal is not None:
            raise refusal

    def _capped(self, visit: Visit, receive: Receive) -> Receive:
        if visit.websocket or self._policy.streams_body(visit.method, visit.path):
            return receive
        most = self._parts.max_body_bytes
        length = visit.headers.get(b"content-length")
        if length is None:
            return _counting(receive, most)
        if not length.isdigit():
            raise MalformedRequest("The Content-Length header is no number.")
        if int(length) > most:
            raise _too_large(most)
        return receive

    async def _fail(self, visit: Visit, error: Exception, send: Send) -> None:
        failure = as_domain_error(error)
        log_withheld(failure)
        if failure.kind is ErrorKind.INTERNAL:
            log.error("request failed", method=visit.method, path=visit.path, exc_info=error)
        visit.state.setdefault("error_code", failure.code)
        await visit.refuse(self._renderer.render(failure, visit.context.request_id), send)

    def _depart(self, visit: Visit) -> None:
        seconds = self._parts.clock.monotonic() - visit.started_at
        status = visit.status or LEFT
        self._parts.metrics.http_request(self._policy.name, visit.route(), visit.method, status, seconds)
        if self._parts.access_log:
            code = visit.state.get("error_code")
            self._access.info(
                "request",
                method=visit.method,
                path=visit.scope["path"],
                status=status,
                ms=round(seconds * 1000, 2),
                client=visit.address,
                **({"code": code} if code is not None else {}),
            )
        visit.end()

    def _cors(self) -> ASGIApp:
        any_origin = "*" in self._parts.cors_origins
        return CORSMiddleware(
            self._admit,
            allow_origins=self._parts.cors_origins,
            allow_methods=self._policy.cors_methods,
            allow_headers=["*"],
            allow_credentials=bool(self._own_origins) and not any_origin,
            expose_headers=self._policy.cors_exposed_headers,
        )


def _counting(receive: Receive, most: int) -> Receive:
    """Refuses a body of unknown length at the byte that is too much."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request body is larger than {most} bytes. Send less, or upload a file instead.",
        details={"max_bytes": most},
    )
